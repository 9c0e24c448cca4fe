package provider

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// nights is a window from 22:00 to 23:00 in Berlin, and two times of which one
// lies in it.
var (
	nights  = values{"schedule": "0 22 * * *", "duration": "1h", "timezone": "Europe/Berlin"}
	byDay   = time.Date(2020, time.January, 4, 12, 0, 0, 0, time.UTC)
	byNight = time.Date(2020, time.January, 4, 21, 30, 0, 0, time.UTC)
)

// tonight is when that window opens after byDay.
const tonight = "2020-01-04T22:00:00+01:00"

// watch is a clock that is set by hand. It has a provider tell the time by it.
type watch struct {
	mu      sync.Mutex
	now     time.Time
	onAsked func() // before the answer
}

func (w *watch) tell() time.Time {
	if w.onAsked != nil {
		w.onAsked()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) set(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = t
}

// timed is a provider that is connected to a cluster and goes by a watch.
func timed(t *testing.T, c *simulator.Cluster, w *watch) *protocol {
	t.Helper()
	p := newProtocol(t, append(quick(), WithClock(w.tell))...)
	p.ok(nil, p.configure(connected(c)))
	return p
}

// TestPlanOutsideOfTheWindow holds that a plan warns of a closed window when there
// is something that it keeps from being done, and is never refused for it.
func TestPlanOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	const closed = "Warning: The maintenance window is closed\n  at maintenance_window\n\n" +
		"Window: \"0 22 * * *\" for 1h, Europe/Berlin\nOpens next: " + tonight + "\n\nAn apply "
	due := values{"target_version": "2.6.15", "maintenance_window": nights}
	for name, c := range map[string]struct {
		at     time.Time
		config values
		want   string
	}{
		"closed": {byDay, due, closed + "before that is refused, and changes nothing.\n"},
		"closed, to wait for": {
			byDay, in(due, values{"maintenance_window": in(nights, values{"wait": true}), "timeouts": values{"create": "24h", "update": "24h"}}),
			closed + "before that waits for it, for as long as its timeouts allow.\n",
		},
		"closed for longer than an apply waits": {
			byDay, in(due, values{"maintenance_window": in(nights, values{"wait": true})}),
			closed + "waits for it for no longer than its time limit of 6h: one before 2020-01-04T16:00:00+01:00 is refused, and changes nothing. " +
				"To have it wait from now on, raise create and update of timeouts.\n",
		},
		"open":              {byNight, due, ""},
		"none":              {byDay, values{"target_version": "2.6.15"}, ""},
		"nothing due":       {byDay, in(due, values{"target_version": "2.5.6"}), ""},
		"not known":         {byDay, in(due, values{"maintenance_window": unknown{}}), ""},
		"in part not known": {byDay, in(due, values{"maintenance_window": in(nights, values{"timezone": unknown{}})}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := timed(t, cluster, &watch{now: c.at})
			for kind, prior := range map[string]values{"create": nil, "update": state(cluster, "2.5.6")} {
				got := p.plan(prior, c.config)
				p.ok(nil, got.diags)
				if text := render(got.diags); !strings.Contains(text, c.want) || c.want == "" && strings.Contains(text, "window") {
					t.Errorf("%s: got:\n%s\nwant in it: %q", kind, text, c.want)
				}
			}
		})
	}
}

// TestApplyOutsideOfTheWindow holds that nothing is touched then, and that the
// same apply goes through in the window.
func TestApplyOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"create", "update"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cluster, w := start(t, "2.5.6"), &watch{now: byDay}
			p := timed(t, cluster, w)
			var prior values
			if kind == "update" {
				prior = state(cluster, "2.5.6")
			}
			config := values{"target_version": "2.6.15", "maintenance_window": nights}
			refused := p.apply(prior, config)
			expect(t, refused.diags, "Error: The maintenance window is closed\n  at maintenance_window\n")
			expect(t, refused.diags, "Opens next: "+tonight+"\nThe hop from 2.5.6 to 2.6.15 was not begun.\n")
			onlyReads(t, cluster)
			switch {
			case kind == "create" && refused.state != nil:
				t.Error("a create that was refused saved a state")
			case kind == "update":
				seen(t, refused, cluster)
				wantTarget(t, refused, "2.5.6")
				prior = refused.values()
			}

			w.set(byNight)
			done := p.apply(prior, config)
			expect(t, done.diags, "")
			runs(t, cluster, "2.6.15")
			w.set(byDay) // where nothing is due, no window matters
			steady(t, p, done, config)
		})
	}
}

