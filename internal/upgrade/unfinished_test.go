package upgrade

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestPreflightSaysWhatIsUnfinished holds that a plan says what its apply starts or
// waits for besides the hops.
func TestPreflightSaysWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	name := cluster.ContainerName(clustertest.Host)
	bootstrapper := func(from, state string) func(*Observation) {
		return func(o *Observation) {
			o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer(from, "2.6.15", state)}
		}
	}
	phase2 := func(o *Observation) {
		o.Bootstrappers = []ucp.Container{{Name: "worker1/" + cluster.Phase2Name, Image: "docker/dtr:2.6.15", State: "running", Labels: map[string]string{}}}
	}
	backupLeft := func(state string) func(*Observation) {
		return func(o *Observation) {
			o.Bootstrappers = []ucp.Container{{Name: "worker1/" + name, Image: "docker/dtr:2.5.6", State: state, Labels: map[string]string{
				cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: cluster.CommandBackup, cluster.LabelBackup: "/b.tar",
			}}}
		}
	}
	for title, tt := range map[string]struct {
		replicas []string
		change   func(*Observation)
		summary  string // "" is none
		seen     string
	}{
		"a new hop":     {replicas: []string{"2.5.6", "2.5.6", "2.5.6"}},
		"nothing to do": {replicas: []string{"2.6.15", "2.6.15", "2.6.15"}},
		"a rollout at work": {
			replicas: []string{"2.6.15", "2.5.6", "2.5.6"}, change: bootstrapper("2.5.6", "running"),
			summary: "A rollout from 2.5.6 to 2.6.15 is under way", seen: "2.5.6 -> 2.6.15, 1 of 3 replicas, container " + name + " is at work",
		},
		"a rollout that has ended": {
			replicas: []string{"2.6.15", "2.6.15", "2.5.6"}, change: bootstrapper("2.5.6", "exited"),
			summary: "A rollout from 2.5.6 to 2.6.15 is under way", seen: "2.5.6 -> 2.6.15, 2 of 3 replicas, container " + name + " has ended",
		},
		"a rollout that was not started": {
			replicas: []string{"2.6.15", "2.5.6", "2.5.6"}, change: bootstrapper("2.5.6", "created"),
			summary: "A rollout from 2.5.6 to 2.6.15 is under way", seen: "2.5.6 -> 2.6.15, 1 of 3 replicas, container " + name + " was not started",
		},
		"a second phase at work": {
			replicas: []string{"2.6.15", "2.5.6", "2.5.6"}, change: phase2,
			summary: "A rollout from 2.5.6 to 2.6.15 is under way", seen: "2.5.6 -> 2.6.15, 1 of 3 replicas, container " + cluster.Phase2Name + " is at work",
		},
		"the container of a hop before": {
			replicas: []string{"2.6.8", "2.6.8", "2.6.8"}, change: func(o *Observation) {
				o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.6.3", "2.6.9", "exited")}
			},
		},
		"a rollout that is not seen to its end": {
			replicas: []string{"2.6.15", "2.6.15", "2.6.15"}, change: bootstrapper("2.6.8", "exited"),
			summary: "A rollout from 2.6.8 to 2.6.15 is under way", seen: "2.6.8 -> 2.6.15, 3 of 3 replicas, container " + name + " has ended",
		},
		"a container that is missing": {
			replicas: []string{"2.6.15", "2.6.15", "2.6.15"}, change: func(o *Observation) { delete(o.Replicas[1].Containers, "nginx") },
			summary: "Containers of DTR 2.6.15 are made again", seen: "Seen: dtr-nginx-" + clustertest.ReplicaID(2) + " is missing",
		},
		"a container at another version": {
			replicas: []string{"2.6.15", "2.6.15", "2.6.15"}, change: func(o *Observation) {
				c := o.Replicas[1].Containers["nginx"]
				c.Version = clustertest.Version("2.6.14")
				o.Replicas[1].Containers["nginx"] = c
			},
			summary: "A rollout from 2.6.14 to 2.6.15 is under way",
			seen:    "2.6.14 -> 2.6.15, 2 of 3 replicas, no bootstrapper's container\nSeen: dtr-nginx-" + clustertest.ReplicaID(2) + " runs 2.6.14",
		},
		"a migration that runs": {
			replicas: []string{"2.6.15"}, change: func(o *Observation) {
				o.Features.OnlineGCEnabled = false
				o.Jobs[migration.MetadataStore] = []dtr.Job{clustertest.MigrationJob("m1", "running", 2, 0)}
			},
			summary: "The migration to 2.6 is waited for", seen: "Job: " + migration.MetadataStore + " m1\nStatus: running\nThe cluster runs 2.6.15.",
		},
		"a migration that left no trace": {
			replicas: []string{"2.6.15"}, change: func(o *Observation) { o.Features.OnlineGCEnabled = false },
			summary: "The migration to 2.6 is waited for", seen: "The cluster runs 2.6.15, and DTR lists no job " + migration.MetadataStore + ".",
		},
		"a backup at work": {
			replicas: []string{"2.5.6"}, change: backupLeft("running"),
			summary: "A backup of the cluster is being taken", seen: "Container: worker1/" + name + "\nIt writes /b.tar.",
		},
		"a backup that was broken off": {
			replicas: []string{"2.5.6"}, change: backupLeft("exited"),
			summary: "A backup was broken off", seen: "Container: worker1/" + name + "\nStatus: exited\nIt was to write /b.tar.",
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			obs := observation(tt.replicas...)
			if tt.change != nil {
				tt.change(obs)
			}
			_, found := check(obs, options("2.6.15"))
			var summary, seen string
			for _, f := range found {
				if f.Check == preflight.Unfinished {
					summary, seen = summary+f.Summary, seen+f.Seen
				}
			}
			if summary != tt.summary || seen != tt.seen {
				t.Errorf("got %q: %q\nwant %q: %q", summary, seen, tt.summary, tt.seen)
			}
			_, found = runChecks(obs, options("2.6.15"), stage{applying: true})
			if slices.ContainsFunc(found, func(f preflight.Finding) bool { return f.Check == preflight.Unfinished }) {
				t.Error("the apply says it again")
			}
		})
	}
}

