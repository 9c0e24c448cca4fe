package simulator

import (
	"net/http"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// lifecycleAPI is the part of the Engine API that starts, ends and removes
// containers.
type lifecycleAPI struct{ engine *engine }

func (a lifecycleAPI) routes() []engineRoute {
	return []engineRoute{
		{"POST", "/containers/*/start", a.start, answered},
		{"POST", "/containers/*/stop", a.stop, passedOn},
		{"POST", "/containers/*/kill", a.kill, passedOn},
		{"POST", "/containers/*/wait", a.wait, passedOn},
		{"DELETE", "/containers/*", a.remove, answered},
	}
}

func (a lifecycleAPI) start(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	if err := a.engine.clock.Sleep(r.Context(), containerStartTime); err != nil {
		return err
	}
	return a.engine.finish(w, func() error {
		c, err := a.engine.reachable(s, name)
		if err != nil {
			return err
		}
		if c.state == container.StateRemoving {
			return s.refused(errorf(http.StatusConflict, "container is marked for removal and cannot be started"))
		}
		if c.runs() {
			if s.cluster() {
				return nil // which takes the engine's 304 for a success
			}
			return errNotModified
		}
		c.restartCount = 0 // which counts what the restart policy does, since the last start by somebody
		a.engine.run(c)
		return nil
	})
}

func (a lifecycleAPI) stop(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	if err := a.engine.clock.Sleep(r.Context(), containerStopTime); err != nil {
		return err
	}
	return a.engine.finish(w, func() error {
		c, err := a.engine.reachable(s, name)
		if err != nil {
			return err
		}
		if !c.runs() {
			return errNotModified
		}
		a.engine.end(c, statusTerminated)
		return nil
	})
}

func (a lifecycleAPI) kill(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	status := statusKilled
	switch strings.TrimPrefix(strings.ToUpper(r.URL.Query().Get("signal")), "SIG") {
	case "", "KILL", "9":
	case "TERM", "15":
		status = statusTerminated
	case "INT", "2":
		status = 128 + 2
	default:
		return errorf(http.StatusBadRequest, "Invalid signal: %s", r.URL.Query().Get("signal"))
	}
	return a.engine.finish(w, func() error { return a.engine.kill(s, name, status) })
}

func (a lifecycleAPI) remove(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	upgrade := false
	err := a.engine.change(func() error {
		c, err := a.engine.reachable(s, name)
		if err != nil {
			return err
		}
		upgrade = c.upgrades()
		if c.state == container.StateRemoving {
			return s.refused(errorf(http.StatusConflict, "removal of container %s is already in progress", c.id))
		}
		if c.runs() {
			if !isSet(r, "force") {
				return s.refused(errorf(http.StatusConflict, "You cannot remove a running container %s. Stop the container before attempting removal or force remove", c.id))
			}
			a.engine.end(c, statusKilled)
		}
		if _, there := a.engine.containers[c.id]; there {
			a.engine.delete(c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if upgrade {
		a.engine.reach(r.Context(), BootstrapperRemoved)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// wait answers with its headers at once and with the exit status when
// there is one, as Docker does since API 1.30.
func (a lifecycleAPI) wait(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	a.engine.mu.Lock()
	c, err := a.engine.reachable(s, name)
	if err != nil {
		a.engine.mu.Unlock()
		return err
	}
	done := c.exited
	switch condition := r.URL.Query().Get("condition"); condition {
	case "", string(container.WaitConditionNotRunning):
		if !c.runs() {
			done = closedChannel
		}
	case string(container.WaitConditionNextExit):
	case string(container.WaitConditionRemoved):
		done = c.removed
	default:
		a.engine.mu.Unlock()
		return errorf(http.StatusBadRequest, "invalid condition: %q", condition)
	}
	a.engine.mu.Unlock()

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
		return nil
	case <-a.engine.ctx.Done():
		panic(http.ErrAbortHandler)
	case <-done:
	}
	a.engine.mu.Lock()
	status := c.exitCode
	a.engine.mu.Unlock()
	return writeJSON(w, http.StatusOK, container.WaitResponse{StatusCode: int64(status)})
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
