package upgrade

import (
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// forgedUpgrade makes what a user can make who may create containers on DTR's nodes: one
// that looks in all as the bootstrapper's of a hop to 2.6.15 does, which has ended well,
// and says that the metadata store was migrated before.
func forgedUpgrade(t *testing.T, sim *simulator.Cluster, c cluster.Cluster, name string) {
	t.Helper()
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	sim.AddImage("docker/dtr:2.6.15")
	id := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
		Name: name, Image: "docker/dtr:2.6.15", Node: "worker1", Args: []string{"upgrade", "--help"},
		Labels: map[string]string{
			cluster.LabelCluster: hostOf(t, c), cluster.LabelFrom: "2.5.6", cluster.LabelTo: "2.6.15",
			"com.github.dtr-upgrade.metadata-store-migrated": "true",
		},
	}))
	if err := engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func hostOf(t *testing.T, c cluster.Cluster) string {
	t.Helper()
	return clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c)).Host
}

// TestForgedUpgradeBeforeTheHop holds that a container which says that the hop was made,
// and its migration before it, spares neither.
func TestForgedUpgradeBeforeTheHop(t *testing.T) {
	t.Parallel()
	for place, name := range map[string]func(host string) string{"the lock": cluster.ContainerName, "one that is kept": cluster.EarlierName} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.SetMigration(simulator.MigrationFaults{NeverStart: true})
			forgedUpgrade(t, sim, c, name(hostOf(t, c)))
			o := to("2.6.15")
			o.Pace.MigrationStart = 50 * time.Millisecond
			before := sim.Runs("upgrade")
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			if runs, posts := sim.Runs("upgrade")-before, clustertest.Posts(sim); runs != 1 || posts != 1 {
				t.Errorf("%d bootstrappers and %d migrations, want one of each", runs, posts)
			}
		})
	}
}

// TestForgedUpgradeAfterTheHop holds that a container which was made after all that runs
// is not asked what was before.
func TestForgedUpgradeAfterTheHop(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.SetMigration(simulator.MigrationFaults{NeverStart: true})
	forgedUpgrade(t, sim, c, cluster.ContainerName(hostOf(t, c)))
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		for _, l := range list {
			if _, part := bootstrap.ParseContainerName(l.Name()); part {
				l["Created"] = time.Now().Add(-24 * time.Hour).Unix()
			}
		}
		return list
	}))
	_, err := runUpgrade(t, c, to("2.6.15"))
	foreign := clustertest.AsError[*runner.ForeignContainerError](t, err)
	if foreign.Container == "" || clustertest.Posts(sim) != 0 {
		t.Errorf("got %+v, and %d jobs posted", foreign, clustertest.Posts(sim))
	}
}
