package cluster_test

import (
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestLabelsOfALockHideNoBootstrapper has somebody start a bootstrapper under the name of
// the container that only stands in for one, with its labels. It runs, as a lock never
// does, and from the bootstrapper's image.
func TestLabelsOfALockHideNoBootstrapper(t *testing.T) {
	t.Parallel()
	forged := ucp.Container{
		ID: "1", Name: "worker9/" + cluster.ElsewhereName(clustertest.Host), Node: "worker9", Image: "docker/dtr:2.6.15", Command: "/bin/dtr upgrade",
		State: cluster.StateRunning, Status: "Up 2 minutes",
		Labels: map[string]string{cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: cluster.CommandLock},
	}
	phase2 := ucp.Container{ID: "2", Name: "worker1/" + cluster.Phase2Name, Node: "worker1", Image: "docker/dtr:2.6.15", State: cluster.StateRunning, Status: "Up 2 minutes"}
	seen := cluster.NewInventory(clustertest.Host, listing(1), append(containers(1, "2.5.6"), forged, phase2))
	if got := seen.Foreign(false); len(got) != 2 {
		t.Errorf("foreign are %v, want the bootstrapper and its second phase", got)
	}
	if seen.Elsewhere != nil {
		t.Errorf("%s (%s, %s) is taken for a lock", seen.Elsewhere.Name, seen.Elsewhere.Image, seen.Elsewhere.State)
	}
}
