package upgrade

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
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
			before := must[fs.FileInfo](t)(os.Stat(o.Backup.File))
			runs := sim.BootstrapperRuns()
			sim.AddToRegistry(image)

			stale := before.ModTime().Add(-2 * freshBackup)
			if err := os.Chtimes(o.Backup.File, stale, stale); err != nil {
				t.Fatal(err)
			}
			if runs == 0 { // the registry has moved on: that is no backup of it
				_, err := runUpgrade(t, c, o)
				wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckBackup)
				if err := os.Chtimes(o.Backup.File, before.ModTime(), before.ModTime()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			wantAt(t, sim, "2.7.8")
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
	if failure := asError[*BackupError](t, err); !strings.Contains(failure.Error(), "not a whole tar archive") {
		t.Errorf("got %v", failure)
	}
	if sim.BootstrapperRuns() > 0 {
		t.Error("the upgrade was begun")
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
			killed, obs, plan := looked(t, c, o)
			args, env := bootstrap.BackupCommand(plan.next().From, bootstrap.BackupOptions{ExistingReplicaID: sim.ReplicaIDs()[0], UCP: c.Login})
			sim.AddImage("docker/dtr:2.5.6")
			left := must[containerState](t)(killed.make(t.Context(), ucp.CreateSpec{
				Name: backupName(killed.host), Image: "docker/dtr:2.5.6", Args: args, Env: env, Node: killed.node(obs),
				Labels: map[string]string{labelFrom: "2.5.6", labelTo: "2.6.15", labelBackup: o.Backup.File},
			}))
			half := must[*backupFile](t)(createBackupFile(o.Backup.File, killed.host))
			_, _ = half.Write([]byte("dtr-backup-v2.5.6"))
			_ = half.Close()
			release := func() {}
			if state != "created" {
				release = sim.Hold(simulator.BackupHalfway)
				if err := left.engine.Start(t.Context(), left.ID); err != nil {
					t.Fatal(err)
				}
				<-sim.Reached(simulator.BackupHalfway)
			}
			if state == "exited" {
				release()
				if _, err := left.engine.Wait(t.Context(), left.ID); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() { _, err := Run(t.Context(), c, o); done <- err }()
			if state == "running" {
				select {
				case err := <-done:
					t.Fatalf("the run did not wait for the backup at work: %v", err)
				case <-awaited(t, sim, 3, "/containers/"+backupName(killed.host)+"/json"):
				}
				release()
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			wantAt(t, sim, "2.6.15")
			wantBackup(t, o.Backup.File, "2.5.6")
			wantNoBackupContainer(t, sim)
		})
	}
}

// awaited is closed once so many requests for a path were made.
func awaited(t *testing.T, sim *simulator.Cluster, n int, path string) <-chan struct{} {
	t.Helper()
	reached := make(chan struct{})
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for seen := 0; seen < n; {
			select {
			case <-t.Context().Done():
				return
			case <-ticker.C:
			}
			seen = 0
			for _, r := range sim.Requests() {
				if strings.HasSuffix(r.Path, path) {
					seen++
				}
			}
		}
		close(reached)
	}()
	return reached
}

// TestNoBackupOfAnUpgradeUnderWay resumes a rollout with a configuration that asks
// for a backup by now.
func TestNoBackupOfAnUpgradeUnderWay(t *testing.T) {
	t.Parallel()
	sim, c := start(t, "2.5.6")
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
	wantAt(t, sim, "2.7.8")
	wantBackup(t, o.Backup.File, "2.6.15") // before the hop that was not begun
	if n := backups(sim); n != 1 {
		t.Errorf("%d backups", n)
	}
	if slices.ContainsFunc(report.Warnings, func(f Finding) bool { return f.Check == CheckBackup }) {
		t.Errorf("warnings %+v", report.Warnings)
	}
}

func TestTwoRunsTakeOneBackup(t *testing.T) {
	t.Parallel()
	sim, c := start(t, "2.5.6")
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
	wantAt(t, sim, "2.6.15")
	wantBackup(t, o.Backup.File, "2.5.6")
	wantNoBackupContainer(t, sim)
	if n := sim.BootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
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
	if taken, err := slow.takeBackup(t.Context(), obs, plan.next(), map[string]time.Time{}); taken || err != nil {
		t.Errorf("taken %t, error %v", taken, err)
	}
	wantFiles(t, o.Backup.File)
	wantNoBackupContainer(t, sim)

	// The database may have been changed: a backup of it now is not what was asked for.
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	refused := asError[*BackupError](t, slow.backup(t.Context(), obs, plan.next()))
	if !strings.Contains(refused.Error(), "before there was a backup") {
		t.Errorf("error %v", refused)
	}
	_, err := runUpgrade(t, c, o)
	wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckBackup)
	if n := sim.BootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
	tried, _, err := slow.findContainer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.remove(t.Context(), tried); err != nil {
		t.Fatal(err)
	}
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	wantAt(t, sim, "2.6.15")
	wantBackup(t, o.Backup.File, "2.5.6")
}
