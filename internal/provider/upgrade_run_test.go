package provider

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
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
	short := func(change func(*upgrade.Pace)) Option {
		p := pace
		change(&p)
		return WithPace(p)
	}
	impatient := short(func(p *upgrade.Pace) { p.Consistent = 300 * time.Millisecond })
	for name, c := range map[string]struct {
		option Option
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
			option: impatient,
			fault: func(c *simulator.Cluster) {
				c.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2, ClaimSuccess: true})
			},
			want: "did not come up whole at 2.6.15", mixed: true, runs: 2, jobs: 1,
		},
		"bootstrapper leaves a replica out": {
			option: impatient,
			fault:  func(c *simulator.Cluster) { c.SetBootstrapper(simulator.BootstrapperFaults{SkipReplica: 3}) },
			want:   "did not come up whole at 2.6.15\n", mixed: true, runs: 2, jobs: 1,
		},
		"bootstrapper leaves a part out": {
			option: impatient,
			fault:  func(c *simulator.Cluster) { c.SetBootstrapper(simulator.BootstrapperFaults{LeaveOldPart: "nginx"}) },
			want:   "Error: DTR did not come up whole at 2.6.15\n", mixed: true, runs: 2, jobs: 1,
		},
		"fatal record and exit status 0": {
			fault: func(c *simulator.Cluster) {
				c.SetBootstrapper(simulator.BootstrapperFaults{FatalRecord: "failed to wait for rethink to be healthy"})
			},
			want: "Error: The DTR bootstrapper failed\n", runs: 2, jobs: 1,
		},
		"replica unhealthy after the upgrade": {
			option: short(func(p *upgrade.Pace) { p.Healthy = 300 * time.Millisecond }),
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
			option: short(func(p *upgrade.Pace) { p.MigrationStart = 100 * time.Millisecond }),
			config: values{"migration": values{"retriggers": 0}},
			fault:  func(c *simulator.Cluster) { c.SetMigration(simulator.MigrationFaults{NeverStart: true}) },
			again:  values{"migration": values{"retriggers": 1}},
			want:   "Error: DTR did not start the migration job metadatastoremigration\n", runs: 1, jobs: 1,
		},
		"wrong digest": {
			config: values{"image": values{"digests": values{"2.6.15": "sha256:" + strings.Repeat("0", 64)}}},
			mend: func(c *simulator.Cluster) {
				c.SetDigest("docker.io/mirantis/dtr:2.6.15", "sha256:"+strings.Repeat("0", 64))
			},
			want: "Error: The bootstrapper's image is not the one that was asked for\n  at image.digests\n", runs: 1, jobs: 1,
		},
	} {
		for _, kind := range []string{"create", "update"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.5.6")
				options := quick()
				if c.option != nil {
					options = append(options, c.option)
				}
				p := newProtocol(t, options...)
				p.ok(nil, p.configure(connected(cluster)))
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
					if target := failed.text("target_version"); target != "2.5.6" {
						t.Errorf("target_version in the state is %s", target)
					}
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
				if n := cluster.BootstrapperRuns(); n != c.runs {
					t.Errorf("the bootstrapper ran %d times, want %d", n, c.runs)
				}
				if n := len(migrations(cluster)); n != c.jobs {
					t.Errorf("there are %d migration jobs, want %d", n, c.jobs)
				}
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
			p := planner(t, cluster)
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

// TestRunStopsWaiting holds that an apply that is interrupted, or whose limit
// passes, leaves what it started alone, and that the next one adopts it.
func TestRunStopsWaiting(t *testing.T) {
	t.Parallel()
	limited := values{"timeouts": values{"create": "1s", "update": "1s"}}
	for name, c := range map[string]struct {
		point  string
		config values // with a limit, else the apply is interrupted
		want   string
	}{
		"interrupted in the first phase":    {simulator.BootstrapperStarted, nil, "Reason: Terraform was interrupted."},
		"interrupted between two replicas":  {simulator.ReplicaReplaced(1), nil, "Reason: Terraform was interrupted."},
		"interrupted in the migration":      {simulator.MigrationStarted, nil, "Reason: Terraform was interrupted."},
		"limit passes between two replicas": {simulator.ReplicaReplaced(1), limited, "date of 1s passed."},
		"limit passes in the migration":     {simulator.MigrationStarted, limited, "date of 1s passed."},
	} {
		for _, kind := range []string{"create", "update"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.5.6")
				p := planner(t, cluster)
				var prior values
				want := strings.Replace(c.want, "date", "create", 1)
				if kind == "update" {
					prior, want = state(cluster, "2.5.6"), strings.Replace(c.want, "date", "timeouts.update", 1)
				}
				config := in(values{"target_version": "2.6.15"}, c.config)
				release := cluster.Hold(c.point)
				if c.config == nil {
					interrupted, cancel := context.WithCancel(p.ctx)
					defer cancel()
					go func() {
						<-cluster.Reached(c.point)
						cancel()
					}()
					p.ctx = interrupted
				}
				stopped := p.apply(prior, config)
				expect(t, stopped.diags, want)
				if kind == "create" && stopped.state != nil {
					t.Error("a create that was interrupted saved a state")
				}
				if kind == "update" {
					if target := stopped.text("target_version"); target != "2.5.6" {
						t.Errorf("target_version in the state is %s", target)
					}
					seen(t, stopped, cluster)
					prior = stopped.values()
				}

				p.ctx = t.Context()
				release()
				config = values{"target_version": "2.6.15"}
				done := p.apply(prior, config)
				expect(t, done.diags, "")
				runs(t, cluster, "2.6.15")
				if n := cluster.BootstrapperRuns(); n != 1 {
					t.Errorf("the bootstrapper ran %d times", n)
				}
				if n := len(migrations(cluster)); n != 1 {
					t.Errorf("there are %d migration jobs", n)
				}
				steady(t, p, done, config)
			})
		}
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
	if n := cluster.BootstrapperRuns(); n != 1 {
		t.Errorf("the bootstrapper ran %d times", n)
	}
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
				if n := cluster.BootstrapperRuns(); n != 1 {
					t.Errorf("the bootstrapper ran %d times", n)
				}
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
				mend = cluster.Inject(simulator.Fault{Service: service, Reset: true})
			})
			want, release := "Error: DTR does not answer\n", func() {}
			if service != simulator.ServiceDTR { // the upgrade itself is followed without DTR
				want, release = "Error: Terraform stopped waiting for the DTR upgrade\n", cluster.Hold(simulator.ReplicaReplaced(2))
			}
			config := values{"target_version": "2.6.15"}
			failed := p.apply(nil, config)
			expect(t, failed.diags, want)
			mend()
			release()
			done := p.apply(nil, config)
			expect(t, done.diags, "")
			runs(t, cluster, "2.6.15")
			if n := cluster.BootstrapperRuns(); n != 1 {
				t.Errorf("the bootstrapper ran %d times", n)
			}
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
	expect(t, got.diags, "Error: Somebody else runs the DTR bootstrapper\n")
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
