package upgrade

import (
	"context"
	"net/http"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// failedAtItsEnd is a cluster whose bootstrapper has replaced everything and ended with
// status 1.
func failedAtItsEnd(t *testing.T, from string) (*simulator.Cluster, func(context.Context) error) {
	t.Helper()
	sim, c := clustertest.Start(t, from)
	one := 1
	sim.SetBootstrapper(simulator.BootstrapperFaults{ExitStatus: &one})
	_, err := runUpgrade(t, c, to("2.6.15"))
	_ = clustertest.AsError[*runner.BootstrapperError](t, err)
	clustertest.WantAt(t, sim, "2.6.15")
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	return sim, func(ctx context.Context) error {
		_, err := Run(ctx, c, to("2.6.15"))
		return err
	}
}

// TestFailureIsNotForgotten has the apply that was to repeat a bootstrapper that failed
// come to an end before it has: the next apply repeats it, though every container runs the
// target.
func TestFailureIsNotForgotten(t *testing.T) {
	t.Parallel()
	engine := func(method, path string) simulator.Fault {
		return simulator.Fault{Service: simulator.ServiceEngine, Method: method, Path: path, Times: 1}
	}
	then := func(f simulator.Fault, do func()) simulator.Fault {
		f.Rewrite = func(status int, body []byte) (int, []byte) { do(); return status, body }
		return f
	}
	killed := func(f simulator.Fault) func(*testing.T, *simulator.Cluster, context.Context, func()) (undo func()) {
		return func(_ *testing.T, sim *simulator.Cluster, ctx context.Context, cancel func()) func() {
			sim.Inject(then(f, cancel))
			return sim.Inject(simulator.Fault{Matches: func(*http.Request) bool { return ctx.Err() != nil }, Reset: true})
		}
	}
	for name, c := range map[string]struct {
		from string
		end  func(t *testing.T, sim *simulator.Cluster, ctx context.Context, cancel func()) (undo func())
	}{
		"killed when its container was renamed":   {"2.6.8", killed(engine(http.MethodPost, "/containers/*/rename"))},
		"killed when that of a migrating hop was": {"2.5.6", killed(engine(http.MethodPost, "/containers/*/rename"))},
		"killed when the next container was made": {"2.6.8", killed(engine(http.MethodPost, "/containers/create"))},
		"the engine refuses to make the next one": {"2.6.8", func(_ *testing.T, sim *simulator.Cluster, _ context.Context, _ func()) func() {
			refusal := engine(http.MethodPost, "/containers/create")
			refusal.Status, refusal.Body = http.StatusForbidden, `{"message":"access denied"}`
			return sim.Inject(refusal)
		}},
		"interrupted before the next one is started": {"2.6.8", func(_ *testing.T, sim *simulator.Cluster, _ context.Context, cancel func()) func() {
			made := false
			sim.Inject(then(engine(http.MethodPost, "/containers/create"), func() { made = true }))
			look := then(engine(http.MethodGet, "/containers/json"), cancel)
			look.Skip, look.Matches = 1, func(*http.Request) bool { return made }
			return sim.Inject(look)
		}},
		"a node is gone before the next one is started": {"2.6.8", func(_ *testing.T, sim *simulator.Cluster, _ context.Context, _ func()) func() {
			show := func() {}
			sim.Inject(then(engine(http.MethodPost, "/containers/create"), func() { show = sim.HideNodes("worker2") }))
			return func() { show() }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, again := failedAtItsEnd(t, c.from)
			ctx, cancel := context.WithCancel(clustertest.Limited(t))
			defer cancel()
			undo := c.end(t, sim, ctx, cancel)
			if err := again(ctx); err == nil {
				t.Fatal("it came to its end")
			}
			undo()
			if err := again(clustertest.Limited(t)); err != nil {
				t.Fatal(err)
			}
			if n := sim.BootstrapperRuns(); n != 2 {
				t.Errorf("%d runs of the bootstrapper", n)
			}
			clustertest.WantNoBootstrapper(t, sim)
		})
	}
}

// TestKilledWhileTidying has a bootstrapper that was repeated after an hour, and has made
// nothing anew, be the only one left when its apply is killed.
func TestKilledWhileTidying(t *testing.T) {
	t.Parallel()
	sim, again := failedAtItsEnd(t, "2.5.6")
	anHourAgo(t, sim)
	ctx, cancel := context.WithCancel(clustertest.Limited(t))
	defer cancel()
	revive := sim.Inject(simulator.Fault{Matches: func(*http.Request) bool { return ctx.Err() != nil }, Reset: true})
	sim.Inject(simulator.Fault{ // the first one that is removed is that of the failure
		Service: simulator.ServiceEngine, Method: http.MethodDelete, Path: "/containers/*", Times: 1,
		Rewrite: func(status int, body []byte) (int, []byte) { cancel(); return status, body },
	})
	if err := again(ctx); err == nil {
		t.Fatal("it came to its end")
	}
	revive()
	if err := again(clustertest.Limited(t)); err != nil {
		t.Fatal(err)
	}
	if n := sim.BootstrapperRuns(); n != 2 {
		t.Errorf("%d runs of the bootstrapper", n)
	}
	clustertest.WantNoBootstrapper(t, sim)
}