// TestPreflightKeepsTheReplicaThatIsReplaced holds that nobody is told to remove a
// replica, or to start its containers, while a bootstrapper may be replacing it.
func TestPreflightKeepsTheReplicaThatIsReplaced(t *testing.T) {
	t.Parallel()
	ours := clustertest.UpgradeContainer("2.5.6", "2.6.15", "running")
	ended := clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")
	phase2 := ucp.Container{Name: "worker1/" + cluster.Phase2Name, Image: "docker/dtr:2.6.15", State: "running"}
	foreign := ucp.Container{Name: "worker1/eager_turing", Image: "docker/dtr:2.6.15", State: "running"}
	mixed, even := []string{"2.6.15", "2.5.6", "2.5.6"}, []string{"2.5.6", "2.5.6", "2.5.6"}
	for name, tt := range map[string]struct {
		replicas      []string
		bootstrappers []ucp.Container
		options       Options
		atWork        string // the container that the advice names
		other         bool   // an upgrade to another version is running
		forced        bool   // the finding is an error
	}{
		"the hop to work on":                       {replicas: mixed, bootstrappers: []ucp.Container{ours}, options: options("2.6.15")},
		"the hop, by its second phase":             {replicas: mixed, bootstrappers: []ucp.Container{ended, phase2}, options: options("2.6.15")},
		"another target":                           {replicas: mixed, bootstrappers: []ucp.Container{ours}, options: options("2.6.14"), atWork: ours.Name, other: true},
		"another target, nothing replaced":         {replicas: even, bootstrappers: []ucp.Container{ours}, options: options("2.6.14"), atWork: ours.Name, other: true},
		"a target that is refused":                 {replicas: even, bootstrappers: []ucp.Container{ours}, options: options("2.7.8"), atWork: ours.Name, other: true},
		"its stop is right, the target is refused": {replicas: even, bootstrappers: []ucp.Container{ours}, options: options("2.8.13", "2.6.15"), atWork: ours.Name},
		"another target, by its second phase":      {replicas: mixed, bootstrappers: []ucp.Container{ended, phase2}, options: options("2.6.14"), atWork: phase2.Name},
		"somebody else's":                          {replicas: even, bootstrappers: []ucp.Container{foreign}, options: options("2.6.15"), atWork: foreign.Name, forced: true},
	} {
		for what, change := range map[string]func(*Observation){
			"not healthy": func(o *Observation) { o.Status.Health[clustertest.ReplicaID(2)] = "Rethink is down" },
			"not running": func(o *Observation) {
				c := o.Replicas[1].Containers["notary-signer"]
				c.State = "created"
				o.Replicas[1].Containers["notary-signer"] = c
			},
			"not shown": func(o *Observation) { clear(o.Replicas[1].Containers) },
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				obs := observation(tt.replicas...)
				obs.Bootstrappers = tt.bootstrappers
				change(obs)
				_, found := check(obs, tt.options)
				f := findingOf(t, found, preflight.ReplicaHealth, clustertest.ReplicaID(2))
				if !strings.Contains(f.Todo, "It may be the replica that is being replaced: leave it in the cluster.") || strings.Contains(f.Todo, "Start them") {
					t.Errorf("%s: %s", f.Summary, f.Todo)
				}
				if what != "not shown" {
					if tt.atWork != "" && !strings.Contains(f.Todo, "Container "+cluster.BaseName(tt.atWork)+" is at work.") {
						t.Errorf("the container is not named: %s", f.Todo)
					}
					if got := f.Severity == preflight.Error; got != tt.forced {
						t.Errorf("an error: %t, want %t", got, tt.forced)
					}
				}
				if i := slices.IndexFunc(f.Advice, func(a preflight.Advice) bool { return a.Kind == preflight.RemoveReplica }); i >= 0 {
					t.Errorf("got the advice %+v", f.Advice[i])
				}
				other := slices.IndexFunc(found, func(f preflight.Finding) bool { return f.Summary == "An upgrade to another version is running" })
				if got := other >= 0; got != tt.other {
					t.Fatalf("another version: %t, want %t", got, tt.other)
				}
				if tt.other && (found[other].Severity != preflight.Error || !strings.Contains(found[other].Seen, "Container: "+ours.Name)) {
					t.Errorf("got %+v", found[other])
				}
				if len(found.Errors()) == 0 && tt.options.Target.String() != "2.6.15" {
					t.Error("nothing is refused")
				}
			})
		}
	}
}

