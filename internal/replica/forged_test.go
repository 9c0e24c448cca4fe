package replica

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// forgedJoin makes what a user can make who may create containers: one that looks in all
// as a join does which has ended.
func forgedJoin(t *testing.T, sim *simulator.Cluster, c cluster.Cluster, name, id, node, on string) {
	t.Helper()
	r := hosted(t, c, Options{Node: node}).runner
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	sim.AddImage("docker/dtr:2.6.8")
	made := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
		Name: strings.ReplaceAll(name, "LOCK", r.ContainerName()), Image: "docker/dtr:2.6.8", Node: on,
		Args: []string{"join", "--replica-id", id, "--ucp-node", node, "--help"},
		Labels: map[string]string{
			cluster.LabelCluster: r.Host, cluster.LabelCommand: cluster.CommandJoin,
			cluster.LabelReplica: id, cluster.LabelNode: node, cluster.LabelTo: "2.6.8",
		},
	}))
	if err := engine.Start(t.Context(), made); err != nil {
		t.Fatal(err)
	}
}

// withoutGarant has the list of containers lack one of the replica's.
func withoutGarant(t *testing.T, id string) simulator.Fault {
	t.Helper()
	return clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), "dtr-garant-"+id) })
	})
}

// TestForgedJoin has a container say that a healthy replica was joined by this provider.
// Neither is the replica removed, nor does a join take it for its own.
func TestForgedJoin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		container string
		on        string // the node that the container is on
		node      string // that is to be joined on
		sick      bool   // DTR reports the replica as not healthy, and UCP does not show it whole
		remade    bool   // the replica's containers, but not its volumes
	}{
		"of an old replica":             {"LOCK", "worker1", "worker2", false, false},
		"of an old replica, set aside":  {"LOCK-ID", "worker1", "worker2", false, false},
		"of a sick replica":             {"LOCK", "worker1", "worker2", true, false},
		"of a sick one, set aside":      {"LOCK-ID", "worker1", "worker2", true, false},
		"made anew since":               {"LOCK", "worker1", "worker2", false, true},
		"made anew since, set aside":    {"LOCK-ID", "worker1", "worker2", false, true},
		"made anew since, sick":         {"LOCK", "worker1", "worker2", true, true},
		"made anew, sick and set aside": {"LOCK-ID", "worker1", "worker2", true, true},
		"from another node":             {"LOCK", "worker5", "worker2", false, false},
		"from there, set aside":         {"LOCK-ID", "worker5", "worker2", false, false},
		"by another name":               {"my-own", "worker1", "worker2", false, false},
		"to a free node":                {"LOCK", "worker1", "worker4", false, false},
		"to a free node, set aside":     {"LOCK-ID", "worker1", "worker4", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Roomy(t, 3)
			id := sim.ReplicaIDs()[1]
			forgedJoin(t, sim, c, strings.ReplaceAll(tt.container, "ID", id), id, tt.node, tt.on)
			if tt.remade { // as an upgrade does
				sim.SetReplicaVersion(id, "2.6.8")
			}
			if tt.sick {
				sim.SetReplicaHealth(id, "out of memory")
				sim.Inject(withoutGarant(t, id))
			}
			m, err := Join(clustertest.Limited(t), c, on(tt.node))
			if m.ID == id {
				t.Errorf("the join claims replica %s", id)
			}
			if got := sim.Runs(cluster.CommandRemove); got != 0 {
				t.Errorf("%d removals", got)
			}
			if !slices.Contains(sim.ReplicaIDs(), id) {
				t.Error("the replica is gone")
			}
			if tt.node == "worker2" && err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestForgedJoinOfAHealthyReplica has a container say that a replica was joined by this
// provider, and nothing speak against it: the replica's containers are newer, and UCP does
// not tell how old its volumes are. DTR's word that the replica is healthy is enough for it
// not to be removed, whatever UCP shows of it.
func TestForgedJoinOfAHealthyReplica(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(sim *simulator.Cluster, id string){
		"a container has ended": func(sim *simulator.Cluster, id string) { sim.KillContainer("worker2/dtr-garant-" + id) },
		"none is shown":         func(sim *simulator.Cluster, _ string) { sim.Inject(hiding("worker2")) },
		"one is not shown":      func(sim *simulator.Cluster, id string) { sim.Inject(withoutGarant(t, id)) },
		"one is of another version": func(sim *simulator.Cluster, id string) {
			sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
				for _, l := range list {
					if strings.HasSuffix(l.Name(), "dtr-garant-"+id) {
						l["Image"] = "docker/dtr-garant:2.6.7"
					}
				}
				return list
			}))
		},
	} {
		for _, container := range []string{"LOCK", "LOCK-ID"} {
			t.Run(name+", "+container, func(t *testing.T) {
				t.Parallel()
				sim, c := clustertest.Roomy(t, 3)
				id := sim.ReplicaIDs()[1]
				forgedJoin(t, sim, c, strings.ReplaceAll(container, "ID", id), id, "worker2", "worker1")
				sim.SetReplicaVersion(id, "2.6.8")
				sim.Inject(simulator.Fault{
					Service: simulator.ServiceEngine, Path: "/volumes",
					Rewrite: func(int, []byte) (int, []byte) { return 404, []byte(`{"message":"page not found"}`) },
				})
				harm(sim, id)
				o := on("worker2")
				o.Pace.Healthy = time.Second
				if _, err := Join(clustertest.Limited(t), c, o); err == nil {
					t.Error("no error")
				}
				if got := sim.Runs(cluster.CommandRemove); got != 0 {
					t.Errorf("%d removals", got)
				}
				if !slices.Contains(sim.ReplicaIDs(), id) {
					t.Error("the replica is gone")
				}
			})
		}
	}
}
