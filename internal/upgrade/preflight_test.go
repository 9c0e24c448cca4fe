package upgrade

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

func TestPreflightFindsNothingOnAGoodCluster(t *testing.T) {
	t.Parallel()
	o := options("2.6.15")
	o.Backup = &Backup{File: "dtr-backup.tar"}
	plan, findings := Preflight(observation("2.5.17", "2.5.17", "2.5.17"), o)
	if len(findings) > 0 {
		t.Errorf("findings on a cluster with nothing in the way: %+v", findings)
	}
	if len(plan.Hops) != 1 || hopName(plan.Hops[0]) != "2.5.17 -> 2.6.15" || !slices.Equal(plan.Hops[0].MigrationJobs, []string{metadataStoreMigration}) {
		t.Errorf("got plan %+v", plan)
	}
}

func TestPreflightIsSilentWhenNothingIsDue(t *testing.T) {
	t.Parallel()
	obs := observation("2.6.15", "2.6.15") // an even number of replicas
	obs.Status.Health[replicaID(1)] = "broken"
	obs.Status.GCLockHolder = "job"
	obs.ContentTrust = true
	plan, findings := Preflight(obs, options("2.6.15"))
	if plan.Due() || len(findings) > 0 {
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
		check    Check
		severity Severity
		says     string
	}{
		{name: "downgrade", obs: observation("2.7.4"), options: options("2.6.8"), check: CheckTransition, severity: Error, says: "2.6.8"},
		{name: "skipped minor", obs: observation("2.5.6"), options: options("2.7.8"), check: CheckTransition, severity: Error, says: `via = ["2.6.15"]`},
		{
			name: "third version", obs: observation("2.5.6", "2.6.14", "2.6.15"), options: options("2.6.15"),
			check: CheckMixedVersions, severity: Error, says: "2.6.14",
		},
		{
			name: "other target than the rollout under way", obs: observation("2.5.6", "2.6.14", "2.6.14"), options: options("2.6.15"),
			check: CheckMixedVersions, severity: Error, says: "2.6.14",
		},
		{
			name: "container without a version",
			change: func(obs *Observation, _ *Options) {
				c := obs.Replicas[0].Containers["api"]
				c.Version = nil
				obs.Replicas[0].Containers["api"] = c
			},
			check: CheckMixedVersions, severity: Error, says: "dtr-api-" + replicaID(1),
		},
		{
			name: "somebody else's bootstrapper",
			change: func(obs *Observation, _ *Options) {
				obs.Bootstrappers = []ucp.Container{{Name: "worker1/eager_turing", Image: "docker/dtr:2.6.15", State: "running"}}
			},
			check: CheckForeignUpgrade, severity: Error, says: "eager_turing",
		},
		{
			name: "a second phase of nobody we know",
			change: func(obs *Observation, _ *Options) {
				obs.Bootstrappers = []ucp.Container{{Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.15", State: "running"}}
			},
			check: CheckForeignUpgrade, severity: Error, says: "dtr-phase2",
		},
		{
			name: "our own bootstrapper for another version",
			change: func(obs *Observation, _ *Options) {
				obs.Bootstrappers = []ucp.Container{ourBootstrapper("2.5.6", "2.6.14", "running")}
			},
			check: CheckForeignUpgrade, severity: Error, says: "2.6.14",
		},
		{
			name: "migration of an earlier hop runs", obs: observation("2.6.15"), options: options("2.7.8"),
			change: func(obs *Observation, _ *Options) {
				obs.Jobs[metadataStoreMigration] = []dtr.Job{job("a", "running", 2, time.Hour)}
			},
			check: CheckPendingMigration, severity: Error, says: "not finished",
		},
		{
			name: "migration of an earlier hop failed for good", obs: observation("2.6.15"), options: options("2.7.8"),
			change: func(obs *Observation, _ *Options) {
				obs.Jobs[metadataStoreMigration] = []dtr.Job{job("a", "error", 0, time.Hour)}
			},
			check: CheckPendingMigration, severity: Error, says: `set target_version to "2.6.15"`,
		},
		{
			name: "migration with an unknown status", obs: observation("2.6.15"), options: options("2.7.8"),
			change: func(obs *Observation, _ *Options) {
				obs.Jobs[metadataStoreMigration] = []dtr.Job{job("a", "hibernating", 2, time.Hour)}
			},
			check: CheckPendingMigration, severity: Error, says: "hibernating",
		},
		{
			name: "unhealthy replica",
			change: func(obs *Observation, _ *Options) {
				obs.Status.Health[replicaID(1)] = "Rethink replica is currently in state: disconnected"
			},
			check: CheckReplicaHealth, severity: Error, says: "disconnected",
		},
		{
			name: "stale replica",
			change: func(obs *Observation, _ *Options) {
				obs.Status.Timestamp[replicaID(1)] = obs.Status.Date.Add(-3 * time.Minute)
			},
			check: CheckReplicaHealth, severity: Error, says: "3m0s ago",
		},
		{
			name:   "replica without a report",
			change: func(obs *Observation, _ *Options) { delete(obs.Status.Health, replicaID(1)) },
			check:  CheckReplicaHealth, severity: Error, says: replicaID(1),
		},
		{
			name:   "replica that UCP does not show",
			change: func(obs *Observation, _ *Options) { clear(obs.Replicas[2].Containers) },
			check:  CheckReplicaHealth, severity: Error, says: replicaID(3),
		},
		{
			name: "even count", obs: observation("2.5.6", "2.5.6"), options: options("2.6.15"),
			check: CheckReplicaCount, severity: Warning, says: "2 replicas",
		},
		{
			name: "more than seven", obs: observation(slices.Repeat([]string{"2.5.6"}, 9)...), options: options("2.6.15"),
			check: CheckReplicaCount, severity: Warning, says: "9 replicas",
		},
		{
			name:   "garbage collection",
			change: func(obs *Observation, _ *Options) { obs.Status.GCLockHolder = "0a1b2c" },
			check:  CheckGarbageCollection, severity: Error, says: "0a1b2c",
		},
		{
			name:   "little memory on the node",
			change: func(obs *Observation, _ *Options) { obs.Nodes[0].MemoryBytes = 8 << 30 },
			check:  CheckMemory, severity: Error, says: "Node worker1 has 8.6 GB",
		},
		{
			name:   "little of the node's memory available",
			change: func(obs *Observation, _ *Options) { obs.Nodes[0].MemoryBytes, obs.RunnerUse = 17<<30, 3<<30 },
			check:  CheckMemory, severity: Warning, says: "Node worker1 has 18.3 GB, and its running containers use 3.2 GB: at most 15.0 GB are available",
		},
		{
			name:   "little of the direct engine's memory available",
			change: func(obs *Observation, _ *Options) { obs.RunnerMemory, obs.RunnerUse = 20e9, 5e9 },
			check:  CheckMemory, severity: Warning, says: "at most 15.0 GB",
		},
		{
			name:   "more used than there is",
			change: func(obs *Observation, _ *Options) { obs.RunnerMemory, obs.RunnerUse = 16e9, 17e9 },
			check:  CheckMemory, severity: Warning, says: "at most 0.0 GB",
		},
		{
			name:   "node that UCP does not list",
			change: func(obs *Observation, _ *Options) { obs.Nodes = obs.Nodes[1:] },
			check:  CheckMemory, severity: Warning, says: "UCP does not tell the memory of node worker1.",
		},
		{
			name:   "maintenance window closed",
			change: closeWindow(false),
			check:  CheckWindow, severity: Warning, says: "Opens next: 2020-01-04T22:00:00Z\n\nAn apply before that is refused",
		},
		{
			name:   "maintenance window closed, to be waited for",
			change: closeWindow(true),
			check:  CheckWindow, severity: Warning, says: "An apply before that waits for it",
		},
		{
			name: "little memory on the direct engine",
			change: func(obs *Observation, _ *Options) {
				obs.RunnerMemory = 4 << 30
			},
			check: CheckMemory, severity: Error, says: "4.3 GB",
		},
		{
			name: "image nowhere",
			change: func(obs *Observation, _ *Options) {
				obs.Images["mirantis/dtr:2.6.15"] = ImageState{Remote: errRegistry}
			},
			check: CheckImage, severity: Error, says: "manifest unknown",
		},
		{
			name: "component's image missing on one node",
			change: func(obs *Observation, _ *Options) {
				obs.Images["mirantis/dtr-nginx:2.6.15"] = ImageState{Remote: errRegistry, Nodes: map[string]bool{"worker1": true, "worker3": true}}
			},
			check: CheckImage, severity: Error, says: "mirantis/dtr-nginx:2.6.15 on worker2",
		},
		{
			name: "image to be pulled and pulling turned off",
			change: func(obs *Observation, o *Options) {
				o.Pull = PullNever
				obs.Images["mirantis/dtr:2.6.15"] = ImageState{}
			},
			check: CheckImage, severity: Error, says: "Pulling is turned off",
		},
		{
			name:   "content trust",
			change: func(obs *Observation, _ *Options) { obs.ContentTrust = true },
			check:  CheckContentTrust, severity: Error, says: "require_content_trust",
		},
		{
			name:   "content trust not known",
			change: func(obs *Observation, _ *Options) { obs.ContentTrustErr = errors.New("403 Forbidden") },
			check:  CheckContentTrust, severity: Warning, says: "403",
		},
		{
			name:   "UCP off the pairing",
			change: func(obs *Observation, _ *Options) { obs.Version.UCP = "3.0.4" },
			check:  CheckUCPVersion, severity: Warning, says: "released with UCP 3.1",
		},
		{
			name: "engines off the pairing",
			change: func(obs *Observation, _ *Options) {
				for i := range obs.Nodes {
					obs.Nodes[i].EngineVersion = "19.03.5"
				}
			},
			check: CheckEngineVersion, severity: Warning, says: "released with Engine 18.09",
		},
		{
			name: "engines on both sides of 18.09",
			change: func(obs *Observation, _ *Options) {
				obs.Nodes = append(obs.Nodes, ucp.Node{Hostname: "manager1", EngineVersion: "18.03.1-ee-3"})
			},
			check: CheckEngineVersion, severity: Warning, says: "manager1 (18.03.1-ee-3)",
		},
		{
			name: "release advisory", options: options("2.6.2"),
			check: CheckReleaseAdvisory, severity: Warning, says: "2.6.4",
		},
		{
			name: "existing replica that is none", options: Options{Target: version("2.6.15"), ExistingReplicaID: "ffffffffffff"},
			check: CheckReplicaHealth, severity: Error, says: "ffffffffffff",
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
			_, findings := Preflight(obs, o)
			finding := findingOf(t, findings, tt.check, tt.says)
			if finding.Severity != tt.severity {
				t.Errorf("severity %d, want %d: %+v", finding.Severity, tt.severity, finding)
			}

			// The same again with every check skipped that may be.
			o.SkipChecks = map[Check]bool{}
			for _, check := range SkippableChecks() {
				o.SkipChecks[check] = true
			}
			_, findings = Preflight(obs, o)
			want := tt.severity
			if slices.Contains(SkippableChecks(), tt.check) && finding.Attribute != "existing_replica_id" {
				want = Warning
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
		o.Window = must2(NewWindow("0 22 * * *", time.Hour, ""))
		o.Window.Wait = wait
	}
}

func findingOf(t *testing.T, findings Findings, check Check, says string) Finding {
	t.Helper()
	for _, f := range findings {
		if f.Check == check && strings.Contains(f.Summary+"\n"+f.Detail, says) {
			return f
		}
	}
	t.Fatalf("no finding of %s that says %q among %+v", check, says, findings)
	return Finding{}
}

func TestPreflightShowsAllFindingsTogether(t *testing.T) {
	t.Parallel()
	obs := observation("2.5.6", "2.5.6", "2.5.6")
	obs.Status.Health[replicaID(2)] = "broken"
	obs.Status.GCLockHolder = "job"
	obs.ContentTrust = true
	_, findings := Preflight(obs, options("2.7.8"))
	var checks []Check
	for _, f := range findings.Errors() {
		checks = append(checks, f.Check)
	}
	if want := []Check{CheckTransition, CheckReplicaHealth, CheckGarbageCollection, CheckContentTrust}; !slices.Equal(checks, want) {
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
		health, gc   Severity
	}{
		{"nothing but the versions tells of it", "", Warning, Error},
		{"the bootstrapper died", "exited", Warning, Error},
		{"the bootstrapper is at work", "running", Warning, Warning},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			obs := observation("2.6.15", "2.5.6", "2.5.6")
			obs.Status.Health[replicaID(2)] = "starting"
			obs.Status.GCLockHolder = "job"
			if tt.bootstrapper != "" {
				obs.Bootstrappers = []ucp.Container{ourBootstrapper("2.5.6", "2.6.15", tt.bootstrapper)}
			}
			_, findings := Preflight(obs, options("2.6.15"))
			if got := findingOf(t, findings, CheckReplicaHealth, replicaID(2)).Severity; got != tt.health {
				t.Errorf("severity %d of the health, want %d", got, tt.health)
			}
			if got := findingOf(t, findings, CheckGarbageCollection, "job").Severity; got != tt.gc {
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
		severity Severity
	}{
		{"nothing was applied before", "", Error},
		{"an earlier version was applied", "2.5.6", Error},
		{"the target was applied", "2.6.15", Warning},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options("2.6.15")
			if tt.applied != "" {
				o.Applied = version(tt.applied)
			}
			plan, findings := Preflight(obs, o)
			if plan.Due() {
				t.Errorf("something is due: %+v", plan)
			}
			if got := findingOf(t, findings, CheckReplicaHealth, replicaID(2)).Severity; got != tt.severity {
				t.Errorf("severity %d, want %d", got, tt.severity)
			}
		})
	}
}