// TestWindowClosesBetweenHops holds that the hop under way is finished, that the
// state tells how far it went, and that the rest is made in the next window.
func TestWindowClosesBetweenHops(t *testing.T) {
	t.Parallel()
	cluster, w := start(t, "2.5.6"), &watch{now: byNight}
	p := timed(t, cluster, w)
	cluster.At(simulator.ReplicaReplaced(1), sync.OnceFunc(func() { w.set(byDay) }))
	config := values{"target_version": "2.7.8", "via": []any{"2.6.15"}, "maintenance_window": nights}
	stopped := p.apply(state(cluster, "2.5.6"), config)
	expect(t, stopped.diags, "The hop from 2.6.15 to 2.7.8 was not begun.\n")
	atFirstStop(t, stopped, cluster)

	w.set(byNight)
	done := p.apply(stopped.values(), config)
	expect(t, done.diags, "")
	runs(t, cluster, "2.7.8")
	wantBootstrapperRuns(t, cluster, 2)
	w.set(byDay)
	steady(t, p, done, config)
}

// TestWaitForTheWindow holds that an apply with wait goes through by itself, and
// can be interrupted while it waits.
func TestWaitForTheWindow(t *testing.T) {
	t.Parallel()
	config := values{"target_version": "2.6.15", "maintenance_window": in(nights, values{"wait": true})}
	late := in(config, values{"timeouts": values{"create": "11h"}}) // longer than until then
	t.Run("until it opens", func(t *testing.T) {
		t.Parallel()
		cluster, w := start(t, "2.5.6"), &watch{now: byDay}
		p := timed(t, cluster, w)
		asked := 0
		w.onAsked = func() {
			if asked++; asked == 10 { // the plans ask too
				onlyReads(t, cluster)
				w.set(byNight)
			}
		}
		expect(t, p.apply(nil, late).diags, "")
		runs(t, cluster, "2.6.15")
		if asked < 10 {
			t.Error("the window was not waited for")
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		cluster, w := start(t, "2.5.6"), &watch{now: byDay}
		p := timed(t, cluster, w)
		interrupted, cancel := context.WithCancel(p.ctx)
		defer cancel()
		p.ctx = interrupted
		asked := 0
		w.onAsked = func() {
			if asked++; asked == 10 {
				cancel()
			}
		}
		stopped := p.apply(nil, late)
		expect(t, stopped.diags, "Error: Terraform stopped waiting for the maintenance window\n\nOpens next: "+tonight+"\nReason: Terraform was interrupted.\n")
		if stopped.state != nil {
			t.Error("a create that was interrupted saved a state")
		}
		onlyReads(t, cluster)
	})
	t.Run("not where the time limit passes before", func(t *testing.T) {
		t.Parallel()
		cluster, w := start(t, "2.5.6"), &watch{now: byDay}
		refused := timed(t, cluster, w).apply(nil, config)
		expect(t, refused.diags, "The time limit of this apply passes before that.")
		onlyReads(t, cluster)
	})
}

// TestTerraformWindow holds what Terraform makes of a window that closes on a run
// of two hops.
func TestTerraformWindow(t *testing.T) {
	t.Parallel()
	cluster, w := start(t, "2.5.6"), &watch{now: byDay}
	cluster.At(simulator.MigrationFinished, func() { w.set(byDay) })
	step := func(now time.Time) resource.TestStep {
		return resource.TestStep{
			PreConfig: func() { w.set(now) },
			Config: upgradeTo(`via = ["2.6.15"]`, `maintenance_window = {
				schedule = "0 22 * * *"
				duration = "1h"
				timezone = "Europe/Berlin"
			}`),
			ConfigVariables: variables(cluster, "2.7.8"),
		}
	}
	closed := says("Error: The maintenance window is closed with dtr_upgrade.this")
	early, first, late, second := step(byDay), step(byNight), step(byDay), step(byNight)
	early.ExpectError, first.ExpectError, late.ExpectError = closed, says("The hop from 2.6.15 to 2.7.8 was not begun."), closed
	second.ConfigPlanChecks.PreApply = []plancheck.PlanCheck{
		plancheck.ExpectResourceAction(resourceAddress, plancheck.ResourceActionCreate), // a create that fails saves nothing
		planPath(hop("", "2.7.8", "minor-upgrade")),
	}
	second.ConfigPlanChecks.PostApplyPostRefresh = []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}
	inTerraform(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(WithClock(w.tell)),
		Steps:                    []resource.TestStep{early, first, late, second},
	})
	runs(t, cluster, "2.7.8")
	wantBootstrapperRuns(t, cluster, 2)
}

// atFirstStop checks the state of an update from 2.5.6 by way of 2.6.15 that did
// not come further: it tells what runs, and has not taken the target over.
func atFirstStop(t *testing.T, stopped applied, c *simulator.Cluster) {
	t.Helper()
	runs(t, c, "2.6.15")
	seen(t, stopped, c)
	wantTarget(t, stopped, "2.5.6")
	if last := stopped.state["last_upgrade"]; !last.IsNull() {
		t.Errorf("last_upgrade is %s", last)
	}
	if path := stopped.state["upgrade_path"]; !path.Equal(tftypes.NewValue(path.Type(), []tftypes.Value{})) {
		t.Errorf("upgrade_path is %s", path)
	}
}
