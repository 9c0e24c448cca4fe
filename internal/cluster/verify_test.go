package cluster_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestVerificationLooksTwiceInARow has a look fail between two good ones: these are
// then not in a row, and another one is due.
func TestVerificationLooksTwiceInARow(t *testing.T) {
	t.Parallel()
	const path = "/api/v0/meta/cluster_status"
	sim, c := clustertest.Start(t, "2.6.15")
	// So late that the reports are newer by the next look.
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceDTR, Path: path, Status: http.StatusNotFound, Delay: 300 * time.Millisecond, Skip: 1, Times: 1,
	})
	v := cluster.Verification{Cluster: c, Pace: clustertest.Pace, Progress: &cluster.Progress{}, Target: clustertest.Version("2.6.15")}
	if err := v.Run(clustertest.Limited(t)); err != nil {
		t.Fatal(err)
	}
	inARow := 0
	for _, r := range sim.Requests() {
		switch {
		case r.Path != path:
		case r.Status == http.StatusOK:
			inARow++
		default:
			inARow = 0
		}
	}
	if inARow < 2 {
		t.Errorf("the cluster was verified after %d good look in a row", inARow)
	}
}

func TestProgressWithoutATarget(t *testing.T) {
	t.Parallel()
	new(cluster.Progress).Report(t.Context(), clustertest.Snapshot("2.6.8").Inventory, nil) // must not panic
}
