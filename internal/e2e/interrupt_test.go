//go:build e2e && linux

package e2e_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// moment waits for something to happen in the cluster.
type moment func(ctx context.Context) error

// event is the first one of a container whose name begins so.
func event(action, name string) moment {
	return func(ctx context.Context) error {
		_, err := engines.WaitFor(ctx, func(e rig.Event) bool {
			return e.Action == action && strings.HasPrefix(e.Name, name)
		})
		return err
	}
}

// request is the first one of the provider with this method and end of path.
func request(c *simulator.Cluster, method, path string) moment {
	return func(ctx context.Context) error {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			for _, r := range c.Requests() {
				if r.Method == method && strings.HasSuffix(r.Path, path) && !r.Bootstrapper() {
					return nil
				}
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

func TestKilledAtEveryStep(t *testing.T) {
	c := lagging(t, "2.5.6", "2.6.15", "rethinkdb", "jobrunner", "scanningstore")
	repository, _, err := engines.Publish(t.Context(), "killed/dtr", "2.6.15") // to be pulled
	if err != nil {
		t.Fatal(err)
	}
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
	for _, step := range []struct {
		name string
		moment
	}{
		{"images are pulled", request(c, "POST", "/images/create")},
		{"bootstrapper is created", event("create", "dtr-upgrade-")},
		{"bootstrapper is started", event("start", "dtr-upgrade-")},
		{"second replica is replaced", event("start", "dtr-rethinkdb-"+rig.Replica(2))},
		{"bootstrapper has ended", event("die", "dtr-upgrade-")},
		{"migration runs", point(c, simulator.MigrationStarted)},
		{"migration has run", point(c, simulator.MigrationFinished)},
	} {
		t.Log("killed when: " + step.name)
		if err := w.applyUntil(t, step.moment, func() { w.kill(t) }); err == nil {
			t.Fatal("the apply ended well")
		}
	}
	w.mustApply(t)
	wantVersion(t, "2.6.15")
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
			wantVersion(t, "2.6.15")
			if n := bootstrapperRuns(); n > 2 {
				t.Errorf("%d bootstrapper runs", n)
			}
			w.wantNoChanges(t)
		})
	}
}

// An engine that is restarted takes the containers of its replica down for a
// moment, and the bootstrapper for good where that runs on it.
func TestEngineRestarted(t *testing.T) {
	for _, name := range []string{"worker2", "worker1"} {
		t.Run(name, func(t *testing.T) {
			c := lagging(t, "2.6.14", "2.6.15", "rethinkdb", "scanningstore")
			repository, _ := publish(t, "2.6.15")
			w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
			err := w.applyUntil(t, event("start", "dtr-rethinkdb-"+rig.Replica(2)), func() {
				n := engines.Node(name)
				if err := errors.Join(n.Stop(t.Context()), n.Start(t.Context())); err != nil {
					t.Error(err)
				}
			})
			t.Logf("the apply: %v", err)
			if err != nil {
				w.mustApply(t)
			}
			wantVersion(t, "2.6.15")
			w.wantNoChanges(t)
		})
	}
}

// A node that is off the network goes on, unseen.
func TestNodeCutOff(t *testing.T) {
	for _, name := range []string{"worker3", "worker1"} {
		t.Run(name, func(t *testing.T) {
			c := lagging(t, "2.6.14", "2.6.15", "rethinkdb", "scanningstore")
			repository, _ := publish(t, "2.6.15")
			w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
			err := w.applyUntil(t, event("start", "dtr-rethinkdb-"+rig.Replica(2)), func() {
				n := engines.Node(name)
				if err := n.Unplug(t.Context()); err != nil {
					t.Error(err)
				}
				if err := engines.WaitUntilDown(t.Context(), n); err != nil {
					t.Error(err)
				}
				if err := n.Plug(t.Context()); err != nil {
					t.Error(err)
				}
			})
			t.Logf("the apply: %v", err)
			if err != nil {
				w.mustApply(t)
			}
			wantVersion(t, "2.6.15")
			w.wantNoChanges(t)
		})
	}
}
