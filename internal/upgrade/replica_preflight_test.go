package upgrade

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// members is a healthy cluster of so many replicas on worker1 and so on, with a
// free worker besides.
func members(n int) *Observation {
	obs := observation(slices.Repeat([]string{"2.6.8"}, n)...)
	for i := range obs.Nodes {
		obs.Nodes[i].State, obs.Nodes[i].Availability, obs.Nodes[i].Role, obs.Nodes[i].OS = "ready", "active", "worker", "linux"
	}
	obs.Nodes = append(obs.Nodes, ucp.Node{Hostname: "free", State: "ready", Availability: "active", Role: "worker", OS: "linux"})
	return obs
}

func free(obs *Observation) *ucp.Node { return &obs.Nodes[len(obs.Nodes)-1] }

// scaler is a container of this provider's for a join or a removal.
func scaler(command, id, node, state string) ucp.Container {
	return ucp.Container{
		Name: "worker1/" + containerName(fixtureHost), Image: "docker/dtr:2.6.8", State: state,
		Labels: map[string]string{labelCluster: fixtureHost, labelCommand: command, labelReplica: id, labelNode: node, labelTo: "2.6.8"},
	}
}

func summaries(f Findings) string {
	var all []string
	for _, x := range f {
		severity := "error: "
		if x.Severity == Warning {
			severity = "warning: "
		}
		all = append(all, severity+x.Summary)
	}
	return strings.Join(all, "; ")
}

const evenWarning = "warning: The cluster will have an even number of replicas"

// backupOf is this provider's container of a backup.
func backupOf(state string) ucp.Container {
	return ucp.Container{
		Name: "worker1/" + backupName(fixtureHost), Image: "docker/dtr:2.6.8", State: state,
		Labels: map[string]string{labelCluster: fixtureHost, labelFrom: "2.6.8", labelTo: "2.6.9"},
	}
}

