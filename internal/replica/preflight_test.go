package replica

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// members is a healthy cluster of so many replicas on worker1 and so on, with a
// free worker besides.
func members(n int) *cluster.Snapshot {
	obs := clustertest.Snapshot(slices.Repeat([]string{"2.6.8"}, n)...)
	for i := range obs.Nodes {
		obs.Nodes[i].State, obs.Nodes[i].Availability, obs.Nodes[i].Role, obs.Nodes[i].OS = "ready", "active", "worker", "linux"
	}
	obs.Nodes = append(obs.Nodes, ucp.Node{Hostname: "free", State: "ready", Availability: "active", Role: "worker", OS: "linux"})
	return obs
}

func free(obs *cluster.Snapshot) *ucp.Node { return &obs.Nodes[len(obs.Nodes)-1] }

// scaler is a container of this provider's for a join or a removal.
func scaler(command, id, node, state string) ucp.Container {
	return ucp.Container{
		Name: "worker1/" + cluster.ContainerName(clustertest.Host), Image: "docker/dtr:2.6.8", State: state,
		Labels: map[string]string{cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: command, cluster.LabelReplica: id, cluster.LabelNode: node, cluster.LabelTo: "2.6.8"},
	}
}

func summaries(f preflight.Findings) string {
	var all []string
	for _, x := range f {
		severity := "error: "
		if x.Severity == preflight.Warning {
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
		Name: "worker1/" + cluster.ContainerName(clustertest.Host), Image: "docker/dtr:2.6.8", State: state,
		Labels: map[string]string{cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: cluster.CommandBackup, cluster.LabelFrom: "2.6.8", cluster.LabelTo: "2.6.9"},
	}
}

// elsewhere stands in UCP for a bootstrapper on another engine.
func elsewhere() *ucp.Container {
	return &ucp.Container{
		Name: "worker1/" + cluster.ElsewhereName(clustertest.Host), Image: "docker/dtr-rethink:2.6.8", State: cluster.StateCreated,
		Labels: map[string]string{cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: cluster.CommandLock, cluster.LabelHolds: "ABC"},
	}
}

func TestPreflightJoin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		replicas int
		node     string // free, unless said otherwise
		existing string
		change   func(*cluster.Snapshot)
		want     string
	}{
		"to three":                   {replicas: 2},
		"to four":                    {replicas: 3, want: evenWarning},
		"to seven":                   {replicas: 6},
		"to eight":                   {replicas: 7, want: "error: The cluster has 7 replicas already"},
		"no such node":               {replicas: 2, node: "worker9", want: "error: UCP has no node worker9"},
		"a node with a replica":      {replicas: 2, node: "worker1", want: "error: Node worker1 has a replica already"},
		"a node that is down":        {replicas: 2, change: func(o *cluster.Snapshot) { free(o).State = "down" }, want: "error: Node free is not ready"},
		"a node that is drained":     {replicas: 2, change: func(o *cluster.Snapshot) { free(o).Availability = "drain" }, want: "error: Node free takes no new containers"},
		"a manager":                  {replicas: 2, change: func(o *cluster.Snapshot) { free(o).Role = "manager" }, want: "error: Node free is a manager"},
		"Windows":                    {replicas: 2, change: func(o *cluster.Snapshot) { free(o).OS = "windows" }, want: "error: Node free runs Windows"},
		"a node that says little":    {replicas: 2, change: func(o *cluster.Snapshot) { free(o).OS, free(o).Role = "", "" }},
		"an existing replica":        {replicas: 2, existing: clustertest.ReplicaID(2)},
		"an existing one that isn't": {replicas: 2, existing: clustertest.ReplicaID(9), want: "error: The cluster has no replica " + clustertest.ReplicaID(9)},
		"an ill replica": {
			replicas: 2, change: func(o *cluster.Snapshot) { o.Status.Health[clustertest.ReplicaID(2)] = "Rethink is down" },
			want: "error: Replica " + clustertest.ReplicaID(2) + " is not healthy",
		},
		"a stale report": {
			replicas: 2, change: func(o *cluster.Snapshot) {
				o.Status.Timestamp[clustertest.ReplicaID(2)] = o.Status.Date.Add(-3 * time.Minute)
			},
			want: "error: The health report of replica " + clustertest.ReplicaID(2) + " is stale",
		},
		"a rollout that was interrupted": {replicas: 2, change: func(o *cluster.Snapshot) {
			c := o.Replicas[1].Containers["nginx"]
			c.Version = clustertest.Version("2.6.9")
			o.Replicas[1].Containers["nginx"] = c
		}, want: "error: The cluster is not at one version"},
		"a container that is missing": {
			replicas: 2, change: func(o *cluster.Snapshot) { delete(o.Replicas[0].Containers, "nginx") },
			want: "error: The cluster is not at one version",
		},
		"an upgrade": {replicas: 2, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.6.7", "2.6.8", "running")}
		}, want: "error: An upgrade of the cluster is running"},
		"an upgrade that is not finished": {replicas: 2, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.6.7", "2.6.8", "exited")}
		}, want: "error: An upgrade of the cluster is not finished"},
		"somebody else": {replicas: 2, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{{Name: "worker1/eager_turing", Image: "docker/dtr:2.6.8", State: "running"}}
		}, want: "error: Another DTR bootstrapper is running"},
		"a second phase that is nobody's": {replicas: 2, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{{Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.8", State: "running"}}
		}, want: "error: Another DTR bootstrapper is running"},
		"a backup, with its second phase": {replicas: 2, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{backupOf("running"), {Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.8", State: "running"}}
		}, want: "error: A backup of the cluster is being taken"},
		"a backup that has ended": {replicas: 2, change: func(o *cluster.Snapshot) { o.Bootstrappers = []ucp.Container{backupOf("exited")} }},
		"another join is at work: its turn is waited for": {replicas: 7, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{scaler(cluster.CommandJoin, clustertest.ReplicaID(9), "elsewhere", "running")}
			delete(o.Status.Health, clustertest.ReplicaID(1))
		}},
		"a bootstrapper is on another engine: its turn is waited for": {replicas: 7, change: func(o *cluster.Snapshot) {
			o.Elsewhere = elsewhere()
			delete(o.Status.Health, clustertest.ReplicaID(1))
		}},
		"an upgrade is on another engine, which shows it": {replicas: 2, change: func(o *cluster.Snapshot) {
			o.Elsewhere = elsewhere()
			upgrade := clustertest.UpgradeContainer("2.6.7", "2.6.8", "running")
			upgrade.Labels[cluster.LabelHolds] = o.Elsewhere.Labels[cluster.LabelHolds]
			o.Bootstrappers = []ucp.Container{upgrade}
		}, want: "error: An upgrade of the cluster is running"},
		"another join is being verified": {replicas: 7, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{scaler(cluster.CommandJoin, clustertest.ReplicaID(9), "elsewhere", "exited")}
		}},
		"a bad node is said all the same": {replicas: 2, node: "worker9", change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{scaler(cluster.CommandRemove, clustertest.ReplicaID(9), "", "running")}
		}, want: "error: UCP has no node worker9"},
		"a replica on the node that we have made": {replicas: 3, node: "worker3", change: func(o *cluster.Snapshot) {
			c := scaler(cluster.CommandJoin, clustertest.ReplicaID(3), "worker3", "exited")
			c.Name += "-" + clustertest.ReplicaID(3) // set aside
			o.Bootstrappers = []ucp.Container{c}
		}},
		"a replica on the node that we have made elsewhere": {replicas: 2, node: "worker2", change: func(o *cluster.Snapshot) {
			c := scaler(cluster.CommandJoin, clustertest.ReplicaID(2), "worker1", "exited")
			c.Name += "-" + clustertest.ReplicaID(2)
			o.Bootstrappers = []ucp.Container{c}
		}, want: "error: Node worker2 has a replica already"},
		"all at once": {
			replicas: 7, node: "worker1", change: func(o *cluster.Snapshot) { o.Status.Health[clustertest.ReplicaID(2)] = "ill" },
			want: "error: Node worker1 has a replica already; error: Replica " + clustertest.ReplicaID(2) + " is not healthy; error: The cluster has 7 replicas already",
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
			if got := summaries(PreflightJoin(obs, Options{Node: tt.node, ExistingReplicaID: tt.existing})); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPreflightRemove(t *testing.T) {
	t.Parallel()
	ill := func(n int) func(*cluster.Snapshot) {
		return func(o *cluster.Snapshot) { o.Status.Health[clustertest.ReplicaID(n)] = "Rethink is down" }
	}
	for name, tt := range map[string]struct {
		replicas int
		id       int // 1, unless said otherwise
		change   func(*cluster.Snapshot)
		want     string
	}{
		"the last":             {replicas: 1, want: "error: Replica " + clustertest.ReplicaID(1) + " is the last one"},
		"one of two":           {replicas: 2},
		"one of three":         {replicas: 3, want: evenWarning},
		"one of four":          {replicas: 4},
		"gone already":         {replicas: 1, id: 9},
		"the ill one of three": {replicas: 3, change: ill(1), want: evenWarning},
		"beside an ill one":    {replicas: 3, change: ill(2), want: "error: Replica " + clustertest.ReplicaID(2) + " is not healthy; " + evenWarning},
		"the ill one of two":   {replicas: 2, change: ill(1), want: "error: The removal of replica " + clustertest.ReplicaID(1) + " would break the quorum"},
		"two ill ones of three": {
			replicas: 3, change: func(o *cluster.Snapshot) { ill(1)(o); ill(2)(o) },
			want: "error: Replica " + clustertest.ReplicaID(2) + " is not healthy; error: The removal of replica " + clustertest.ReplicaID(1) + " would break the quorum; " + evenWarning,
		},
		"half removed, and no longer listed": {replicas: 2, change: func(o *cluster.Snapshot) { clustertest.Unlist(o, 0) }},
		"the only other is not listed":       {replicas: 2, change: func(o *cluster.Snapshot) { clustertest.Unlist(o, 1) }, want: "error: Replica " + clustertest.ReplicaID(1) + " is the last one"},
		"beside an upgrade": {replicas: 2, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.6.7", "2.6.8", "running")}
		}, want: "error: An upgrade of the cluster is running"},
		"another is being removed": {replicas: 3, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{scaler(cluster.CommandRemove, clustertest.ReplicaID(2), "", "running")}
			delete(o.Status.Health, clustertest.ReplicaID(2))
		}},
		"what is left of another removal does not hide that it is the last": {replicas: 1, change: func(o *cluster.Snapshot) {
			o.Bootstrappers = []ucp.Container{scaler(cluster.CommandRemove, clustertest.ReplicaID(2), "", "exited")}
		}, want: "error: Replica " + clustertest.ReplicaID(1) + " is the last one"},
		"a bootstrapper is on another engine: its turn is waited for": {replicas: 4, change: func(o *cluster.Snapshot) {
			o.Elsewhere = elsewhere()
			delete(o.Replicas[1].Containers, "nginx")
		}},
		"its own parts are missing": {replicas: 4, change: func(o *cluster.Snapshot) { delete(o.Replicas[0].Containers, "nginx") }},
		"another's are": {
			replicas: 4, change: func(o *cluster.Snapshot) { delete(o.Replicas[1].Containers, "nginx") },
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
			if got := summaries(PreflightRemove(obs, Options{ReplicaID: clustertest.ReplicaID(tt.id)})); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestProofOfAReplica holds what a replica lacks to be a member, and what is left
// of one that is none.
func TestProofOfAReplica(t *testing.T) {
	t.Parallel()
	id := clustertest.ReplicaID(3)
	for name, tt := range map[string]struct {
		change        func(*cluster.Inventory)
		joined, moved string
	}{
		"a whole member": {func(*cluster.Inventory) {}, "", "replica " + id + " is still listed by DTR; replica " + id + " still has 9 containers"},
		"nothing":        {func(i *cluster.Inventory) { i.Replicas = i.Replicas[:2] }, "replica " + id + " is neither listed by DTR nor shown by UCP", ""},
		"not listed":     {func(i *cluster.Inventory) { i.Replicas[2].Listed = false }, "replica " + id + " is not listed by DTR", "replica " + id + " still has 9 containers"},
		"listed alone": {
			func(i *cluster.Inventory) { i.Replicas[2].Containers = nil }, "dtr-rethinkdb-" + id + " is missing",
			"replica " + id + " is still listed by DTR",
		},
		"on another node": {func(i *cluster.Inventory) { i.Replicas[2].Node = "worker9" }, "replica " + id + " is on node worker9 according to DTR", "still"},
		"at another version": {func(i *cluster.Inventory) {
			i.Replicas[2].Containers["nginx"] = cluster.Container{Name: "dtr-nginx-" + id, Version: clustertest.Version("2.6.9")}
		}, "dtr-nginx-" + id + " runs 2.6.9", "still"},
	} {
		obs := members(3)
		tt.change(obs.Inventory)
		if got := cluster.ProblemsText(notJoined(obs.Inventory, id, "worker3")); !strings.HasPrefix(got, tt.joined) || tt.joined == "" && got != "" {
			t.Errorf("%s: joined, but for %q", name, got)
		}
		if got := cluster.ProblemsText(notRemoved(obs.Inventory, id)); !strings.Contains(got, tt.moved) || tt.moved == "" && got != "" {
			t.Errorf("%s: removed, but for %q", name, got)
		}
	}
}

func TestExistingReplicaFor(t *testing.T) {
	t.Parallel()
	obs := members(3)
	obs.Status.Health[clustertest.ReplicaID(1)] = "ill"
	for _, tt := range []struct{ wanted, except, want string }{
		{"", "", clustertest.ReplicaID(2)},
		{clustertest.ReplicaID(3), "", clustertest.ReplicaID(3)},
		{clustertest.ReplicaID(9), "", clustertest.ReplicaID(2)},
		{clustertest.ReplicaID(2), clustertest.ReplicaID(2), clustertest.ReplicaID(3)},
		{"", clustertest.ReplicaID(2), clustertest.ReplicaID(3)},
	} {
		if got, ok := existingReplicaFor(obs, tt.wanted, tt.except); !ok || got.ID != tt.want {
			t.Errorf("wanted %q, not %q: got %s", tt.wanted, tt.except, got.ID)
		}
	}
	obs.Status.Health = map[string]string{clustertest.ReplicaID(2): dtr.HealthOK}
	if _, ok := existingReplicaFor(obs, "", clustertest.ReplicaID(2)); ok {
		t.Error("an ill one was picked")
	}
}

// What has begun since the checks were made is seen at the last look, whosever it
// is; the container that is about to be started does not run yet.
func TestOthersAtWork(t *testing.T) {
	for state, want := range map[string]bool{"running": true, "restarting": true, "created": false, "exited": false} {
		obs := &cluster.Snapshot{Inventory: &cluster.Inventory{Bootstrappers: []ucp.Container{{Name: "/worker1/" + cluster.Phase2Name, State: state}}}}
		if err := othersAtWork(obs); (err != nil) != want {
			t.Errorf("%s: error %v", state, err)
		}
	}
}

// TestPreflightReplace holds that a join is judged as if the replica that it replaces
// were gone, only where that one stands in its way.
func TestPreflightReplace(t *testing.T) {
	t.Parallel()
	first, second := clustertest.ReplicaID(1), clustertest.ReplicaID(2)
	ill := func(ids ...string) func(*cluster.Snapshot) {
		return func(o *cluster.Snapshot) {
			for _, id := range ids {
				o.Status.Health[id] = "Rethink is down"
			}
		}
	}
	removed := "warning: Replica " + second + " must be removed before another one joins"
	for name, tt := range map[string]struct {
		replicas int
		node     string // free, unless said otherwise
		existing string
		change   func(*cluster.Snapshot)
		want     string
	}{
		"on its own node":             {replicas: 3, node: "worker2", want: removed},
		"on another's node":           {replicas: 3, node: "worker1", want: "error: Node worker1 has a replica already; " + evenWarning},
		"on a free node":              {replicas: 3, want: evenWarning},
		"it is ill":                   {replicas: 3, change: ill(second), want: removed},
		"it has lost its containers":  {replicas: 3, change: func(o *cluster.Snapshot) { clear(o.Replicas[1].Containers) }, want: removed},
		"it is one of seven":          {replicas: 7, want: removed},
		"another one is ill":          {replicas: 5, change: ill(first), want: "error: Replica " + first + " is not healthy; " + evenWarning},
		"both are ill":                {replicas: 5, change: ill(first, second), want: "error: Replica " + first + " is not healthy; " + removed},
		"its removal breaks a quorum": {replicas: 2, change: ill(second), want: evenWarning + "; error: The removal of replica " + second + " would break the quorum; " + removed},
		"the bootstrapper needs it":   {replicas: 3, node: "worker2", existing: second, want: "error: The cluster has no replica " + second + "; " + removed},
		"DTR does not list it":        {replicas: 3, node: "worker2", change: func(o *cluster.Snapshot) { clustertest.Unlist(o, 1) }, want: removed},
		"it is gone":                  {replicas: 2, node: "worker1", change: func(o *cluster.Snapshot) { o.Replicas = o.Replicas[:1] }, want: "error: Node worker1 has a replica already; " + evenWarning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obs := members(tt.replicas)
			if tt.change != nil {
				tt.change(obs)
			}
			found := PreflightReplace(obs, Options{Node: cmp.Or(tt.node, "free"), ReplicaID: second, ExistingReplicaID: tt.existing})
			if got := summaries(found); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
