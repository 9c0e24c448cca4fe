package upgrade

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/window"
)

func TestPreflightFindsNothingOnAGoodCluster(t *testing.T) {
	t.Parallel()
	o := options("2.6.15")
	o.Backup = &Backup{File: "dtr-backup.tar"}
	plan, findings := check(observation("2.5.17", "2.5.17", "2.5.17"), o)
	if len(findings) > 0 {
		t.Errorf("findings on a cluster with nothing in the way: %+v", findings)
	}
	if len(plan.Hops) != 1 || hopName(plan.Hops[0]) != "2.5.17 -> 2.6.15" || !slices.Equal(plan.Hops[0].MigrationJobs, []string{migration.MetadataStore}) {
		t.Errorf("got plan %+v", plan)
	}
}

func TestPreflightIsSilentWhenNothingIsDue(t *testing.T) {
	t.Parallel()
	obs := observation("2.6.15", "2.6.15") // an even number of replicas
	obs.Status.Health[clustertest.ReplicaID(1)] = "broken"
	obs.Status.GCLockHolder = "job"
	obs.ContentTrust = true
	obs.Ping = errors.New("403 Forbidden")
	o := options("2.6.15")
	o.Applied = o.Target
	plan, findings := check(obs, o)
	if plan.Due() || plan.Verify || len(findings) > 0 {
		t.Errorf("got plan %+v and findings %+v", plan, findings)
	}
}

