package upgrade

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestBackupIsKept stops a run after its backup, before and between its hops. The
// run that resumes neither fails because of the file nor takes another.
func TestBackupIsKept(t *testing.T) {
	t.Parallel()
	for name, image := range map[string]string{"before the first hop": "mirantis/dtr-nginx:2.6.15", "between two hops": "mirantis/dtr-nginx:2.7.8"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			o := backingUp(t, "2.7.8", "2.6.15")
			sim.At(simulator.BackupFinished, func() { sim.RemoveFromRegistry(image) })
			if _, err := runUpgrade(t, c, o); err == nil {
				t.Fatal("the run ended well")
			}
			wantBackup(t, o.Backup.File, "2.5.6")
			before := clustertest.Must[fs.FileInfo](t)(os.Stat(o.Backup.File))
			runs := sim.BootstrapperRuns()
			sim.AddToRegistry(image)

			stale := before.ModTime().Add(-2 * freshBackup)
			if err := os.Chtimes(o.Backup.File, stale, stale); err != nil {
				t.Fatal(err)
			}
			if runs == 0 { // the registry has moved on: that is no backup of it
				_, err := runUpgrade(t, c, o)
				clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
				if err := os.Chtimes(o.Backup.File, before.ModTime(), before.ModTime()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.7.8")
			wantBackup(t, o.Backup.File, "2.5.6")
			wantNoBackupContainer(t, sim)
			if n := backups(sim); n != 1 {
				t.Errorf("%d backups", n)
			}
		})
	}
}

func TestKeptBackupIsReadAgain(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	sim.At(simulator.BackupFinished, func() { sim.RemoveFromRegistry("mirantis/dtr-nginx:2.6.15") })
	if _, err := runUpgrade(t, c, o); err == nil {
		t.Fatal("the run ended well")
	}
	sim.AddToRegistry("mirantis/dtr-nginx:2.6.15")
	if err := os.Truncate(o.Backup.File, 100<<10); err != nil {
		t.Fatal(err)
	}
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*BackupError](t, err); !strings.Contains(failure.Error(), "is not a complete tar archive") {
		t.Errorf("got %v", failure)
	}
	if sim.BootstrapperRuns() > 0 {
		t.Error("the upgrade was begun")
	}
}

// TestBackupOfAnUpgradeThatSomebodyElseMade finds nothing left to do but to remove what
// tells of the backup.
func TestBackupOfAnUpgradeThatSomebodyElseMade(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.6.8")
	o := backingUp(t, "2.6.15")
	sim.At(simulator.BackupFinished, func() { sim.RemoveFromRegistry("mirantis/dtr-nginx:2.6.15") })
	if _, err := runUpgrade(t, c, o); err == nil {
		t.Fatal("the run ended well")
	}
	sim.AddToRegistry("mirantis/dtr-nginx:2.6.15")
	foreign := sim.StartForeignBootstrapper("2.6.15")
	running := func(c simulator.Container) bool { return c.ID == foreign && c.Running() }
	for ctx := clustertest.Limited(t); slices.ContainsFunc(sim.Containers(), running); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatal("the other bootstrapper does not end")
		}
	}
	clustertest.WantAt(t, sim, "2.6.15")
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	wantNoBackupContainer(t, sim)
	wantFiles(t, o.Backup.File, filepath.Base(o.Backup.File))
}

// TestBackupOfAnotherCluster goes on with an upgrade on another machine, where at the
// same place there is the backup of another cluster.
func TestBackupOfAnotherCluster(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	r, obs, plan := looked(t, c, o)
	if err := r.backupStep(obs, plan.next()).run(t.Context()); err != nil { // and then this run is killed
		t.Fatal(err)
	}
	mine := o.Backup.File + ".mine"
	if err := os.Rename(o.Backup.File, mine); err != nil {
		t.Fatal(err)
	}
	elsewhere, other := small(t, "2.5.6")
	elsewhere.SetBootstrapper(simulator.BootstrapperFaults{BackupUnnamed: true}) // so that it has other content
	r, obs, plan = looked(t, other, o)
	if err := r.backupStep(obs, plan.next()).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*BackupError](t, err); !failure.Exists {
		t.Errorf("got %v", failure)
	}
	if sim.BootstrapperRuns() > 0 {
		t.Error("the upgrade was begun")
	}
	if err := os.Rename(mine, o.Backup.File); err != nil {
		t.Fatal(err)
	}
	finish(t, sim, c, o, 1)
	wantNoBackupContainer(t, sim)
	if n := backups(sim); n != 1 {
		t.Errorf("%d backups", n)
	}
}

