package upgrade

import (
	"bytes"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// forgedUpgrade makes what a user can make who may create containers on DTR's nodes: one
// that looks in all as the bootstrapper's of a hop to 2.6.15 does, and has more labels.
func forgedUpgrade(t *testing.T, sim *simulator.Cluster, c cluster.Cluster, name string, more map[string]string, flags ...string) {
	t.Helper()
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	sim.AddImage("docker/dtr:2.6.15")
	labels := map[string]string{cluster.LabelCluster: hostOf(t, c), cluster.LabelFrom: "2.5.6", cluster.LabelTo: "2.6.15"}
	maps.Copy(labels, more)
	id := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
		Name: name, Image: "docker/dtr:2.6.15", Node: "worker1", Args: append([]string{"upgrade"}, flags...), Labels: labels,
	}))
	if err := engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// Labels of the hop's bootstrapper that tell of before it.
var (
	wasMigrated  = map[string]string{"com.github.dtr-upgrade.metadata-store-migrated": "true", "com.github.dtr-upgrade.earlier-job.metadatastoremigration": ""}
	hadNoJob     = map[string]string{"com.github.dtr-upgrade.earlier-job.metadatastoremigration": ""}
	tellsNothing = map[string]string{}
)

// nobody are flags with which the bootstrapper tries to log in to UCP, in vain.
var nobody = []string{"--ucp-url", "https://ucp.example.com", "--ucp-username", "nobody", "--ucp-password", "x", "--ucp-insecure-tls"}

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
			forgedUpgrade(t, sim, c, name(hostOf(t, c)), wasMigrated, "--help")
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

// TestForgedUpgradeAfterTheHop has a container say that a hop was made whose migration is
// to follow, or was made before. One that was made after all that runs, or that does not
// tell what all of this provider's do, is not asked: no migration is started or waited for.
func TestForgedUpgradeAfterTheHop(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		labels map[string]string
		remade bool // DTR's containers are newer
	}{
		"says that it was migrated": {wasMigrated, false},
		"says that it had no job":   {hadNoJob, false},
		"tells nothing":             {tellsNothing, false},
		"tells nothing, older":      {tellsNothing, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			sim.SetMigration(simulator.MigrationFaults{NeverStart: true})
			forgedUpgrade(t, sim, c, cluster.ContainerName(hostOf(t, c)), tt.labels, "--help")
			if tt.remade {
				for _, id := range sim.ReplicaIDs() {
					sim.SetReplicaVersion(id, "2.6.15")
				}
			}
			o := to("2.6.15")
			o.Applied = clustertest.Version("2.6.15") // nothing is owed
			o.Pace.MigrationStart = 50 * time.Millisecond
			before := sim.Runs("upgrade")
			_, err := runUpgrade(t, c, o)
			clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ForeignUpgrade)
			if runs, posts := sim.Runs("upgrade")-before, clustertest.Posts(sim); runs != 0 || posts != 0 {
				t.Errorf("%d bootstrappers and %d migrations were started", runs, posts)
			}
		})
	}
}

// TestForgedUpgradeDuringTheMigration has such a container made once the checks are made,
// before the migration is asked for that the cluster owes.
func TestForgedUpgradeDuringTheMigration(t *testing.T) {
	t.Parallel()
	for name, labels := range map[string]map[string]string{"says that it was migrated": wasMigrated, "says that it had no job": hadNoJob} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			sim.SetMigration(simulator.MigrationFaults{NeverStart: true})
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceDTR, Path: "/api/v0/meta/features",
				Rewrite: func(status int, body []byte) (int, []byte) {
					return status, bytes.Replace(body, []byte(`"onlineGCEnabled":true`), []byte(`"onlineGCEnabled":false`), 1)
				},
			})
			lock := cluster.ContainerName(hostOf(t, c))
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/" + lock + "/json",
				Skip: 2, Times: 1, // the last time that it is looked for before the hop
				Rewrite: func(status int, body []byte) (int, []byte) {
					forgedUpgrade(t, sim, c, lock, labels, "--help")
					return status, body
				},
			})
			o := to("2.6.15")
			o.Pace.MigrationStart = 50 * time.Millisecond
			_, err := runUpgrade(t, c, o)
			foreign := clustertest.AsError[*runner.ForeignContainerError](t, err)
			if foreign.Container == "" || clustertest.Posts(sim) != 0 {
				t.Errorf("got %+v, and %d jobs posted", foreign, clustertest.Posts(sim))
			}
		})
	}
}

// TestForgedUpgradeAtWork has a container run that says that it makes the hop. It has
// replaced nothing, so that no backup is left out for it.
func TestForgedUpgradeAtWork(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	defer sim.Hold(simulator.BootstrapperStarted)()
	forgedUpgrade(t, sim, c, cluster.ContainerName(hostOf(t, c)), wasMigrated, nobody...)
	o := to("2.6.15")
	o.Backup = &Backup{File: filepath.Join(t.TempDir(), "b.tar")}
	if c := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c)).Bootstrappers; len(c) != 1 || !c[0].Running() {
		t.Fatalf("there are %+v", c)
	}
	_, err := runUpgrade(t, c, o)
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
	clustertest.WantAt(t, sim, "2.5.6")
}

// TestForgedUpgradeThatEnds has a container that says that it makes the hop run until the
// checks are made, which refuse nothing beside it, and then end. No bootstrapper is
// started on their word.
func TestForgedUpgradeThatEnds(t *testing.T) {
	t.Parallel()
	for check, harm := range map[preflight.Check]func(sim *simulator.Cluster){
		preflight.ReplicaHealth: func(sim *simulator.Cluster) { sim.SetReplicaHealth(sim.ReplicaIDs()[1], "out of memory") },
		preflight.Memory:        func(sim *simulator.Cluster) { sim.SetMemory("worker1", 8<<30) },
	} {
		t.Run(string(check), func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			release := sim.Hold(simulator.BootstrapperStarted)
			name := cluster.ContainerName(hostOf(t, c))
			forgedUpgrade(t, sim, c, name, wasMigrated, nobody...)
			before := sim.Runs("upgrade")
			harm(sim)
			end := sync.OnceFunc(func() { sim.KillContainer(name); release() })
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/" + name + "/json",
				Matches: func(*http.Request) bool { end(); return false },
			})
			_, err := runUpgrade(t, c, to("2.6.15"))
			clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), check)
			if runs := sim.Runs("upgrade") - before; runs != 0 {
				t.Errorf("%d bootstrappers were started", runs)
			}
		})
	}
}
