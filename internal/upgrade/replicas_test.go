package upgrade

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// joining are the options of a join.
var joining = replica.Options{Node: "worker4", Pace: clustertest.Pace}

// interruptedJoin leaves the container of a join that went well behind, as a
// Terraform does that is killed before it has saved the state.
func interruptedJoin(t *testing.T, sim *simulator.Cluster, c cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithCancel(clustertest.Limited(t))
	release := sim.Hold(simulator.BootstrapperFinished)
	go func() {
		<-sim.Reached(simulator.BootstrapperFinished)
		cancel()
	}()
	_ = clustertest.AsError[*wait.DetachedError](t, clustertest.Second(replica.Join(ctx, c, joining)))
	release()
}

// scaler is a container of this provider's for a join or a removal.
func scaler(command, id, node, state string) ucp.Container {
	return ucp.Container{
		Name: "worker1/" + cluster.ContainerName(clustertest.Host), Image: "docker/dtr:2.6.8", State: state,
		Labels: map[string]string{cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: command, cluster.LabelReplica: id, cluster.LabelNode: node},
	}
}

// TestUpgradeStandsBackForReplicas holds that a running join or removal is in the
// way of an upgrade, and one that has ended is not.
func TestUpgradeStandsBackForReplicas(t *testing.T) {
	t.Parallel()
	for _, command := range []string{cluster.CommandJoin, cluster.CommandRemove} {
		for state, want := range map[string]int{"running": 1, "exited": 0} {
			obs := observation("2.6.8", "2.6.8", "2.6.8")
			obs.Bootstrappers = []ucp.Container{
				scaler(command, clustertest.ReplicaID(3), "worker3", state),
				{Name: "worker1/dtr-phase2", Image: "docker/dtr:2.6.8", State: state},
			}
			plan, findings := check(obs, options("2.6.9"))
			if got := findings.Errors(); len(got) != want || len(plan.Hops) != 1 {
				t.Errorf("%s, %s: got %s", command, state, summaries(got))
			}
		}
	}
}

// TestHalfAReplicaIsNoHalfUpgrade holds that an upgrade does not take for its own
// what a join or a removal has half done.
func TestHalfAReplicaIsNoHalfUpgrade(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		containers []ucp.Container
		listed     bool
		due        bool
	}{
		"an upgrade's":                {nil, true, true},
		"a join's that is at work":    {[]ucp.Container{scaler(cluster.CommandJoin, clustertest.ReplicaID(3), "worker3", "running")}, false, false},
		"a join's that has failed":    {nil, false, false},
		"a removal's":                 {[]ucp.Container{scaler(cluster.CommandRemove, clustertest.ReplicaID(3), "", "running")}, true, false},
		"a removal's that has failed": {[]ucp.Container{scaler(cluster.CommandRemove, clustertest.ReplicaID(3), "", "exited")}, true, false},
	} {
		obs := observation("2.6.8", "2.6.8", "2.6.8")
		delete(obs.Replicas[2].Containers, "nginx")
		if !tt.listed {
			clustertest.Unlist(obs.Snapshot, 2)
		}
		obs.Bootstrappers = tt.containers
		plan, findings := check(obs, options("2.6.8"))
		if plan.Due() != tt.due || len(findings.Errors()) > 0 {
			t.Errorf("%s: due %t, %s", name, plan.Due(), summaries(findings))
		}
	}
}

// TestUpgradeBesideAJoin holds that no upgrade begins while a replica joins.
func TestUpgradeBesideAJoin(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	late, obs, plan := looked(t, c, to("2.6.9"))
	if err := late.bringImages(t.Context(), obs, plan.next()); err != nil {
		t.Fatal(err)
	}
	release := sim.Hold(simulator.JoinStarted)
	joined := make(chan error, 1)
	go func() { joined <- clustertest.Second(replica.Join(clustertest.Limited(t), c, joining)) }()
	<-sim.Reached(simulator.JoinStarted)
	_, err := runUpgrade(t, c, to("2.6.9"))
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ForeignUpgrade)
	moved := clustertest.AsError[*ClusterChangedError](t, late.upgrade(t.Context(), obs, plan.next()))
	if !strings.Contains(moved.Bootstrapper, "joins on node worker4") {
		t.Errorf("got %v", moved)
	}
	release()
	if err := <-joined; err != nil {
		t.Error(err)
	}
	clustertest.WantMembers(t, sim, 4)
}

// TestReplicasStandBackForABackup holds that no replica joins or leaves while a
// backup is written, whatever was seen before it began.
func TestReplicasStandBackForABackup(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	release := sim.Hold(simulator.BackupHalfway)
	o := backingUp(t, "2.6.9")
	upgraded := make(chan error, 1)
	go func() { upgraded <- clustertest.Second(Run(clustertest.Limited(t), c, o)) }()
	<-sim.Reached(simulator.BackupHalfway)
	for _, err := range []error{
		clustertest.Second(replica.Join(clustertest.Limited(t), c, joining)),
		replica.Remove(clustertest.Limited(t), c, replica.Options{ReplicaID: sim.ReplicaIDs()[0], Pace: clustertest.Pace}),
	} {
		clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ForeignUpgrade)
		if !strings.Contains(err.Error(), "A backup of the cluster is being taken") {
			t.Errorf("got %v", err)
		}
	}
	if n := sim.Runs(cluster.CommandJoin) + sim.Runs(cluster.CommandRemove); n > 0 {
		t.Errorf("%d joins and removals", n)
	}
	release()
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.9")
	wantBackup(t, o.Backup.File, "2.6.8")
	if err := clustertest.Second(replica.Join(clustertest.Limited(t), c, joining)); err != nil {
		t.Fatal(err)
	}
}