func TestPreflightJoin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		replicas int
		node     string // free, unless said otherwise
		existing string
		change   func(*Observation)
		want     string
	}{
		"to three":                   {replicas: 2},
		"to four":                    {replicas: 3, want: evenWarning},
		"to seven":                   {replicas: 6},
		"to eight":                   {replicas: 7, want: "error: The cluster has 7 replicas already"},
		"no such node":               {replicas: 2, node: "worker9", want: "error: UCP has no node worker9"},
		"a node with a replica":      {replicas: 2, node: "worker1", want: "error: Node worker1 has a replica already"},
		"a node that is down":        {replicas: 2, change: func(o *Observation) { free(o).State = "down" }, want: "error: Node free is not ready"},
		"a node that is drained":     {replicas: 2, change: func(o *Observation) { free(o).Availability = "drain" }, want: "error: Node free takes no new containers"},
		"a manager":                  {replicas: 2, change: func(o *Observation) { free(o).Role = "manager" }, want: "error: Node free is a manager"},
		"Windows":                    {replicas: 2, change: func(o *Observation) { free(o).OS = "windows" }, want: "error: Node free runs Windows"},
		"a node that says little":    {replicas: 2, change: func(o *Observation) { free(o).OS, free(o).Role = "", "" }},
		"an existing replica":        {replicas: 2, existing: replicaID(2)},
		"an existing one that isn't": {replicas: 2, existing: replicaID(9), want: "error: The cluster has no replica " + replicaID(9)},
		"an ill replica": {
			replicas: 2, change: func(o *Observation) { o.Status.Health[replicaID(2)] = "Rethink is down" },
			want: "error: Replica " + replicaID(2) + " is not healthy",
		},
		"a stale report": {
			replicas: 2, change: func(o *Observation) { o.Status.Timestamp[replicaID(2)] = o.Status.Date.Add(-3 * time.Minute) },
			want: "error: The health report of replica " + replicaID(2) + " is stale",
		},
		"a rollout that was interrupted": {replicas: 2, change: func(o *Observation) {
			c := o.Replicas[1].Containers["nginx"]
			c.Version = version("2.6.9")
			o.Replicas[1].Containers["nginx"] = c
		}, want: "error: The cluster is not at one version"},
		"a container that is missing": {
			replicas: 2, change: func(o *Observation) { delete(o.Replicas[0].Containers, "nginx") },
			want: "error: The cluster is not at one version",
		},
		"an upgrade": {replicas: 2, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{ourBootstrapper("2.6.7", "2.6.8", "running")}
		}, want: "error: An upgrade of the cluster is running"},
		"an upgrade that is not finished": {replicas: 2, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{ourBootstrapper("2.6.7", "2.6.8", "exited")}
		}, want: "error: An upgrade of the cluster is not finished"},
		"somebody else": {replicas: 2, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{{Name: "worker1/eager_turing", Image: "docker/dtr:2.6.8", State: "running"}}
		}, want: "error: Somebody else runs the DTR bootstrapper"},
		"a second phase that is nobody's": {replicas: 2, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{{Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.8", State: "running"}}
		}, want: "error: Somebody else runs the DTR bootstrapper"},
		"a backup, with its second phase": {replicas: 2, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{backupOf("running"), {Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.8", State: "running"}}
		}, want: "error: A backup of the cluster is being taken"},
		"a backup that has ended": {replicas: 2, change: func(o *Observation) { o.Bootstrappers = []ucp.Container{backupOf("exited")} }},
		"another join is at work: its turn is waited for": {replicas: 7, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{scaler(commandJoin, replicaID(9), "elsewhere", "running")}
			delete(o.Status.Health, replicaID(1))
		}},
		"another join is being verified": {replicas: 7, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{scaler(commandJoin, replicaID(9), "elsewhere", "exited")}
		}},
		"a bad node is said all the same": {replicas: 2, node: "worker9", change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{scaler(commandRemove, replicaID(9), "", "running")}
		}, want: "error: UCP has no node worker9"},
		"a replica on the node that we have made": {replicas: 3, node: "worker3", change: func(o *Observation) {
			c := scaler(commandJoin, replicaID(3), "worker3", "exited")
			c.Name += "-" + replicaID(3) // set aside
			o.Bootstrappers = []ucp.Container{c}
		}},
		"a replica on the node that we have made elsewhere": {replicas: 2, node: "worker2", change: func(o *Observation) {
			c := scaler(commandJoin, replicaID(2), "worker1", "exited")
			c.Name += "-" + replicaID(2)
			o.Bootstrappers = []ucp.Container{c}
		}, want: "error: Node worker2 has a replica already"},
		"all at once": {
			replicas: 7, node: "worker1", change: func(o *Observation) { o.Status.Health[replicaID(2)] = "ill" },
			want: "error: Node worker1 has a replica already; error: Replica " + replicaID(2) + " is not healthy; error: The cluster has 7 replicas already",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obs := members(tt.replicas)
			if tt.change != nil {
				tt.change(obs)
			}
			if tt.node == "" {
				tt.node = "free"
			}
			if got := summaries(PreflightJoin(obs, ReplicaOptions{Node: tt.node, ExistingReplicaID: tt.existing})); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPreflightRemove(t *testing.T) {
	t.Parallel()
	ill := func(n int) func(*Observation) {
		return func(o *Observation) { o.Status.Health[replicaID(n)] = "Rethink is down" }
	}
	for name, tt := range map[string]struct {
		replicas int
		id       int // 1, unless said otherwise
		change   func(*Observation)
		want     string
	}{
		"the last":             {replicas: 1, want: "error: Replica " + replicaID(1) + " is the last one"},
		"one of two":           {replicas: 2},
		"one of three":         {replicas: 3, want: evenWarning},
		"one of four":          {replicas: 4},
		"gone already":         {replicas: 1, id: 9},
		"the ill one of three": {replicas: 3, change: ill(1), want: evenWarning},
		"beside an ill one":    {replicas: 3, change: ill(2), want: "error: Replica " + replicaID(2) + " is not healthy; " + evenWarning},
		"the ill one of two":   {replicas: 2, change: ill(1), want: "error: The removal of replica " + replicaID(1) + " would break the quorum"},
		"two ill ones of three": {
			replicas: 3, change: func(o *Observation) { ill(1)(o); ill(2)(o) },
			want: "error: Replica " + replicaID(2) + " is not healthy; error: The removal of replica " + replicaID(1) + " would break the quorum; " + evenWarning,
		},
		"half removed, and no longer listed": {replicas: 2, change: func(o *Observation) { o.Replicas[0].Listed = false }},
		"the only other is not listed":       {replicas: 2, change: func(o *Observation) { o.Replicas[1].Listed = false }, want: "error: Replica " + replicaID(1) + " is the last one"},
		"beside an upgrade": {replicas: 2, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{ourBootstrapper("2.6.7", "2.6.8", "running")}
		}, want: "error: An upgrade of the cluster is running"},
		"another is being removed": {replicas: 3, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{scaler(commandRemove, replicaID(2), "", "running")}
			delete(o.Status.Health, replicaID(2))
		}},
		"what is left of another removal does not hide that it is the last": {replicas: 1, change: func(o *Observation) {
			o.Bootstrappers = []ucp.Container{scaler(commandRemove, replicaID(2), "", "exited")}
		}, want: "error: Replica " + replicaID(1) + " is the last one"},
		"its own parts are missing": {replicas: 4, change: func(o *Observation) { delete(o.Replicas[0].Containers, "nginx") }},
		"another's are": {
			replicas: 4, change: func(o *Observation) { delete(o.Replicas[1].Containers, "nginx") },
			want: "error: The cluster is not at one version",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obs := members(tt.replicas)
			if tt.change != nil {
				tt.change(obs)
			}
			if tt.id == 0 {
				tt.id = 1
			}
			if got := summaries(PreflightRemove(obs, ReplicaOptions{ReplicaID: replicaID(tt.id)})); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestUpgradeStandsBackForReplicas holds that a running join or removal is in the
// way of an upgrade, and one that has ended is not.
func TestUpgradeStandsBackForReplicas(t *testing.T) {
	t.Parallel()
	for _, command := range []string{commandJoin, commandRemove} {
		for state, want := range map[string]int{"running": 1, "exited": 0} {
			obs := members(3)
			obs.Bootstrappers = []ucp.Container{
				scaler(command, replicaID(3), "worker3", state),
				{Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.8", State: state},
			}
			plan, findings := Preflight(obs, options("2.6.9"))
			if got := findings.Errors(); len(got) != want || len(plan.Hops) != 1 {
				t.Errorf("%s, %s: got %s", command, state, summaries(got))
			}
		}
	}
}

// TestHalfAReplicaIsNoHalfUpgrade holds that an upgrade does not take for its own
// what a join or a removal has half done.
func TestHalfAReplicaIsNoHalfUpgrade(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		containers []ucp.Container
		listed     bool
		due        bool
	}{
		"an upgrade's":                {nil, true, true},
		"a join's that is at work":    {[]ucp.Container{scaler(commandJoin, replicaID(3), "worker3", "running")}, false, false},
		"a join's that has failed":    {nil, false, false},
		"a removal's":                 {[]ucp.Container{scaler(commandRemove, replicaID(3), "", "running")}, true, false},
		"a removal's that has failed": {[]ucp.Container{scaler(commandRemove, replicaID(3), "", "exited")}, true, false},
	} {
		obs := members(3)
		delete(obs.Replicas[2].Containers, "nginx")
		obs.Replicas[2].Listed = tt.listed
		obs.Bootstrappers = tt.containers
		plan, findings := Preflight(obs, options("2.6.8"))
		if plan.Due() != tt.due || len(findings.Errors()) > 0 {
			t.Errorf("%s: due %t, %s", name, plan.Due(), summaries(findings))
		}
	}
}

// TestProofOfAReplica holds what a replica lacks to be a member, and what is left
// of one that is none.
func TestProofOfAReplica(t *testing.T) {
	t.Parallel()
	id := replicaID(3)
	for name, tt := range map[string]struct {
		change        func(*Inventory)
		joined, moved string
	}{
		"a whole member": {func(*Inventory) {}, "", "replica " + id + " is still listed by DTR; replica " + id + " still has 9 containers"},
		"nothing":        {func(i *Inventory) { i.Replicas = i.Replicas[:2] }, "replica " + id + " is not to be seen", ""},
		"not listed":     {func(i *Inventory) { i.Replicas[2].Listed = false }, "replica " + id + " is not listed by DTR", "replica " + id + " still has 9 containers"},
		"listed alone": {
			func(i *Inventory) { i.Replicas[2].Containers = nil }, "dtr-rethinkdb-" + id + " is missing",
			"replica " + id + " is still listed by DTR",
		},
		"on another node": {func(i *Inventory) { i.Replicas[2].Node = "worker9" }, "replica " + id + " is on node worker9 by DTR's account", "still"},
		"at another version": {func(i *Inventory) {
			i.Replicas[2].Containers["nginx"] = Container{Name: "dtr-nginx-" + id, Version: version("2.6.9")}
		}, "dtr-nginx-" + id + " runs 2.6.9", "still"},
	} {
		obs := members(3)
		tt.change(obs.Inventory)
		if got := problemsText(notJoined(obs.Inventory, id, "worker3")); !strings.HasPrefix(got, tt.joined) || tt.joined == "" && got != "" {
			t.Errorf("%s: joined, but for %q", name, got)
		}
		if got := problemsText(notRemoved(obs.Inventory, id)); !strings.Contains(got, tt.moved) || tt.moved == "" && got != "" {
			t.Errorf("%s: removed, but for %q", name, got)
		}
	}
}

func TestAnchor(t *testing.T) {
	t.Parallel()
	obs := members(3)
	obs.Status.Health[replicaID(1)] = "ill"
	for _, tt := range []struct{ wanted, except, want string }{
		{"", "", replicaID(2)},
		{replicaID(3), "", replicaID(3)},
		{replicaID(9), "", replicaID(2)},
		{replicaID(2), replicaID(2), replicaID(3)},
		{"", replicaID(2), replicaID(3)},
	} {
		if got, ok := obs.anchor(tt.wanted, tt.except); !ok || got.ID != tt.want {
			t.Errorf("wanted %q, not %q: got %s", tt.wanted, tt.except, got.ID)
		}
	}
	obs.Status.Health = map[string]string{replicaID(2): dtr.HealthOK}
	if _, ok := obs.anchor("", replicaID(2)); ok {
		t.Error("an ill one was picked")
	}
}

// What has begun since the checks were made is seen at the last look, whosever it
// is; the container that is about to be started does not run yet.
func TestOthersAtWork(t *testing.T) {
	for state, want := range map[string]bool{"running": true, "restarting": true, "created": false, "exited": false} {
		obs := &Observation{Inventory: &Inventory{Bootstrappers: []ucp.Container{{Name: "/worker1/" + phase2Name, State: state}}}}
		if err := obs.othersAtWork(); (err != nil) != want {
			t.Errorf("%s: error %v", state, err)
		}
	}
}