// TestBackupOfAKilledRun leaves what a run leaves that was killed in the middle of
// its backup: the container, at work still or ended or never started, and half a
// file.
func TestBackupOfAKilledRun(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"created", "running", "exited"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			o := backingUp(t, "2.6.15")
			killed, obs, _ := looked(t, c, o)
			args, env := bootstrap.BackupCommand(bootstrap.BackupOptions{ExistingReplicaID: sim.ReplicaIDs()[0], UCP: c.Login})
			sim.AddImage("docker/dtr:2.5.6")
			left := clustertest.Must[runner.Container](t)(killed.runner.Create(t.Context(), ucp.CreateSpec{
				Name: killed.runner.ContainerName(), Image: "docker/dtr:2.5.6", Args: args, Env: env, Node: killed.bootstrapNode(obs),
				Labels: map[string]string{cluster.LabelCommand: cluster.CommandBackup, cluster.LabelFrom: "2.5.6", cluster.LabelTo: "2.6.15", cluster.LabelBackup: o.Backup.File},
			}))
			half := clustertest.Must[*backup.File](t)(backup.Create(o.Backup.File, cluster.FileName(killed.runner.Host)))
			_, _ = half.Write([]byte("dtr-backup-v2.5.6"))
			_ = half.Close()
			release := func() {}
			if state != "created" {
				release = sim.Hold(simulator.BackupHalfway)
				if err := killed.runner.Start(t.Context(), left); err != nil {
					t.Fatal(err)
				}
				<-sim.Reached(simulator.BackupHalfway)
			}
			if state == "exited" {
				release()
				for now := clustertest.Must[runner.Container](t)(left.Look(t.Context())); now.Running(); runtime.Gosched() {
					now = clustertest.Must[runner.Container](t)(left.Look(t.Context()))
				}
			}
			done := make(chan error, 1)
			go func() { _, err := Run(t.Context(), c, o); done <- err }()
			if state == "running" {
				select {
				case err := <-done:
					t.Fatalf("the run did not wait for the backup at work: %v", err)
				case <-clustertest.Requested(t, sim, 3, "/containers/"+killed.runner.ContainerName()+"/json"):
				}
				release()
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			wantBackup(t, o.Backup.File, "2.5.6")
			wantNoBackupContainer(t, sim)
		})
	}
}

// TestNoBackupOfAnUpgradeUnderWay resumes a rollout with a configuration that asks
// for a backup by now.
func TestNoBackupOfAnUpgradeUnderWay(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2})
	if _, err := runUpgrade(t, c, to("2.6.15")); err == nil {
		t.Fatal("the run ended well")
	}
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	o := backingUp(t, "2.7.8", "2.6.15")
	report, err := runUpgrade(t, c, o)
	if err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.7.8")
	wantBackup(t, o.Backup.File, "2.6.15") // before the hop that was not begun
	if n := backups(sim); n != 1 {
		t.Errorf("%d backups", n)
	}
	if slices.ContainsFunc(report.Warnings, func(f preflight.Finding) bool { return f.Check == preflight.Backup }) {
		t.Errorf("warnings %+v", report.Warnings)
	}
}

