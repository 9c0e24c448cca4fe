//go:build e2e && linux

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// moment waits for something to happen in the cluster.
type moment func(ctx context.Context) error

// event is the first one of a container whose name begins so.
func event(action, name string) moment {
	return anyEvent(func(e rig.Event) bool { return e.Action == action && strings.HasPrefix(e.Name, name) })
}

// taskEvent is event of the bootstrapper's container, by its command.
func taskEvent(action, command string) moment {
	return anyEvent(func(e rig.Event) bool {
		return e.Action == action && strings.HasPrefix(e.Name, "dtr-upgrade-") && e.Command == command
	})
}

func anyEvent(wanted func(rig.Event) bool) moment {
	return func(ctx context.Context) error {
		_, err := engines.WaitFor(ctx, wanted)
		return err
	}
}

// startOf is the first start of a container of an image.
func startOf(image string) moment {
	return func(ctx context.Context) error {
		_, err := engines.WaitFor(ctx, func(e rig.Event) bool { return e.Action == "start" && e.Image == image })
		return err
	}
}

// request is the first one of the provider with this method and end of path.
func request(c *simulator.Cluster, method, path string) moment { return requests(c, 1, method, path) }

// requests is the n-th one of the provider, from now on.
func requests(c *simulator.Cluster, n int, method, path string) moment {
	from := len(c.Requests())
	return func(ctx context.Context) error {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			seen := 0
			for _, r := range c.Requests()[from:] {
				if r.Method == method && strings.HasSuffix(r.Path, path) && !r.Bootstrapper() {
					seen++
				}
			}
			if seen >= n {
				return nil
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-ticker.C:
			}
		}
	}
}

// point is one of the simulated DTR.
func point(c *simulator.Cluster, name string) moment {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.Reached(name):
			return nil
		}
	}
}

// applyUntil applies, and calls then while the apply goes on after the moment.
// It returns how the apply ended.
func (w *stage) applyUntil(t *testing.T, m moment, then func()) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		err := w.apply(t.Context())
		cancel(errors.Join(errors.New("the apply ended first"), err))
		ended <- err
	}()
	if err := m(ctx); err != nil {
		t.Fatal(err)
	}
	then()
	return <-ended
}

// looksOfAPlan is how often DTR is asked for jobs, of each of four actions, before a
// run begins its work: by the plan, by the plan that the apply makes once more, and
// by the run's own preflight.
const looksOfAPlan = 12

// TestKilledAtEveryStep kills each apply once the step has come and the apply is at
// work itself, which it joins where an apply before has begun it.
func TestKilledAtEveryStep(t *testing.T) {
	c := lagging(t, "2.5.6", "2.6.15", "rethinkdb", "jobrunner", "scanningstore")
	repository, _, err := engines.Publish(t.Context(), "killed/dtr", "2.6.15") // to be pulled
	if err != nil {
		t.Fatal(err)
	}
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
	running, finished := c.Hold(simulator.MigrationStarted), c.Hold(simulator.MigrationFinished)
	defer running()
	defer finished()
	for _, step := range []struct {
		name string
		moment
		polls   int    // for jobs, that show the apply to be past the looks of a plan
		release func() // after the kill; nil where nothing is held
	}{
		{"images are pulled", request(c, "POST", "/images/create"), 0, nil},
		{"bootstrapper is created", event("create", "dtr-upgrade-"), 0, nil},
		{"bootstrapper is started", event("start", "dtr-upgrade-"), 0, nil},
		{"second replica is replaced", event("start", "dtr-rethinkdb-"+rig.Replica(2)), 0, nil},
		{"bootstrapper has ended", event("die", "dtr-upgrade-"), 0, nil},
		{"migration runs", point(c, simulator.MigrationStarted), 2, running},
		{"migration has run", point(c, simulator.MigrationFinished), 2, finished},
	} {
		t.Log("killed when: " + step.name)
		atWork := requests(c, looksOfAPlan+step.polls, "GET", "/api/v0/jobs")
		if err := w.applyUntil(t, func(ctx context.Context) error {
			if err := step.moment(ctx); err != nil {
				return err
			}
			return atWork(ctx)
		}, func() { w.kill(t) }); err == nil {
			t.Fatal("the apply ended well")
		}
		if step.release != nil {
			step.release()
		}
	}
	w.mustApply(t)
	wantVersionOf(t, repository, "2.6.15", "rethinkdb", "jobrunner", "scanningstore")
	if n := bootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
	if jobs := c.Jobs(); len(jobs) != 1 || jobs[0].Status != "done" {
		t.Errorf("jobs: %+v", jobs)
	}
	w.wantNoChanges(t)
}

// A first phase that is killed leaves the second one, which goes on.
func TestBootstrapperKilledFromOutside(t *testing.T) {
	for _, name := range []string{"dtr-upgrade-", "dtr-phase2"} {
		t.Run(name, func(t *testing.T) {
			c := lagging(t, "2.6.14", "2.6.15", "rethinkdb", "scanningstore")
			repository, _ := publish(t, "2.6.15")
			w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
			err := w.applyUntil(t, event("start", "dtr-rethinkdb-"+rig.Replica(2)), func() {
				for _, ct := range engines.List() {
					if strings.HasPrefix(ct.Name, name) {
						_, err := engines.Node(ct.Node).Docker.ContainerKill(t.Context(), ct.ID, client.ContainerKillOptions{})
						if err != nil {
							t.Error(err)
						}
					}
				}
			})
			t.Logf("the apply: %v", err)
			if err == nil || !strings.Contains(err.Error(), "137") {
				t.Error("the apply does not tell of exit status 137")
			}
			w.mustApply(t)
			wantVersion(t, repository, "2.6.15")
			if n := bootstrapperRuns(); n > 2 {
				t.Errorf("%d bootstrapper runs", n)
			}
			w.wantNoChanges(t)
		})
	}
}

