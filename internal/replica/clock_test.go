package replica

import (
	"context"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestJoinWithClocksApart interrupts a join whose bootstrapper is on a node whose clock is
// ahead of that of the replica's node. The next apply takes the join for its own.
func TestJoinWithClocksApart(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.JoinStarted, simulator.BootstrapperFinished} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Connect(t, simulator.Options{
				Version: "2.6.8", Replicas: 3, Workers: 8, Speed: clustertest.Speed,
				Nodes: map[string]simulator.NodeOptions{"worker1": {ClockAhead: 10 * time.Minute}},
			})
			ctx, cancel := context.WithCancel(clustertest.Limited(t))
			release := sim.Hold(point)
			go func() {
				<-sim.Reached(point)
				cancel()
			}()
			if _, err := Join(ctx, c, on("worker5")); err == nil {
				t.Fatal("it was not interrupted")
			}
			release()
			clustertest.AwaitEnd(t, sim)
			if _, err := Join(clustertest.Limited(t), c, on("worker5")); err != nil {
				t.Fatal(err)
			}
			clustertest.WantMembers(t, sim, 4)
			if got := sim.Runs("join"); got != 1 {
				t.Errorf("%d joins", got)
			}
		})
	}
}

// TestForgedJoinWithClocksApart has a container say that an old replica was joined by this
// provider, on a node whose clock is ahead: that explains not all of the difference.
func TestForgedJoinWithClocksApart(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Connect(t, simulator.Options{
		Version: "2.6.8", Replicas: 3, Workers: 8, Speed: clustertest.Speed,
		Nodes: map[string]simulator.NodeOptions{"worker1": {ClockAhead: 10 * time.Minute}},
	})
	forgedJoin(t, sim, c, "LOCK", sim.ReplicaIDs()[1], "worker2", "worker1")
	inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	if join, found := inventory.MembershipChange(); found {
		t.Errorf("container %s is taken for a join of this provider's", join.Name)
	}
}