func TestTwoRunsTakeOneBackup(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	o.Pace.Consistent = time.Minute // a run that is slow is not taken for one that was killed
	errs := make(chan error, 2)
	for range 2 {
		go func() { _, err := Run(t.Context(), c, o); errs <- err }()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	clustertest.WantAt(t, sim, "2.6.15")
	wantBackup(t, o.Backup.File, "2.5.6")
	wantNoBackupContainer(t, sim)
	if n := sim.BootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
}

// TestUpgradeWaitsForTheBackupOfAnotherApply has an apply that takes no backup itself
// find one at work: the two never run side by side, and a wait that ends says what for.
func TestUpgradeWaitsForTheBackupOfAnotherApply(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	release := sim.Hold(simulator.BackupHalfway)
	backed := make(chan error, 1)
	go func() { _, err := Run(t.Context(), c, o); backed <- err }()
	<-sim.Reached(simulator.BackupHalfway)

	r, obs, plan := looked(t, c, to("2.6.15"))
	ctx, cancel := context.WithCancel(t.Context())
	sim.ResetRequests()
	asked := clustertest.Requested(t, sim, 3, "/containers/"+r.runner.ContainerName()+"/json")
	upgraded := make(chan error, 1)
	go func() { upgraded <- r.upgrade(ctx, obs, plan.next()) }()
	select {
	case <-asked:
	case err := <-upgraded:
		t.Fatalf("the upgrade did not wait: %v", err)
	}
	cancel()
	if detached := clustertest.AsError[*wait.DetachedError](t, <-upgraded); !strings.Contains(strings.Join(detached.Seen, "\n"), "running (a backup is written to "+o.Backup.File+")") {
		t.Errorf("got %q, want it to say who holds the lock", detached.Seen)
	}
	if n := sim.BootstrapperRuns(); n > 0 {
		t.Errorf("%d bootstrapper runs beside the backup", n)
	}
	release()
	if err := <-backed; err != nil {
		t.Fatal(err)
	}
	wantBackup(t, o.Backup.File, "2.5.6")
}

// TestBackupOfAnUpgradeThatAnotherRunBegan has another run begin the upgrade, and
// fail before it has touched anything, while this one is about to take its backup.
func TestBackupOfAnUpgradeThatAnotherRunBegan(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	slow, obs, plan := looked(t, c, o)
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
	if _, err := runUpgrade(t, c, to("2.6.15")); err == nil {
		t.Fatal("the other run ended well")
	}
	if taken, err := slow.backupStep(obs, plan.next()).take(t.Context()); taken || err != nil {
		t.Errorf("taken %t, error %v", taken, err)
	}
	wantFiles(t, o.Backup.File)
	wantNoBackupContainer(t, sim)

	// The database may have been changed: a backup of it now is not what was asked for.
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	refused := clustertest.AsError[*BackupError](t, slow.backupStep(obs, plan.next()).run(t.Context()))
	if !strings.Contains(refused.Error(), "before there was a backup") {
		t.Errorf("error %v", refused)
	}
	_, err := runUpgrade(t, c, o)
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
	if n := sim.BootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
	tried, _, err := slow.runner.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.runner.Remove(t.Context(), tried); err != nil {
		t.Fatal(err)
	}
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	wantBackup(t, o.Backup.File, "2.5.6")
}

// TestBackupThatCannotBeWritten has the file take nothing, as on a full disk. The archive
// is cut off then, and that is not what is wrong.
func TestBackupThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	r, obs, plan := looked(t, c, o)
	args, env := bootstrap.BackupCommand(bootstrap.BackupOptions{ExistingReplicaID: sim.ReplicaIDs()[0], UCP: c.Login})
	sim.AddImage("docker/dtr:2.5.6")
	made := clustertest.Must[runner.Container](t)(r.runner.Create(t.Context(), ucp.CreateSpec{
		Name: r.runner.ContainerName(), Image: "docker/dtr:2.5.6", Args: args, Env: env, Node: r.bootstrapNode(obs),
		Labels: map[string]string{cluster.LabelCommand: cluster.CommandBackup},
	}))
	out := clustertest.Must[*backup.File](t)(backup.Create(o.Backup.File, "test"))
	defer out.Drop()
	writable := out.File
	defer writable.Close()
	out.File = clustertest.Must[*os.File](t)(os.Open(writable.Name()))
	err := r.backupStep(obs, plan.next()).stream(t.Context(), made, out)
	if failed := clustertest.AsError[*BackupError](t, err); out.WriteErr == nil || !errors.Is(failed.Cause, out.WriteErr) {
		t.Errorf("cause %v, want %v", failed.Cause, out.WriteErr)
	}
}