// TestPreflightFindings puts one thing in the way of an upgrade at a time.
func TestPreflightFindings(t *testing.T) {
	t.Parallel()
	errRegistry := errors.New("manifest unknown")
	tests := []struct {
		name     string
		obs      *Observation
		options  Options
		change   func(*Observation, *Options)
		check    preflight.Check
		severity preflight.Severity
		required bool // whatever skip_checks says
		says     string
	}{
		{name: "downgrade", obs: observation("2.7.4"), options: options("2.6.8"), check: preflight.Transition, severity: preflight.Error, says: "2.6.8"},
		{name: "skipped minor", obs: observation("2.5.6"), options: options("2.7.8"), check: preflight.Transition, severity: preflight.Error, says: "minor skip"},
		{
			name: "third version", obs: observation("2.5.6", "2.6.14", "2.6.15"), options: options("2.6.15"),
			check: preflight.MixedVersions, severity: preflight.Error, says: "2.6.14",
		},
		{
			name: "other target than the rollout under way", obs: observation("2.5.6", "2.6.14", "2.6.14"), options: options("2.6.15"),
			check: preflight.MixedVersions, severity: preflight.Error, says: "2.6.14",
		},
		{
			name: "container without a version",
			change: func(obs *Observation, _ *Options) {
				c := obs.Replicas[0].Containers["api"]
				c.Version, c.Image = nil, "registry.example.com/dtr/dtr-api:corp-2.5.6"
				obs.Replicas[0].Containers["api"] = c
			},
			check: preflight.MixedVersions, severity: preflight.Error, says: "dtr/dtr-api:corp-2.5.6, tag corp-2.5.6",
		},
		{
			name: "somebody else's bootstrapper",
			change: func(obs *Observation, _ *Options) {
				obs.Bootstrappers = []ucp.Container{{Name: "worker1/eager_turing", Image: "docker/dtr:2.6.15", State: "running"}}
			},
			check: preflight.ForeignUpgrade, severity: preflight.Error, says: "eager_turing",
		},
		{
			name: "a second phase of nobody we know",
			change: func(obs *Observation, _ *Options) {
				obs.Bootstrappers = []ucp.Container{{Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.15", State: "running"}}
			},
			check: preflight.ForeignUpgrade, severity: preflight.Error, says: "dtr-phase2",
		},
		{
			name: "our own bootstrapper for another version",
			change: func(obs *Observation, _ *Options) {
				obs.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.14", "running")}
			},
			check: preflight.ForeignUpgrade, severity: preflight.Error, says: "2.6.14",
		},
		{
			name: "migration of an earlier hop runs", obs: observation("2.6.15"), options: options("2.7.8"),
			change: func(obs *Observation, _ *Options) {
				obs.Jobs[migration.MetadataStore] = []dtr.Job{clustertest.MigrationJob("a", "running", 2, time.Hour)}
			},
			check: preflight.PendingMigration, severity: preflight.Warning, says: "waits until it is done",
		},
		{
			name: "migration of an earlier hop failed for good", obs: observation("2.6.15"), options: options("2.7.8"),
			change: func(obs *Observation, _ *Options) {
				obs.Jobs[migration.MetadataStore] = []dtr.Job{clustertest.MigrationJob("a", "error", 0, time.Hour)}
			},
			check: preflight.PendingMigration, severity: preflight.Error, says: "2.6.15",
		},
		{
			name: "migration with an unknown status", obs: observation("2.6.15"), options: options("2.7.8"),
			change: func(obs *Observation, _ *Options) {
				obs.Jobs[migration.MetadataStore] = []dtr.Job{clustertest.MigrationJob("a", "hibernating", 2, time.Hour)}
			},
			check: preflight.PendingMigration, severity: preflight.Error, says: "hibernating",
		},
		{
			name: "unhealthy replica",
			change: func(obs *Observation, _ *Options) {
				obs.Status.Health[clustertest.ReplicaID(1)] = "Rethink replica is currently in state: disconnected"
			},
			check: preflight.ReplicaHealth, severity: preflight.Error, says: "disconnected",
		},
		{
			name: "stale replica",
			change: func(obs *Observation, _ *Options) {
				obs.Status.Timestamp[clustertest.ReplicaID(1)] = obs.Status.Date.Add(-3 * time.Minute)
			},
			check: preflight.ReplicaHealth, severity: preflight.Error, says: "3m ago",
		},
		{
			name:   "replica without a report",
			change: func(obs *Observation, _ *Options) { delete(obs.Status.Health, clustertest.ReplicaID(1)) },
			check:  preflight.ReplicaHealth, severity: preflight.Error, says: clustertest.ReplicaID(1),
		},
		{
			name:   "replica that UCP does not show",
			change: func(obs *Observation, _ *Options) { clear(obs.Replicas[2].Containers) },
			check:  preflight.ReplicaHealth, severity: preflight.Error, required: true, says: clustertest.ReplicaID(3),
		},
		{
			name: "replica on a node that is down",
			change: func(obs *Observation, _ *Options) {
				for part, c := range obs.Replicas[1].Containers {
					c.HostDown = true
					obs.Replicas[1].Containers[part] = c
				}
			},
			check: preflight.ReplicaHealth, severity: preflight.Error, required: true, says: "Node worker2 of replica",
		},
		{
			name: "container that has ended",
			change: func(obs *Observation, _ *Options) {
				c := obs.Replicas[1].Containers["registry"]
				c.State = "exited"
				obs.Replicas[1].Containers["registry"] = c
			},
			check: preflight.ReplicaHealth, severity: preflight.Error, says: "is exited",
		},
		{
			name:   "address that a proxy answers for",
			change: func(obs *Observation, _ *Options) { obs.Ping = errors.New("403 Forbidden") },
			check:  preflight.Address, severity: preflight.Error, says: "403 Forbidden",
		},
		{
			name: "containers that are left over",
			change: func(obs *Observation, _ *Options) {
				obs.Unlisted = []cluster.Replica{{ID: "feedfeedfeed", Node: "worker2", Containers: map[string]cluster.Container{
					"nginx": {Name: "dtr-nginx-feedfeedfeed", Version: clustertest.Version("2.4.3")},
				}}}
			},
			check: preflight.LeftOver, severity: preflight.Warning, says: "dtr-nginx-feedfeedfeed",
		},
		{
			name: "parts that versions before 2.2 have", obs: observation("2.1.3"), options: options("2.1.4"),
			change: func(obs *Observation, _ *Options) { obs.Replicas[0].Old = []string{"dtr-etcd-000000000001"} },
			check:  preflight.Transition, severity: preflight.Error, says: "The lowest version that can be upgraded from here is 2.2.0",
		},
		{
			name: "bootstrapper on a node that is down",
			change: func(obs *Observation, _ *Options) {
				obs.Bootstrappers = []ucp.Container{{Name: "worker3/dtr-phase2", Node: "worker3", Image: "docker/dtr:2.6.15", State: "running", Status: "Host Down"}}
			},
			check: preflight.ForeignUpgrade, severity: preflight.Error, says: "Node worker3 is down",
		},
		{
			name: "even count", obs: observation("2.5.6", "2.5.6"), options: options("2.6.15"),
			check: preflight.ReplicaCount, severity: preflight.Warning, says: "2 replicas",
		},
		{
			name: "more than seven", obs: observation(slices.Repeat([]string{"2.5.6"}, 9)...), options: options("2.6.15"),
			check: preflight.ReplicaCount, severity: preflight.Warning, says: "9 replicas",
		},
		{
			name:   "garbage collection",
			change: func(obs *Observation, _ *Options) { obs.Status.GCLockHolder = "0a1b2c" },
			check:  preflight.GarbageCollection, severity: preflight.Error, says: "0a1b2c",
		},
		{
			name:   "little memory on the node",
			change: func(obs *Observation, _ *Options) { obs.Nodes[0].MemoryBytes = 8 << 30 },
			check:  preflight.Memory, severity: preflight.Error, says: "Node worker1 has 8.6 GB in all",
		},
		{
			name:   "node that UCP does not list",
			change: func(obs *Observation, _ *Options) { obs.Nodes = obs.Nodes[1:] },
			check:  preflight.Memory, severity: preflight.Warning, says: "how much memory it has: Node worker1.",
		},
		{
			name:   "maintenance window closed",
			change: closeWindow(false),
			check:  preflight.Window, severity: preflight.Warning, says: "Opens next: 2020-01-04T22:00:00Z\nAn apply before that is refused",
		},
		{
			name:   "maintenance window closed, to be waited for",
			change: closeWindow(true),
			check:  preflight.Window, severity: preflight.Warning, says: "An apply before that waits for it",
		},
		{
			name: "maintenance window that opens after the time limit",
			change: func(obs *Observation, o *Options) {
				closeWindow(true)(obs, o)
				o.TimeLimit = 10 * time.Second
			},
			check: preflight.Window, severity: preflight.Warning,
			says: "An apply waits for it for no longer than its time limit of 10s: one before 2020-01-04T21:59:50Z is refused, and changes nothing.",
		},
		{
			name: "maintenance window that opens within the time limit",
			change: func(obs *Observation, o *Options) {
				closeWindow(true)(obs, o)
				o.TimeLimit = 24 * time.Hour
			},
			check: preflight.Window, severity: preflight.Warning, says: "An apply before that waits for it",
		},
		{
			name: "little memory on the direct engine",
			change: func(obs *Observation, _ *Options) {
				obs.RunnerMemory = 4 << 30
			},
			check: preflight.Memory, severity: preflight.Error, says: "4.3 GB",
		},
		{
			name: "image nowhere",
			change: func(obs *Observation, _ *Options) {
				obs.Images.States["mirantis/dtr:2.6.15"] = images.State{Remote: errRegistry}
			},
			check: preflight.Image, severity: preflight.Error, says: "manifest unknown",
		},
		{
			name: "release that is not known, of which there are no images",
			change: func(obs *Observation, o *Options) {
				o.Target = semver.MustParse("2.6.99")
				for _, image := range o.Images.All(o.Target) {
					obs.Images.States[image] = images.State{Remote: errRegistry}
				}
			},
			check: preflight.Image, severity: preflight.Error,
			says: ", and the images of all its parts\n2.6.99 is not known here; the latest 2.6 known here is 2.6.15.\n",
		},
		{
			name: "component's image missing on one node",
			change: func(obs *Observation, _ *Options) {
				obs.Images.States["mirantis/dtr-nginx:2.6.15"] = images.State{Remote: errRegistry, Nodes: map[string]bool{"worker1": true, "worker3": true}}
			},
			check: preflight.Image, severity: preflight.Error, says: "mirantis/dtr-nginx:2.6.15 on worker2",
		},
		{
			name: "image to be pulled and pulling turned off",
			change: func(obs *Observation, o *Options) {
				o.Images.Pull = images.PullNever
				obs.Images.States["mirantis/dtr:2.6.15"] = images.State{}
			},
			check: preflight.Image, severity: preflight.Error, says: "Pulling is turned off",
		},
		{
			name:   "content trust",
			change: func(obs *Observation, _ *Options) { obs.ContentTrust = true },
			check:  preflight.ContentTrust, severity: preflight.Error, says: "require_content_trust",
		},
		{
			name:   "content trust not known",
			change: func(obs *Observation, _ *Options) { obs.ContentTrustErr = errors.New("403 Forbidden") },
			check:  preflight.ContentTrust, severity: preflight.Warning, says: "403",
		},
		{
			name:   "UCP off the pairing",
			change: func(obs *Observation, _ *Options) { obs.Version.UCP = "3.0.4" },
			check:  preflight.UCPVersion, severity: preflight.Warning, says: "released with UCP 3.1",
		},
		{
			name: "engines off the pairing",
			change: func(obs *Observation, _ *Options) {
				for i := range obs.Nodes {
					obs.Nodes[i].EngineVersion = "19.03.5"
				}
			},
			check: preflight.EngineVersion, severity: preflight.Warning, says: "released with Engine 18.09",
		},
		{
			name: "engines on both sides of 18.09",
			change: func(obs *Observation, _ *Options) {
				obs.Nodes = append(obs.Nodes, ucp.Node{Hostname: "manager1", EngineVersion: "18.03.1-ee-3"})
			},
			check: preflight.EngineVersion, severity: preflight.Warning, says: "manager1 (18.03.1-ee-3)",
		},
		{
			name: "release advisory", options: options("2.6.2"),
			check: preflight.ReleaseAdvisory, severity: preflight.Warning, says: "2.6.4",
		},
		{
			name: "existing replica that is none", options: Options{Target: clustertest.Version("2.6.15"), ExistingReplicaID: "ffffffffffff"},
			check: preflight.ReplicaHealth, severity: preflight.Error, says: "ffffffffffff",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			obs, o := tt.obs, tt.options
			if obs == nil {
				obs = observation("2.5.6", "2.5.6", "2.5.6")
			}
			if o.Target == nil {
				o = options("2.6.15")
			}
			if tt.change != nil {
				tt.change(obs, &o)
			}
			_, findings := check(obs, o)
			finding := findingOf(t, findings, tt.check, tt.says)
			if finding.Severity != tt.severity {
				t.Errorf("severity %d, want %d: %+v", finding.Severity, tt.severity, finding)
			}

			// The same again with every check skipped that may be.
			o.SkipChecks = map[preflight.Check]bool{}
			for _, check := range preflight.Skippable() {
				o.SkipChecks[check] = true
			}
			_, findings = check(obs, o)
			want := tt.severity
			advised := slices.ContainsFunc(finding.Advice, func(a preflight.Advice) bool { return a.Kind == preflight.SkipCheck })
			if slices.Contains(preflight.Skippable(), tt.check) && finding.Attribute != "existing_replica_id" && !tt.required {
				want = preflight.Warning
			}
			if advised != (want != tt.severity) {
				t.Errorf("skip_checks is advised: %t", advised)
			}
			if finding := findingOf(t, findings, tt.check, tt.says); finding.Severity != want {
				t.Errorf("severity %d with skip_checks, want %d: %+v", finding.Severity, want, finding)
			}
		})
	}
}

// closeWindow has the observation made while the maintenance window is closed.
func closeWindow(wait bool) func(*Observation, *Options) {
	return func(obs *Observation, o *Options) {
		obs.At = closedAt
		o.Window, _ = window.New("0 22 * * *", time.Hour, "")
		o.Window.Wait = wait
	}
}

func findingOf(t *testing.T, findings preflight.Findings, check preflight.Check, says string) preflight.Finding {
	t.Helper()
	for _, f := range findings {
		if f.Check == check && strings.Contains(fmt.Sprint(f.Summary, "\n", f.Seen, "\n", f.Todo, f.Advice, f.Err), says) {
			return f
		}
	}
	t.Fatalf("no finding of %s that says %q among %+v", check, says, findings)
	return preflight.Finding{}
}

func TestPreflightShowsAllFindingsTogether(t *testing.T) {
	t.Parallel()
	obs := observation("2.5.6", "2.5.6", "2.5.6")
	obs.Status.Health[clustertest.ReplicaID(2)] = "broken"
	obs.Status.GCLockHolder = "job"
	obs.ContentTrust = true
	_, findings := check(obs, options("2.7.8"))
	var checks []preflight.Check
	for _, f := range findings.Errors() {
		checks = append(checks, f.Check)
	}
	if want := []preflight.Check{preflight.Transition, preflight.ReplicaHealth, preflight.GarbageCollection, preflight.ContentTrust}; !slices.Equal(checks, want) {
		t.Errorf("got errors of %v, want %v", checks, want)
	}
}

// TestPreflightLetsARolloutBeFinished leaves a replica unhealthy in the middle of
// a rollout, which is what an interrupted one looks like.
func TestPreflightLetsARolloutBeFinished(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		bootstrapper string // state of ours, "" for none
		health, gc   preflight.Severity
	}{
		{"nothing but the versions tells of it", "", preflight.Warning, preflight.Error},
		{"the bootstrapper died", "exited", preflight.Warning, preflight.Error},
		{"the bootstrapper is at work", "running", preflight.Warning, preflight.Warning},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			obs := observation("2.6.15", "2.5.6", "2.5.6")
			obs.Status.Health[clustertest.ReplicaID(2)] = "starting"
			obs.Status.GCLockHolder = "job"
			if tt.bootstrapper != "" {
				obs.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", tt.bootstrapper)}
			}
			_, findings := check(obs, options("2.6.15"))
			if got := findingOf(t, findings, preflight.ReplicaHealth, clustertest.ReplicaID(2)).Severity; got != tt.health {
				t.Errorf("severity %d of the health, want %d", got, tt.health)
			}
			if got := findingOf(t, findings, preflight.GarbageCollection, "job").Severity; got != tt.gc {
				t.Errorf("severity %d of the garbage collection, want %d", got, tt.gc)
			}
		})
	}
}