// TestWindowHoldsARepair holds that the window's exception is for what a bootstrapper
// has left, and not for what somebody has removed.
func TestWindowHoldsARepair(t *testing.T) {
	t.Parallel()
	missing := func(o *Observation) { delete(o.Replicas[1].Containers, "nginx") }
	for name, tt := range map[string]struct {
		replicas []string
		change   func(*Observation)
		blocked  bool
	}{
		"a container that is missing": {replicas: []string{"2.6.15", "2.6.15"}, change: missing, blocked: true},
		"one of a mixed cluster":      {replicas: []string{"2.6.15", "2.5.6"}, change: missing, blocked: true},
		"a dead bootstrapper's": {replicas: []string{"2.6.15", "2.6.15"}, change: func(o *Observation) {
			missing(o)
			o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}
		}},
		"a dead bootstrapper's of a mixed cluster": {replicas: []string{"2.6.15", "2.5.6"}, change: func(o *Observation) {
			missing(o)
			o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}
		}},
		"one that was not started": {replicas: []string{"2.6.15", "2.5.6"}, blocked: true, change: func(o *Observation) {
			missing(o)
			o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "created")}
		}},
		"a migration": {replicas: []string{"2.6.15"}, change: func(o *Observation) { o.Features.OnlineGCEnabled = false }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obs := observation(tt.replicas...)
			tt.change(obs)
			o, _ := nightly(t, options("2.6.15"), closedAt)
			obs.At = closedAt
			plan, _ := check(obs, o)
			if closed := obs.blockedByWindow(plan, o); !plan.Due() || (closed != nil) != tt.blocked {
				t.Errorf("plan %+v is blocked by %v, want %t", plan, closed, tt.blocked)
			}
		})
	}
}

