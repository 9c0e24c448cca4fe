package provider

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestRunStopsWaiting holds that an apply that is interrupted, or whose limit
// passes, leaves what it started alone, and that the next one adopts it.
func TestRunStopsWaiting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		point string
		limit time.Duration // 0 where the apply is interrupted
	}{
		"interrupted in the first phase":    {simulator.BootstrapperStarted, 0},
		"interrupted between two replicas":  {simulator.ReplicaReplaced(1), 0},
		"interrupted in the migration":      {simulator.MigrationStarted, 0},
		"limit passes between two replicas": {simulator.ReplicaReplaced(1), 3 * time.Second},
		"limit passes in the migration":     {simulator.MigrationStarted, 3 * time.Second},
	} {
		for _, kind := range []string{"create", "update"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				// On a busy machine a short limit may pass before the point is reached.
				for limit := c.limit; !stopsWaiting(t, kind, c.point, limit); limit *= 3 {
					if limit > time.Minute {
						t.Fatalf("%s was not reached within %s", c.point, limit)
					}
				}
			})
		}
	}
}

// stopsWaiting has an apply end at the point, by its limit if there is one, and makes
// another one. It is false, and tests no more, if the limit may have passed before.
func stopsWaiting(t *testing.T, kind, point string, limit time.Duration) bool {
	t.Helper()
	cluster := start(t, "2.5.6")
	p := planner(t, cluster)
	config := values{"target_version": "2.6.15"}
	limited, want := config, "Reason: Terraform was interrupted."
	if limit > 0 {
		limited = in(config, values{"timeouts": values{kind: limit.String()}})
		want = "timeouts." + kind + " of " + duration.Text(limit) + " passed."
	}
	var prior values
	if kind == "update" {
		prior = state(cluster, "2.5.6")
	}
	interrupted, cancel := context.WithCancel(p.ctx)
	defer cancel()
	p.ctx = interrupted
	var inTime atomic.Bool
	began := time.Now()
	cluster.At(point, func() {
		inTime.Store(limit == 0 || time.Since(began) < limit)
		if limit == 0 {
			cancel()
		}
	})
	release := cluster.Hold(point)
	stopped := p.apply(prior, limited)
	expect(t, stopped.diags, want)
	if !inTime.Load() {
		return false
	}
	if kind == "create" && stopped.state != nil {
		t.Error("a create that was interrupted saved a state")
	}
	if kind == "update" {
		wantTarget(t, stopped, "2.5.6")
		seen(t, stopped, cluster)
		prior = stopped.values()
	}

	p.ctx = t.Context()
	release()
	done := p.apply(prior, config)
	expect(t, done.diags, "")
	runs(t, cluster, "2.6.15")
	wantBootstrapperRuns(t, cluster, 1)
	wantMigrations(t, cluster, 1)
	steady(t, p, done, config)
	return true
}

// TestLastUpgradeAfterAResume interrupts the second of two hops. What the next apply did
// began with that hop. The path of a create, which is the same in every plan, begins with
// the first one.
func TestLastUpgradeAfterAResume(t *testing.T) {
	t.Parallel()
	for kind, path := range map[string][]string{"create": {"2.5.6", "2.6.15"}, "update": {"2.6.15"}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			p := planner(t, cluster)
			var prior values
			if kind == "update" {
				prior = state(cluster, "2.5.6")
			}
			config := values{"target_version": "2.7.8", "via": []any{"2.6.15"}}
			reached, release := cluster.HoldNth(simulator.ReplicaStarted(2), 2)
			interrupted, cancel := context.WithCancel(p.ctx)
			defer cancel()
			go func() {
				<-reached
				cancel()
			}()
			p.ctx = interrupted
			stopped := p.apply(prior, config)
			expect(t, stopped.diags, "Reason: Terraform was interrupted.")
			if kind == "update" {
				prior = stopped.values()
			}
			p.ctx = t.Context()
			release()
			done := p.apply(prior, config)
			expect(t, done.diags, "")
			runs(t, cluster, "2.7.8")
			from := func(v tftypes.Value) (text string) {
				must(fieldsOf(v)["from"].As(&text))
				return text
			}
			var hops []tftypes.Value
			must(done.state["upgrade_path"].As(&hops))
			var began []string
			for _, hop := range hops {
				began = append(began, from(hop))
			}
			if got := from(done.state["last_upgrade"]); got != "2.6.15" || done.number(t, "hops") != 1 || done.number(t, "bootstrapper_runs") != 1 {
				t.Errorf("last_upgrade is %s", done.state["last_upgrade"])
			}
			if !slices.Equal(began, path) {
				t.Errorf("upgrade_path is %s", hops)
			}
			steady(t, p, done, config)
		})
	}
}

