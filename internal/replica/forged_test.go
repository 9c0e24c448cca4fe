package replica

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// older has the list of containers say that all but the bootstrappers are a day old, as
// those of a replica are that was there before.
func older(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		for _, l := range list {
			if _, part := bootstrap.ParseContainerName(l.Name()); part {
				l["Created"] = time.Now().Add(-24 * time.Hour).Unix()
			}
		}
		return list
	}))
}

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

// TestForgedJoin has a container say that a healthy replica was joined by this provider.
// Neither is the replica removed, nor does a join take it for its own.
func TestForgedJoin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		container string
		on        string // the node that the container is on
		node      string // that is to be joined on
		sick      bool   // DTR reports the replica as not healthy
		old       bool   // the replica was there long before
	}{
		"of an old replica":            {"LOCK", "worker1", "worker2", false, true},
		"of an old replica, set aside": {"LOCK-ID", "worker1", "worker2", false, true},
		"of a sick replica":            {"LOCK", "worker1", "worker2", true, true},
		"of a sick one, set aside":     {"LOCK-ID", "worker1", "worker2", true, true},
		"from another node":            {"LOCK", "worker5", "worker2", false, false},
		"from there, set aside":        {"LOCK-ID", "worker5", "worker2", false, false},
		"by another name":              {"my-own", "worker1", "worker2", false, false},
		"to a free node":               {"LOCK", "worker1", "worker4", false, true},
		"to a free node, set aside":    {"LOCK-ID", "worker1", "worker4", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Roomy(t, 3)
			id := sim.ReplicaIDs()[1]
			forgedJoin(t, sim, c, strings.ReplaceAll(tt.container, "ID", id), id, tt.node, tt.on)
			if tt.old {
				older(t, sim)
			}
			if tt.sick {
				sim.SetReplicaHealth(id, "out of memory")
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
