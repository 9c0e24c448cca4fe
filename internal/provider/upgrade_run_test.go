package provider

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// expect checks that a text is among the diagnostics, or that none is an error
// when it is "".
func expect(t *testing.T, got []*tfprotov6.Diagnostic, want string) {
	t.Helper()
	if text := render(got); want == "" && hasErrors(got) || !strings.Contains(text, want) {
		t.Fatalf("got:\n%s\nwant in it: %q", text, want)
	}
}

// TestRunFailures holds for every way of failing that a create saves nothing,
// that an update keeps what it had and tells what runs, and that the next apply
// ends at the target once the cause is gone.
func TestRunFailures(t *testing.T) {
	t.Parallel()
	impatient := func(p *wait.Pace) { p.Consistent = 300 * time.Millisecond }
	for name, c := range map[string]struct {
		pace   func(*wait.Pace)
		config values
		fault  func(*simulator.Cluster) // before the apply
		mend   func(*simulator.Cluster) // before the next one
		again  values                   // what is configured then besides
		want   string
		mixed  bool // whether the failure leaves two versions running
		runs   int  // of the bootstrapper, in all
		jobs   int  // migration jobs, in all
	}{
		"bootstrapper dies before it begins": {
			fault: func(c *simulator.Cluster) { c.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1}) },
			want:  "Error: The DTR bootstrapper failed\n", runs: 2, jobs: 1,
		},
		"bootstrapper dies at replica 2": {
			fault: func(c *simulator.Cluster) { c.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2}) },
			want:  "Error: The DTR bootstrapper failed\n", mixed: true, runs: 2, jobs: 1,
		},
		"bootstrapper dies and claims success": {
			pace: impatient,
			fault: func(c *simulator.Cluster) {
				c.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2, ClaimSuccess: true})
			},
			want: "is not completely at 2.6.15", mixed: true, runs: 2, jobs: 1,
		},
		"bootstrapper leaves a replica out": {
			pace:  impatient,
			fault: func(c *simulator.Cluster) { c.SetBootstrapper(simulator.BootstrapperFaults{SkipReplica: 3}) },
			want:  "is not completely at 2.6.15\n", mixed: true, runs: 2, jobs: 1,
		},
		"bootstrapper leaves a part out": {
			pace:  impatient,
			fault: func(c *simulator.Cluster) { c.SetBootstrapper(simulator.BootstrapperFaults{LeaveOldPart: "nginx"}) },
			want:  "Error: DTR is not completely at 2.6.15\n", mixed: true, runs: 2, jobs: 1,
		},
		"fatal record and exit status 0": {
			fault: func(c *simulator.Cluster) {
				c.SetBootstrapper(simulator.BootstrapperFaults{FatalRecord: "failed to wait for rethink to be healthy"})
			},
			want: "Error: The DTR bootstrapper failed\n", runs: 2, jobs: 1,
		},
		"replica unhealthy after the upgrade": {
			pace: func(p *wait.Pace) { p.Healthy = 300 * time.Millisecond },
			fault: func(c *simulator.Cluster) {
				c.At(simulator.BootstrapperFinished, func() {
					c.SetReplicaHealth(c.ReplicaIDs()[1], "Rethink replica is currently in state: disconnected")
				})
			},
			mend: func(c *simulator.Cluster) { c.SetReplicaHealth(c.ReplicaIDs()[1], "") },
			want: "Rethink replica is currently in state: disconnected", runs: 1, jobs: 1,
		},
		"migration fails for good": {
			fault: func(c *simulator.Cluster) { c.SetMigration(simulator.MigrationFaults{Fail: -1}) },
			want:  "Error: The migration job metadatastoremigration failed\n", runs: 1, jobs: 5,
		},
		"migration never starts": {
			pace:   func(p *wait.Pace) { p.MigrationStart = 100 * time.Millisecond },
			config: values{"migration": values{"retriggers": 0}},
			fault:  func(c *simulator.Cluster) { c.SetMigration(simulator.MigrationFaults{NeverStart: true}) },
			mend:   func(c *simulator.Cluster) { c.SetMigration(simulator.MigrationFaults{NeverStart: true}) }, // the one posted by hand runs
			again:  values{"migration": values{"retriggers": 1}},
			want:   "Error: DTR did not start the migration job metadatastoremigration\n", runs: 1, jobs: 1,
		},
		"wrong digest": {
			config: values{"image": values{"digests": values{"2.6.15": "sha256:" + strings.Repeat("0", 64)}}},
			mend: func(c *simulator.Cluster) {
				c.SetDigest("docker.io/mirantis/dtr:2.6.15", "sha256:"+strings.Repeat("0", 64))
			},
			want: "Error: The bootstrapper's image does not have the expected digest\n  at image.digests\n", runs: 1, jobs: 1,
		},
	} {
		for _, kind := range []string{"create", "update"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.5.6")
				own := briefPace
				if c.pace != nil {
					c.pace(&own)
				}
				p := planner(t, cluster, WithPace(own))
				var prior values
				if kind == "update" {
					prior = state(cluster, "2.5.6")
				}
				config := in(values{"target_version": "2.6.15"}, c.config)
				if c.fault != nil {
					c.fault(cluster)
				}

				failed := p.apply(prior, config)
				expect(t, failed.diags, c.want)
				switch {
				case kind == "create" && failed.state != nil:
					t.Error("a create that failed saved a state")
				case kind == "update":
					wantTarget(t, failed, "2.5.6")
					if !failed.state["last_upgrade"].IsNull() {
						t.Error("last_upgrade is set")
					}
					seen(t, failed, cluster)
					prior = failed.values()
				}
				if mixed := len(distinct(cluster)) > 1; mixed != c.mixed {
					t.Errorf("mixed versions: %t, want %t", mixed, c.mixed)
				}

				cluster.SetBootstrapper(simulator.BootstrapperFaults{})
				cluster.SetMigration(simulator.MigrationFaults{})
				if c.mend != nil {
					c.mend(cluster)
				}
				config = in(config, c.again)
				done := p.apply(prior, config)
				expect(t, done.diags, "")
				if current := done.text("current_version"); current != "2.6.15" {
					t.Errorf("current_version is %s", current)
				}
				runs(t, cluster, "2.6.15")
				wantBootstrapperRuns(t, cluster, c.runs)
				wantMigrations(t, cluster, c.jobs)
				seen(t, done, cluster)
				steady(t, p, done, config)
			})
		}
	}
}

