package upgrade

import (
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestReplicasStandBackForABackup holds that no replica joins or leaves while a
// backup is written, whatever was seen before it began.
func TestReplicasStandBackForABackup(t *testing.T) {
	t.Parallel()
	sim, c := roomy(t, 3)
	r := hosted(t, c)
	join := r.joinTask(on("worker4"))
	made := must[containerState](t)(r.create(t.Context(), join)) // by a run that is killed, or very slow

	release := sim.Hold(simulator.BackupHalfway)
	o := backingUp(t, "2.6.9")
	upgraded := make(chan error, 1)
	go func() { upgraded <- second(Run(limited(t), c, o)) }()
	<-sim.Reached(simulator.BackupHalfway)
	for _, err := range []error{
		second(r.start(t.Context(), made, join, false)),
		second(Join(limited(t), c, on("worker4"))),
		Remove(limited(t), c, without(sim.ReplicaIDs()[0])),
	} {
		wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckForeignUpgrade)
		if !strings.Contains(err.Error(), "A backup of the cluster is being taken") {
			t.Errorf("got %v", err)
		}
	}
	if n := sim.Runs(commandJoin) + sim.Runs(commandRemove); n > 0 {
		t.Errorf("%d joins and removals", n)
	}
	release()
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	wantAt(t, sim, "2.6.9")
	wantBackup(t, o.Backup.File, "2.6.8")
	if err := second(Join(limited(t), c, on("worker4"))); err != nil {
		t.Fatal(err)
	}
}

// TestBackupStandsBackForReplicas holds that no backup is begun while a replica
// joins, and that a join is not taken for the beginning of the upgrade.
func TestBackupStandsBackForReplicas(t *testing.T) {
	t.Parallel()
	t.Run("at work", func(t *testing.T) {
		t.Parallel()
		sim, c := roomy(t, 3)
		o := backingUp(t, "2.6.9")
		late, obs, plan := looked(t, c, o)
		release := sim.Hold(simulator.JoinStarted)
		joined := make(chan error, 1)
		go func() { joined <- second(Join(limited(t), c, on("worker4"))) }()
		<-sim.Reached(simulator.JoinStarted)
		_, err := runUpgrade(t, c, o)
		wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckForeignUpgrade)
		_ = asError[*MovedError](t, late.backup(t.Context(), obs, plan.next()))
		wantFiles(t, o.Backup.File)
		wantNoBackupContainer(t, sim)
		release()
		if err := <-joined; err != nil {
			t.Fatal(err)
		}
		wantMembers(t, sim, 4)
	})
	t.Run("ended", func(t *testing.T) {
		t.Parallel()
		sim, c := roomy(t, 3)
		interruptedJoin(t, sim, c, "worker4")
		o := backingUp(t, "2.6.9")
		if _, err := runUpgrade(t, c, o); err != nil {
			t.Fatal(err)
		}
		wantAt(t, sim, "2.6.9")
		wantBackup(t, o.Backup.File, "2.6.8")
	})
	t.Run("about to start", func(t *testing.T) {
		t.Parallel()
		sim, c := roomy(t, 3)
		o := backingUp(t, "2.6.9")
		late, obs, plan := looked(t, c, o)
		r := hosted(t, c)
		made := must[containerState](t)(r.create(t.Context(), r.joinTask(on("worker4"))))
		seen := map[string]time.Time{}
		if taken, err := late.takeBackup(t.Context(), obs, plan.next(), seen); taken || err != nil {
			t.Errorf("taken %t, error %v", taken, err)
		}
		wantFiles(t, o.Backup.File)
		wantNoBackupContainer(t, sim)
		seen[made.ID] = time.Now().Add(-time.Hour) // whoever made it was killed
		if taken, err := late.takeBackup(t.Context(), obs, plan.next(), seen); !taken || err != nil {
			t.Errorf("taken %t, error %v", taken, err)
		}
		wantBackup(t, o.Backup.File, "2.6.8")
	})
}

// TestJoinWaitsForABackupThatIsAboutToStart gives a join the container of a backup
// that was made and not started.
func TestJoinWaitsForABackupThatIsAboutToStart(t *testing.T) {
	t.Parallel()
	sim, c := roomy(t, 3)
	other, obs, _ := looked(t, c, to("2.6.9"))
	if err := other.bootstrapperImage(t.Context(), other.node(obs), version("2.6.8")); err != nil {
		t.Fatal(err)
	}
	made := must[containerState](t)(other.make(t.Context(), ucp.CreateSpec{
		Name: backupName(other.host), Image: "docker/dtr:2.6.8", Args: []string{"backup"}, Node: other.node(obs),
		Labels: map[string]string{labelFrom: "2.6.8", labelTo: "2.6.9", labelBackup: "b.tar"},
	}))
	patient := on("worker4")
	patient.Pace.Consistent = time.Minute
	asked := awaited(t, sim, 3, "/containers/"+made.Name+"/json")
	joined := make(chan error, 1)
	go func() { joined <- second(Join(limited(t), c, patient)) }()
	select {
	case <-asked:
	case err := <-joined:
		t.Fatalf("the join did not wait: %v", err)
	}
	if n := sim.Runs(commandJoin); n > 0 {
		t.Errorf("%d joins beside it", n)
	}
	if removed, err := other.remove(t.Context(), made); err != nil || !removed {
		t.Fatalf("removed %t, error %v", removed, err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	wantMembers(t, sim, 4)
}

// TestNoWindowHoldsAReplicaBack has the bootstrapper join a replica while a window
// is closed that keeps it from an upgrade.
func TestNoWindowHoldsAReplicaBack(t *testing.T) {
	t.Parallel()
	sim, c := roomy(t, 3)
	o, _ := nightly(t, to("2.6.9"), closedAt)
	late, obs, plan := looked(t, c, o)
	wantClosed(t, late.upgrade(t.Context(), obs, plan.next()), "2.6.8 -> 2.6.9")
	if _, err := late.perform(limited(t), late.joinTask(on("worker4"))); err != nil {
		t.Fatal(err)
	}
	if sim.Runs(commandJoin) != 1 || sim.BootstrapperRuns() != 0 {
		t.Errorf("%d joins and %d upgrades", sim.Runs(commandJoin), sim.BootstrapperRuns())
	}
}