// disturbance is something that happens to a node while its neighbour's replica
// is being replaced.
type disturbance struct {
	node string
	// survives says whether the bootstrapper lives through it. Where it does not,
	// the apply must say so, and the next one goes on.
	survives bool
	happens  func(t *testing.T, c *simulator.Cluster, n *rig.Node)
}

func (d disturbance) run(t *testing.T) {
	t.Helper()
	c := lagging(t, "2.6.14", "2.6.15", "rethinkdb", "scanningstore")
	repository, _ := publish(t, "2.6.15")
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
	err := w.applyUntil(t, event("start", "dtr-rethinkdb-"+rig.Replica(2)), func() { d.happens(t, c, engines.Node(d.node)) })
	t.Logf("the apply: %v", err)
	runs := 1
	if d.survives {
		if err != nil {
			t.Error("the apply did not go on")
		}
	} else {
		if err == nil || !strings.Contains(err.Error(), "The DTR bootstrapper failed") {
			t.Error("the apply does not tell that the bootstrapper failed")
		}
		w.mustApply(t)
		runs = 2
	}
	wantVersion(t, repository, "2.6.15")
	if n := bootstrapperRuns(); n != runs {
		t.Errorf("%d bootstrapper runs, want %d", n, runs)
	}
	w.wantNoChanges(t)
}

// An engine that is restarted takes the containers of its replica down for a
// moment, and the bootstrapper for good where that runs on it.
func TestEngineRestarted(t *testing.T) {
	for _, name := range []string{"worker2", "worker1"} {
		t.Run(name, disturbance{node: name, happens: func(t *testing.T, _ *simulator.Cluster, n *rig.Node) {
			t.Helper()
			if err := errors.Join(n.Stop(t.Context()), n.Start(t.Context())); err != nil {
				t.Error(err)
			}
		}}.run)
	}
}

// A node that is off the network goes on, unseen. The bootstrapper on it has lost
// UCP.
//
// The node that is still to be upgraded is away for so long that UCP says so; the
// one of the bootstrapper, a manager, until UCP has given up what it has open to it,
// also what it has asked and what never got there.
func TestNodeCutOff(t *testing.T) {
	for _, d := range []disturbance{{node: "worker3", survives: true}, {node: "worker1"}} {
		d.happens = func(t *testing.T, c *simulator.Cluster, n *rig.Node) {
			t.Helper()
			ucp := through(t, c, "")
			ucp.get(t, "/networks") // which the manager answers, on a connection that is kept
			if err := n.Unplug(t.Context()); err != nil {
				t.Error(err)
			}
			if !d.survives {
				asked, forget := context.WithCancel(t.Context())
				defer forget()
				ucp.client.Timeout = 0
				go func() {
					if answer, err := ucp.send(asked, http.MethodGet, "/networks", nil); err == nil {
						_ = answer.Body.Close()
					}
				}()
			}
			if err := engines.WaitUntilDown(t.Context(), n); err != nil {
				t.Error(err)
			}
			if !d.survives {
				limited, cancel := context.WithTimeout(t.Context(), answerLimit)
				defer cancel()
				if err := n.WaitUntilLost(limited); err != nil {
					t.Errorf("connections to %s: %v", n.Name, err)
				}
			}
			if err := n.Plug(t.Context()); err != nil {
				t.Error(err)
			}
		}
		t.Run(d.node, d.run)
	}
}

// UCP that is away for a while, for the provider alone, is waited for: longer
// than requests are repeated for.
func TestUCPIsAwayInMidRollout(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "rethinkdb", "scanningstore")
	repository, _ := publish(t, "2.6.15")
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
	const failures = 30
	err := w.applyUntil(t, event("start", "dtr-rethinkdb-"+rig.Replica(2)), func() {
		c.Inject(simulator.Fault{Service: simulator.ServiceEngine, Status: http.StatusBadGateway, Times: failures})
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, r := range c.Requests() {
		if r.Status == http.StatusBadGateway {
			failed++
		}
	}
	if failed != failures {
		t.Errorf("UCP failed %d times, want %d", failed, failures)
	}
	wantVersion(t, repository, "2.6.15")
	if n := bootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
	w.wantNoChanges(t)
}

// A bootstrapper that dies in the middle, says nothing of it and ends well is not
// believed.
func TestBootstrapperLies(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "rethinkdb", "scanningstore")
	liar, _, err := engines.Publish(t.Context(), "liar/dtr", "2.6.15", standin.EnvFaults+`={"DieAtReplica": 2, "ClaimSuccess": true}`)
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Target: "2.6.15", Repository: liar}
	w := newStage(t, c, s)
	err = w.apply(t.Context())
	if err == nil {
		t.Fatal("the apply ended well")
	}
	for _, says := range []string{"is not completely at 2.6.15", "dtr-rethinkdb-" + rig.Replica(3)} {
		if !strings.Contains(strings.Join(strings.Fields(err.Error()), " "), says) {
			t.Errorf("the error does not say %q:\n%v", says, err)
		}
	}
	repository, _ := publish(t, "2.6.15")
	s.Repository = repository
	w.write(t, s)
	w.mustApply(t)
	w.wantNoChanges(t)
	if n := bootstrapperRuns(); n != 2 {
		t.Errorf("%d bootstrapper runs", n)
	}
}