// distinct are the versions that run, ascending.
func distinct(c *simulator.Cluster) []string {
	found := map[string]bool{}
	for _, parts := range c.Versions() {
		for _, v := range parts {
			found[v] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// migrations are the migration jobs of a cluster.
func migrations(c *simulator.Cluster) []simulator.Job {
	return slices.DeleteFunc(c.Jobs(), func(j simulator.Job) bool { return j.Action != "metadatastoremigration" })
}

// wantTarget checks a state's target_version.
func wantTarget(t testing.TB, a applied, want string) {
	t.Helper()
	if got := a.text("target_version"); got != want {
		t.Errorf("target_version in the state is %s, want %s", got, want)
	}
}

// seen checks that a state tells what runs.
func seen(t *testing.T, a applied, c *simulator.Cluster) {
	t.Helper()
	want := map[string]string{}
	for id, parts := range c.Versions() {
		// Versions of one minor's width, so that texts compare as versions do.
		want[id] = slices.Min(slices.Collect(maps.Values(parts)))
	}
	var replicas map[string]tftypes.Value
	must(a.state["replica_versions"].As(&replicas))
	got := map[string]string{}
	for id, v := range replicas {
		var s string
		must(v.As(&s))
		got[id] = s
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if want, got := slices.Min(slices.Collect(maps.Values(want))), a.text("current_version"); want != got {
		t.Errorf("current_version is %s, want %s", got, want)
	}
}

// steady checks that the next plan changes nothing and says nothing.
func steady(t *testing.T, p *protocol, a applied, config values) {
	t.Helper()
	refreshed := p.read(a.values())
	expect(t, refreshed.diags, "")
	got := p.plan(refreshed.values(), config)
	if len(got.diags) > 0 {
		t.Errorf("the next plan says:\n%s", render(got.diags))
	}
	for name, v := range refreshed.state {
		if !got.after[name].Equal(v) {
			t.Errorf("the next plan changes %s from %s to %s", name, v, got.after[name])
		}
	}
}

// TestRunMigration holds how often the migration is tried.
func TestRunMigration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault      simulator.MigrationFaults
		retriggers any
		attempts   int
		want       string
	}{
		"succeeds":                       {attempts: 1},
		"fails twice, which DTR retries": {fault: simulator.MigrationFaults{Fail: 2}, attempts: 3},
		"fails three times":              {fault: simulator.MigrationFaults{Fail: 3}, attempts: 4},
		"fails three times, and is not to be started again": {
			fault: simulator.MigrationFaults{Fail: 3}, retriggers: 0, attempts: 3, want: "Attempts: 3\n",
		},
		"was done on 2.5": {fault: simulator.MigrationFaults{AlreadyDone: true}},
		"has an unknown status": {
			fault: simulator.MigrationFaults{Status: "levitating"}, attempts: 1, want: "Status: levitating\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			cluster.SetMigration(c.fault)
			p := planner(t, cluster, brief())
			config := values{"target_version": "2.6.15", "migration": values{"retriggers": c.retriggers}}
			done := p.apply(nil, config)
			expect(t, done.diags, c.want)
			if n := len(migrations(cluster)); c.attempts != n && !c.fault.AlreadyDone {
				t.Errorf("there are %d jobs, want %d", n, c.attempts)
			}
			if c.want != "" {
				return
			}
			if n := done.number(t, "migration_attempts"); n != c.attempts && !c.fault.AlreadyDone {
				t.Errorf("%d attempts are told, want %d", n, c.attempts)
			}
			steady(t, p, done, config)
		})
	}
}

// TestInterruption measures an interruption, and holds it against max_interruption.
func TestInterruption(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit any
		warns bool
	}{
		"beyond the limit":   {"1ns", true},
		"within the default": {nil, false},
		"no limit":           {"0s", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.8")
			cluster.At(simulator.BootstrapperStarted, func() {
				cluster.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: dtr.DefaultPingPath, Status: http.StatusServiceUnavailable, Times: 3})
			})
			config := values{"target_version": "2.6.15", "max_interruption": c.limit}
			often := pace
			often.Probe = 5 * time.Millisecond
			done := planner(t, cluster, WithPace(often)).apply(nil, config)
			expect(t, done.diags, "")
			const warning = "Warning: The upgrade interrupted DTR for longer than expected\n\nDTR's address did not answer well for "
			if text := render(done.diags); strings.Contains(text, warning) != c.warns {
				t.Errorf("warning: %t; got:\n%s", !c.warns, text)
			}
			failed, longest := done.number(t, "failed_probes"), done.number(t, "longest_interruption_ms")
			if failed == 0 || longest == 0 || failed >= done.number(t, "probes") {
				t.Errorf("%d probes failed, the longest interruption is %d ms", failed, longest)
			}
		})
	}
}