// TestRunSaysHowFarItIs stops a run in its second hop, and holds what the error says of
// the cluster and what the next run says of the first hop.
func TestRunSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	ctx, cancel := context.WithCancel(clustertest.Limited(t))
	reached, release := sim.HoldNth(simulator.ReplicaStarted(2), 2)
	heal := func() {}
	go func() {
		<-reached
		heal = sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/_ping", Status: 503})
		cancel()
	}()
	_, err := Run(ctx, c, to("2.7.8", "2.6.15"))
	e := clustertest.AsError[*UnfinishedError](t, err)
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	if hopName(e.Hop) != "2.6.15 -> 2.7.8" || e.Done != 1 || e.Replicas != 3 || e.Ping == nil {
		t.Errorf("got %+v", e)
	}
	obs := clustertest.Must[*Observation](t)(Observe(clustertest.Limited(t), c, to("2.7.8", "2.6.15")))
	plan, _ := Preflight(obs, to("2.7.8", "2.6.15"))
	var path []string
	for _, hop := range obs.Path(plan, to("2.7.8", "2.6.15")) {
		path = append(path, hopName(hop))
	}
	if len(path) != 2 || path[0] != "2.5.6 -> 2.6.15" {
		t.Errorf("the path is %v", path)
	}
	heal()
	release()
	report, err := runUpgrade(t, c, to("2.7.8", "2.6.15"))
	if err != nil || report.From != "2.6.15" || report.PathFrom != "2.5.6" || len(report.Hops) != 1 {
		t.Errorf("from %s, the way from %s, hops %v, error %v", report.From, report.PathFrom, report.Hops, err)
	}
}

// TestPathOutlastsTwoInterruptions interrupts the second hop and then, in the run that
// goes on with it, the third.
func TestPathOutlastsTwoInterruptions(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	o := to("2.8.13", "2.6.15", "2.7.8")
	for _, nth := range []int{2, 3} {
		ctx, cancel := context.WithCancel(clustertest.Limited(t))
		reached, release := sim.HoldNth(simulator.ReplicaStarted(2), nth)
		go func() {
			<-reached
			cancel()
		}()
		_, err := Run(ctx, c, o)
		_ = clustertest.AsError[*wait.DetachedError](t, err)
		cancel()
		obs := clustertest.Must[*Observation](t)(Observe(clustertest.Limited(t), c, o))
		plan, _ := Preflight(obs, o)
		if path := obs.Path(plan, o); len(path) != 3 || hopName(path[0]) != "2.5.6 -> 2.6.15" {
			t.Errorf("interrupted in hop %d, the path is %v", nth, path)
		}
		release()
	}
}

// TestPreflightMentionsNodes holds that a replica's node on which nothing is started is
// mentioned, and stops nothing.
func TestPreflightMentionsNodes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*ucp.Node)
		lost   bool   // its containers are, which is said of the replica
		want   string // "" is nothing
	}{
		"as it should be": {change: func(n *ucp.Node) { n.State, n.Availability = "ready", "active" }},
		"down":            {change: func(n *ucp.Node) { n.State = "down" }, want: "is not ready"},
		"down, and lost":  {change: func(n *ucp.Node) { n.State = "down" }, lost: true},
		"drained":         {change: func(n *ucp.Node) { n.State, n.Availability = "ready", "drain" }, want: "takes no new containers"},
		"paused":          {change: func(n *ucp.Node) { n.State, n.Availability = "ready", "pause" }, want: "takes no new containers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obs := observation("2.6.8")
			tt.change(&obs.Nodes[0])
			for name, c := range obs.Replicas[0].Containers {
				c.HostDown = tt.lost
				obs.Replicas[0].Containers[name] = c
			}
			_, found := check(obs, options("2.6.15"))
			nodes := slices.DeleteFunc(found, func(f preflight.Finding) bool { return f.Check != preflight.Node || f.Severity != preflight.Warning })
			said := summaries(nodes)
			if said == "" != (tt.want == "") || !strings.Contains(said, tt.want) {
				t.Errorf("said is %q, want %q in it", said, tt.want)
			}
		})
	}
}