// TestPreflightOfAHiddenReplica hides a replica of a cluster that is at its
// target as far as one can see.
func TestPreflightOfAHiddenReplica(t *testing.T) {
	t.Parallel()
	obs := observation("2.6.15", "2.6.15", "2.6.15")
	clear(obs.Replicas[1].Containers)
	for _, tt := range []struct {
		name     string
		applied  string
		severity preflight.Severity
	}{
		{"nothing was applied before", "", preflight.Error},
		{"an earlier version was applied", "2.5.6", preflight.Error},
		{"the target was applied", "2.6.15", preflight.Warning},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options("2.6.15")
			if tt.applied != "" {
				o.Applied = clustertest.Version(tt.applied)
			}
			plan, findings := check(obs, o)
			if plan.Due() {
				t.Errorf("something is due: %+v", plan)
			}
			if got := findingOf(t, findings, preflight.ReplicaHealth, clustertest.ReplicaID(2)).Severity; got != tt.severity {
				t.Errorf("severity %d, want %d", got, tt.severity)
			}
		})
	}
}

// TestPreflightOfMigrationsThatBlockNothing holds what is judged by what the cluster
// needs now, and what only a plan speaks of.
func TestPreflightOfMigrationsThatBlockNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, action string
		jobs         []dtr.Job // newest first
		applying     bool
	}{
		{"canceled after it was done", migration.MetadataStore, []dtr.Job{clustertest.MigrationJob("b", "canceled", 0, time.Hour), clustertest.MigrationJob("a", "done", 0, time.Minute)}, false},
		{"failed after it was done", migration.MetadataStore, []dtr.Job{clustertest.MigrationJob("b", "error", 0, time.Hour), clustertest.MigrationJob("a", "done", 0, time.Minute)}, false},
		{"its worker died years ago", "tagmigration", []dtr.Job{clustertest.MigrationJob("a", "worker_dead", 0, -3*365*24*time.Hour)}, false},
		{"never retried, years ago", "bloblinkmigration", []dtr.Job{clustertest.MigrationJob("a", "error", 2, -3*365*24*time.Hour)}, false},
		{"canceled years ago", "scannedlayermigration", []dtr.Job{clustertest.MigrationJob("a", "canceled", 0, -3*365*24*time.Hour)}, false},
		{"at work in an apply", migration.MetadataStore, []dtr.Job{clustertest.MigrationJob("a", "running", 2, time.Hour)}, true},
		{"its worker has just died, in an apply", migration.MetadataStore, []dtr.Job{clustertest.MigrationJob("a", "worker_dead", 2, time.Hour)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			obs := observation("2.6.15")
			obs.Jobs[tt.action] = tt.jobs
			plan, findings := runChecks(obs, options("2.7.8"), stage{applying: tt.applying})
			if len(plan.Hops) != 1 || plan.Resume != nil {
				t.Errorf("plan %+v", plan)
			}
			for _, f := range findings {
				if f.Check == preflight.PendingMigration {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
}

// TestPreflightOfAMigrationThatLeftNoTrace holds that a patch upgrade does not ask for
// it.
func TestPreflightOfAMigrationThatLeftNoTrace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		target string
		via    []string
		warns  bool
	}{{"2.6.15", nil, false}, {"2.7.8", nil, true}, {"2.7.8", []string{"2.6.15"}, true}} {
		obs := observation("2.6.3")
		obs.Features.OnlineGCEnabled = false
		_, findings := check(obs, options(tt.target, tt.via...))
		if warns := strings.Contains(summaries(findings), "No record of the metadata store migration"); warns != tt.warns {
			t.Errorf("to %s via %s: %s", tt.target, tt.via, summaries(findings))
		}
	}
}

// TestPreflightSaysNothingOfReleasesBesideARefusal refuses a way on a cluster whose UCP
// and Engine are not those that the target was released with.
func TestPreflightSaysNothingOfReleasesBesideARefusal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ from, to, ucp, engine string }{
		"downgrade":     {"2.7.4", "2.6.15", "3.2.4", "19.03.5"},
		"skipped minor": {"2.5.17", "2.7.8", "3.0.4", "18.03.1-ee-3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obs := observation(tt.from)
			obs.Version.UCP = tt.ucp
			for i := range obs.Nodes {
				obs.Nodes[i].EngineVersion = tt.engine
			}
			if _, findings := check(obs, options(tt.to)); len(findings) != 1 || findings[0].Check != preflight.Transition {
				t.Errorf("got %+v, want the refusal alone", findings)
			}
		})
	}
}

// TestPreflightLeavesOutEnginesThatAreNotKnown has UCP tell no engine's version of a node.
func TestPreflightLeavesOutEnginesThatAreNotKnown(t *testing.T) {
	t.Parallel()
	obs := observation("2.5.17", "2.5.17", "2.5.17")
	obs.Nodes[1].EngineVersion = ""
	o := options("2.6.15")
	o.Backup = &Backup{File: "dtr-backup.tar"}
	if _, findings := check(obs, o); len(findings) > 0 {
		t.Errorf("got %+v", findings)
	}
}
