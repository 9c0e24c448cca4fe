package replica

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// hiding has UCP not list the containers of a node.
func hiding(node string) simulator.Fault {
	return simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/json",
		Matches: func(r *http.Request) bool { return !strings.Contains(r.URL.Query().Get("filters"), "label") },
		Rewrite: func(status int, body []byte) (int, []byte) {
			var list []map[string]any
			if err := json.Unmarshal(body, &list); err != nil {
				return status, body
			}
			list = slices.DeleteFunc(list, func(c map[string]any) bool {
				return strings.HasPrefix(c["Names"].([]any)[0].(string), "/"+node+"/")
			})
			shown, _ := json.Marshal(list)
			return status, shown
		},
	}
}

// unlisted has DTR not list the replicas on a node.
func unlisted(node string) simulator.Fault {
	return simulator.Fault{
		Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/meta/settings",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var settings map[string]any
			if err := json.Unmarshal(body, &settings); err != nil {
				return status, body
			}
			replicas, _ := settings["replicaSettings"].(map[string]any)
			for id, r := range replicas {
				if r.(map[string]any)["node"] == node {
					delete(replicas, id)
				}
			}
			shown, _ := json.Marshal(settings)
			return status, shown
		},
	}
}

// joinedBadly joins a replica on worker4, whose bootstrapper says that it failed.
func joinedBadly(t *testing.T) (*simulator.Cluster, cluster.Cluster) {
	t.Helper()
	sim, c := clustertest.Roomy(t, 3)
	one := 1
	sim.SetBootstrapper(simulator.BootstrapperFaults{ExitStatus: &one})
	if _, err := Join(clustertest.Limited(t), c, on("worker4")); err == nil {
		t.Fatal("it ended well")
	}
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	return sim, c
}

// TestJoinIsNotUndoneForAnIncompleteList has UCP not show the new replica once, at each
// look in turn.
func TestJoinIsNotUndoneForAnIncompleteList(t *testing.T) {
	t.Parallel()
	for look := range 6 {
		t.Run(fmt.Sprintf("at look %d", look+1), func(t *testing.T) {
			t.Parallel()
			sim, c := joinedBadly(t)
			incomplete := hiding("worker4")
			incomplete.Skip, incomplete.Times = look, 1
			sim.Inject(incomplete)
			if _, err := Join(clustertest.Limited(t), c, on("worker4")); err != nil {
				t.Fatal(err)
			}
			if sim.Runs(cluster.CommandRemove) != 0 || sim.Runs(cluster.CommandJoin) != 1 {
				t.Errorf("%d removals, %d joins", sim.Runs(cluster.CommandRemove), sim.Runs(cluster.CommandJoin))
			}
			clustertest.WantMembers(t, sim, 4)
		})
	}
}

// TestJoinThatDTRReportsWellIsNotUndone has UCP not show the new replica at all, and then
// again.
func TestJoinThatDTRReportsWellIsNotUndone(t *testing.T) {
	t.Parallel()
	sim, c := joinedBadly(t)
	show := sim.Inject(hiding("worker4"))
	kept := clustertest.AsError[*KeptReplicaError](t, clustertest.Second(Join(clustertest.Limited(t), c, on("worker4"))))
	if kept.Node != "worker4" || !slices.Contains(sim.ReplicaIDs(), kept.ReplicaID) || len(kept.Problems) == 0 {
		t.Errorf("got %+v", kept)
	}
	show()
	if _, err := Join(clustertest.Limited(t), c, on("worker4")); err != nil {
		t.Fatal(err)
	}
	if sim.Runs(cluster.CommandRemove) != 0 || sim.Runs(cluster.CommandJoin) != 1 {
		t.Errorf("%d removals, %d joins", sim.Runs(cluster.CommandRemove), sim.Runs(cluster.CommandJoin))
	}
	clustertest.WantMembers(t, sim, 4)
}

// TestContainersThatAJoinLeavesAreNamed has a join die, of whose replica DTR knows
// nothing and which the bootstrapper does not remove.
func TestContainersThatAJoinLeavesAreNamed(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 1})
	sim.Inject(unlisted("worker4"))
	if _, err := Join(clustertest.Limited(t), c, on("worker4")); err == nil {
		t.Fatal("it ended well")
	}
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
	left := clustertest.AsError[*LeftContainersError](t, clustertest.Second(Join(clustertest.Limited(t), c, on("worker4"))))
	if left.Node != "worker4" || len(left.Containers) != 4 || !strings.HasSuffix(left.Containers[0], left.ReplicaID) {
		t.Errorf("got %+v", left)
	}
}

// TestRemovalOnANodeThatIsDown removes a replica that the bootstrapper cannot reach.
func TestRemovalOnANodeThatIsDown(t *testing.T) {
	t.Parallel()
	for version, force := range map[string]bool{"2.6.8": false, "2.6.15": true} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Connect(t, simulator.Options{Version: version, Replicas: 3, Workers: 4, Speed: clustertest.Speed})
			id := sim.ReplicaIDs()[2]
			sim.AddBundle(version) // nothing is to be pulled
			sim.StopEngine("worker3")
			o := without(id)
			o.Pace.Healthy = time.Second
			down := clustertest.AsError[*NodeDownError](t, Remove(clustertest.Limited(t), c, o))
			if down.Node != "worker3" || down.ReplicaID != id || down.State != "down" || (len(down.Forced) > 0) != force {
				t.Errorf("got %+v", down)
			}
		})
	}
}
