package simulator

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

const (
	statusKilled     = 128 + 9  // SIGKILL
	statusTerminated = 128 + 15 // SIGTERM
)

func (e *engine) serveStart(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	if err := e.clock.Sleep(r.Context(), containerStartTime); err != nil {
		return err
	}
	return e.finish(w, func() error {
		c, err := e.reachable(s, name)
		if err != nil {
			return err
		}
		if c.state == container.StateRunning {
			return errNotModified
		}
		e.run(c)
		return nil
	})
}

func (e *engine) serveStop(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	if err := e.clock.Sleep(r.Context(), containerStopTime); err != nil {
		return err
	}
	return e.finish(w, func() error {
		c, err := e.reachable(s, name)
		if err != nil {
			return err
		}
		if c.state != container.StateRunning {
			return errNotModified
		}
		e.end(c, statusTerminated)
		return nil
	})
}

func (e *engine) serveKill(s scope, w http.ResponseWriter, r *http.Request, name string) error {
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
	return e.finish(w, func() error { return e.kill(s, name, status) })
}

func (e *engine) kill(s scope, name string, status int) error {
	c, err := e.reachable(s, name)
	if err != nil {
		return err
	}
	if c.state != container.StateRunning {
		return errorf(http.StatusConflict, "Cannot kill container: %s: Container %s is not running", name, c.id)
	}
	e.end(c, status)
	return nil
}

func (e *engine) serveRemove(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	upgrade := false
	err := e.change(func() error {
		c, err := e.reachable(s, name)
		if err != nil {
			return err
		}
		upgrade = c.upgrades()
		if c.state == container.StateRunning {
			if !isSet(r, "force") {
				return errorf(http.StatusConflict, "You cannot remove a running container %s. Stop the container before attempting removal or force remove", c.id)
			}
			e.end(c, statusKilled)
		}
		if _, there := e.containers[c.id]; there {
			e.delete(c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if upgrade {
		e.reach(r.Context(), BootstrapperRemoved)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (e *engine) serveRename(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	next := strings.TrimPrefix(r.URL.Query().Get("name"), "/")
	if !validName.MatchString(next) {
		return errorf(http.StatusBadRequest, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", next)
	}
	return e.finish(w, func() error {
		c, err := e.reachable(s, name)
		if err != nil {
			return err
		}
		for _, other := range e.containers {
			if s.covers(other.node) && other.name == next {
				return errorf(http.StatusConflict, "Conflict. The container name %q is already in use by container %q.", "/"+next, other.id)
			}
		}
		if c.state == container.StateRunning && string(c.host.NetworkMode) == release.OverlayNetwork {
			return errorf(http.StatusInternalServerError, "Could not add service state for endpoint %s to cluster on rename: cannot create entry in table endpoint_table, already exists.", next) // Engine 20.10 does
		}
		c.name = next
		return nil
	})
}

// finish makes a change and answers 204.
func (e *engine) finish(w http.ResponseWriter, f func() error) error {
	if err := e.change(f); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveWait answers with its headers at once and with the exit status when
// there is one, as Docker does since API 1.30.
func (e *engine) serveWait(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	e.mu.Lock()
	c, err := e.reachable(s, name)
	if err != nil {
		e.mu.Unlock()
		return err
	}
	done := c.exited
	switch condition := r.URL.Query().Get("condition"); condition {
	case "", string(container.WaitConditionNotRunning):
		if c.state != container.StateRunning {
			done = closedChannel
		}
	case string(container.WaitConditionNextExit):
	case string(container.WaitConditionRemoved):
		done = c.removed
	default:
		e.mu.Unlock()
		return errorf(http.StatusBadRequest, "invalid condition: %q", condition)
	}
	e.mu.Unlock()

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
		return nil
	case <-e.ctx.Done():
		panic(http.ErrAbortHandler)
	case <-done:
	}
	e.mu.Lock()
	status := c.exitCode
	e.mu.Unlock()
	return writeJSON(w, http.StatusOK, container.WaitResponse{StatusCode: int64(status)})
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (e *engine) serveLogs(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	query := r.URL.Query()
	if !isSet(r, "stdout") && !isSet(r, "stderr") {
		return errorf(http.StatusBadRequest, "Bad parameters: you must choose at least one stream")
	}
	since, err := unixTime(query.Get("since"))
	if err != nil {
		return err // Docker too calls it an error of its own
	}
	tail, err := strconv.Atoi(query.Get("tail"))
	if err != nil {
		tail = -1 // "all", and whatever else is not a number
	}
	e.mu.Lock()
	c, err := e.reachable(s, name)
	if err != nil {
		e.mu.Unlock()
		return err
	}
	log, tty, driver := c.log, c.config.Tty, c.host.LogConfig.Type
	follow := isSet(r, "follow") && c.state == container.StateRunning
	e.mu.Unlock()
	if driver == logDriverNone {
		return errorf(http.StatusNotImplemented, "configured logging driver does not support reading")
	}

	contentType := types.MediaTypeRawStream
	if !tty && compareAPI(e.apiVersion, "1.42") >= 0 {
		contentType = types.MediaTypeMultiplexedStream
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	_ = flush()
	_ = log.read(r.Context(), since, tail, follow, func(entry logEntry) error {
		if entry.stream == stdcopy.Stdout && !isSet(r, "stdout") || entry.stream == stdcopy.Stderr && !isSet(r, "stderr") {
			return nil
		}
		data := entry.data
		if isSet(r, "timestamps") {
			data = append([]byte(entry.at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")+" "), data...)
		}
		if !tty {
			data = append(streamHeader(entry.stream, len(data)), data...)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		return flush()
	})
	return nil
}

// streamHeader starts a frame in Docker's multiplexed stream.
func streamHeader(s stdcopy.StdType, size int) []byte {
	header := []byte{byte(s), 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(header[4:], uint32(size))
	return header
}

// unixTime reads seconds since 1970 with an optional fraction; "" and 0 are
// the beginning of time.
func unixTime(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	var nanos int64
	if fraction != "" {
		nanos, err = strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	}
	return time.Unix(seconds, nanos), err
}