// TestTwoAppliesAtOnce holds that two applies that do not know of each other
// make one upgrade.
func TestTwoAppliesAtOnce(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	config := values{"target_version": "2.6.15"}
	var wg sync.WaitGroup
	results := make([]applied, 2)
	for i := range results {
		p := planner(t, cluster)
		prior := state(cluster, "2.5.6")
		wg.Go(func() { results[i] = p.apply(prior, config) })
	}
	wg.Wait()
	for _, r := range results {
		expect(t, r.diags, "")
		seen(t, r, cluster)
	}
	runs(t, cluster, "2.6.15")
	wantBootstrapperRuns(t, cluster, 1)
}

// TestRunThroughOutages holds that an apply outlasts an outage of what it asks,
// and stops waiting when one is too long.
func TestRunThroughOutages(t *testing.T) {
	t.Parallel()
	for _, service := range []string{simulator.ServiceDTR, simulator.ServiceUCP, simulator.ServiceEngine} {
		for name, fault := range map[string]simulator.Fault{
			"resets":  {Reset: true, Times: 30},
			"errors":  {Status: 503, Times: 30},
			"garbage": {Garbage: true, Times: 30},
		} {
			t.Run("short, "+service+", "+name, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.5.6")
				p := planner(t, cluster)
				fault.Service = service
				cluster.At(simulator.ReplicaStarted(2), func() { cluster.Inject(fault) })
				config := values{"target_version": "2.6.15"}
				done := p.apply(nil, config)
				expect(t, done.diags, "")
				runs(t, cluster, "2.6.15")
				wantBootstrapperRuns(t, cluster, 1)
			})
		}
		t.Run("long, "+service, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			impatient := pace
			impatient.Outage = 100 * time.Millisecond
			p := newProtocol(t, append(quick(), WithPace(impatient))...)
			p.ok(nil, p.configure(connected(cluster)))
			var mend func()
			cluster.At(simulator.ReplicaStarted(2), func() {
				if service == simulator.ServiceUCP {
					cluster.ExpireTokens() // UCP itself is only needed for a new one
				}
				mend = cluster.Inject(simulator.Fault{Service: service, Reset: true})
			})
			want, release := "Error: DTR does not answer\n", func() {}
			if service != simulator.ServiceDTR { // the upgrade itself is followed without DTR
				want, release = "Error: Terraform stopped waiting for the DTR upgrade\n", cluster.Hold(simulator.ReplicaReplaced(2))
			}
			config := values{"target_version": "2.6.15"}
			failed := p.apply(nil, config)
			expect(t, failed.diags, want)
			if text := render(failed.diags); !strings.Contains(text, "very attempt for 100ms failed") {
				t.Errorf("the time of the outage is not said:\n%s", text)
			}
			mend()
			release()
			done := p.apply(nil, config)
			expect(t, done.diags, "")
			runs(t, cluster, "2.6.15")
			wantBootstrapperRuns(t, cluster, 1)
		})
	}
}

// TestForeignBootstrapper holds that somebody else's upgrade is not touched.
func TestForeignBootstrapper(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	release := cluster.Hold(simulator.ReplicaReplaced(1))
	defer release()
	cluster.StartForeignBootstrapper("2.6.15")
	<-cluster.Reached(simulator.ReplicaReplaced(1))
	got := planner(t, cluster).plan(nil, values{"target_version": "2.6.15"})
	expect(t, got.diags, "Error: Another DTR bootstrapper is running\n")
}

// TestAdoption holds that a cluster that is at the target already is taken over
// without being touched.
func TestAdoption(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	p := planner(t, cluster)
	config := values{"target_version": "2.6.15", "via": []any{"2.5.6"}}
	done := p.apply(nil, config)
	expect(t, done.diags, "")
	if len(done.diags) > 0 {
		t.Error(render(done.diags))
	}
	if !done.state["last_upgrade"].IsNull() {
		t.Error("last_upgrade is set")
	}
	seen(t, done, cluster)
	onlyReads(t, cluster)
	steady(t, p, done, config)
}
