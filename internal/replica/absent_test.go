package replica

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestOneLookIsNoProofThatAReplicaIsGone has UCP's first lists lack the containers of a
// replica that DTR does not list.
func TestOneLookIsNoProofThatAReplicaIsGone(t *testing.T) {
	t.Parallel()
	const id = "0123456789ab"
	hidden := func(t *testing.T, lists int32) (*simulator.Cluster, cluster.Cluster) {
		t.Helper()
		sim, c := clustertest.Roomy(t, 3)
		sim.AddUnlisted(simulator.UnlistedReplica{ID: id, Node: "worker4", Version: "2.6.8", Running: true})
		var seen atomic.Int32
		sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
			if seen.Add(1) > lists {
				return list
			}
			return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), id) })
		}))
		return sim, c
	}
	t.Run("found", func(t *testing.T) {
		t.Parallel()
		_, c := hidden(t, 1)
		if m, err := Find(clustertest.Limited(t), c, wait.DefaultPace, id); err != nil || len(m.Containers) == 0 {
			t.Errorf("got %+v, error %v", m, err)
		}
	})
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		sim, c := hidden(t, 2)
		// The bootstrapper is asked, and says that it knows no such replica.
		err := Remove(clustertest.Limited(t), c, Options{ReplicaID: id, Pace: clustertest.Pace})
		_ = clustertest.AsError[*runner.BootstrapperError](t, err)
		if n := sim.Runs(cluster.CommandRemove); n != 1 {
			t.Errorf("%d removals", n)
		}
	})
}