// TestBackupStandsBackForReplicas holds that no backup is begun while a replica
// joins, and that a join is not taken for the beginning of the upgrade.
func TestBackupStandsBackForReplicas(t *testing.T) {
	t.Parallel()
	t.Run("at work", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Roomy(t, 3)
		o := backingUp(t, "2.6.9")
		late, obs, plan := looked(t, c, o)
		release := sim.Hold(simulator.JoinStarted)
		joined := make(chan error, 1)
		go func() { joined <- clustertest.Second(replica.Join(clustertest.Limited(t), c, joining)) }()
		<-sim.Reached(simulator.JoinStarted)
		_, err := runUpgrade(t, c, o)
		clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ForeignUpgrade)
		_ = clustertest.AsError[*ClusterChangedError](t, late.backupStep(obs, plan.next()).run(t.Context()))
		wantFiles(t, o.Backup.File)
		wantNoBackupContainer(t, sim)
		release()
		if err := <-joined; err != nil {
			t.Fatal(err)
		}
		clustertest.WantMembers(t, sim, 4)
	})
	t.Run("ended", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Roomy(t, 3)
		interruptedJoin(t, sim, c)
		o := backingUp(t, "2.6.9")
		if _, err := runUpgrade(t, c, o); err != nil {
			t.Fatal(err)
		}
		clustertest.WantAt(t, sim, "2.6.9")
		wantBackup(t, o.Backup.File, "2.6.8")
	})
	t.Run("about to start", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Roomy(t, 3)
		o := backingUp(t, "2.6.9")
		late, obs, plan := looked(t, c, o)
		sim.AddImage("docker/dtr:2.6.8")
		clustertest.Must[runner.Container](t)(late.runner.Create(t.Context(), ucp.CreateSpec{
			Name: late.runner.ContainerName(), Image: "docker/dtr:2.6.8", Args: []string{"join", "--replica-id", "0123456789ab", "--ucp-node", "worker4"},
			Labels: map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: "0123456789ab", cluster.LabelNode: "worker4"},
		}))
		late.runner.Pace.Consistent = time.Minute // for which it may be about to start
		ctx, cancel := context.WithCancel(t.Context())
		asked := clustertest.Requested(t, sim, 3, "/containers/"+late.runner.ContainerName()+"/json")
		taken := make(chan error, 1)
		go func() { taken <- late.backupStep(obs, plan.next()).run(ctx) }()
		select {
		case <-asked:
		case err := <-taken:
			t.Fatalf("the backup did not wait: %v", err)
		}
		cancel()
		err := <-taken
		if detached := clustertest.AsError[*wait.DetachedError](t, err); !strings.Contains(strings.Join(detached.Seen, "\n"), "created (replica 0123456789ab joins on node worker4)") {
			t.Errorf("got %q, want it to say who holds the lock", detached.Seen)
		}
		wantFiles(t, o.Backup.File)
		wantNoBackupContainer(t, sim)
		// Whoever made it was killed.
		late.runner.Pace = clustertest.Pace
		if err := late.backupStep(obs, plan.next()).run(clustertest.Limited(t)); err != nil {
			t.Error(err)
		}
		wantBackup(t, o.Backup.File, "2.6.8")
	})
}

// TestJoinWaitsForABackupThatIsAboutToStart gives a join the container of a backup
// that was made and not started.
func TestJoinWaitsForABackupThatIsAboutToStart(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	other, obs, _ := looked(t, c, to("2.6.9"))
	if err := other.o.Images.BringBootstrapper(t.Context(), c, other.runner.Pace, other.bootstrapNode(obs), clustertest.Version("2.6.8")); err != nil {
		t.Fatal(err)
	}
	made := clustertest.Must[runner.Container](t)(other.runner.Create(t.Context(), ucp.CreateSpec{
		Name: other.runner.ContainerName(), Image: "docker/dtr:2.6.8", Args: []string{"backup"}, Node: other.bootstrapNode(obs),
		Labels: map[string]string{cluster.LabelCommand: cluster.CommandBackup, cluster.LabelFrom: "2.6.8", cluster.LabelTo: "2.6.9", cluster.LabelBackup: "b.tar"},
	}))
	patient := joining
	patient.Pace.Consistent = time.Minute
	asked := clustertest.Requested(t, sim, 3, "/containers/"+made.Name+"/json")
	joined := make(chan error, 1)
	go func() { joined <- clustertest.Second(replica.Join(clustertest.Limited(t), c, patient)) }()
	select {
	case <-asked:
	case err := <-joined:
		t.Fatalf("the join did not wait: %v", err)
	}
	if n := sim.Runs(cluster.CommandJoin); n > 0 {
		t.Errorf("%d joins beside it", n)
	}
	if removed, err := other.runner.Remove(t.Context(), made); err != nil || !removed {
		t.Fatalf("removed %t, error %v", removed, err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 4)
}

// TestNoWindowHoldsAReplicaBack has the bootstrapper join a replica while a window
// is closed that keeps it from an upgrade.
func TestNoWindowHoldsAReplicaBack(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	o, _ := nightly(t, to("2.6.9"), closedAt)
	late, obs, plan := looked(t, c, o)
	wantClosed(t, late.upgrade(t.Context(), obs, plan.next()), "2.6.8 -> 2.6.9")
	if _, err := replica.Join(clustertest.Limited(t), c, joining); err != nil {
		t.Fatal(err)
	}
	if sim.Runs(cluster.CommandJoin) != 1 || sim.BootstrapperRuns() != 0 {
		t.Errorf("%d joins and %d upgrades", sim.Runs(cluster.CommandJoin), sim.BootstrapperRuns())
	}
}
