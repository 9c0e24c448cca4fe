package upgrade

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/s3test"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// alone are the options of a backup without an upgrade.
func alone(t *testing.T) Options {
	t.Helper()
	o := backingUp(t, "2.5.6")
	o.Target = nil
	return o
}

func unheard(string) {}

// TestTakeBackup takes a backup of a cluster, and leaves nothing there.
func TestTakeBackup(t *testing.T) {
	t.Parallel()
	store := s3test.Start(t)
	sim, c := clustertest.Start(t, "2.5.6")
	o := alone(t)
	uploading(t, &o, store.Presigned(t, "dtr.tar", time.Now()))
	sim.At(simulator.BackupStarted, func() {
		if !slices.ContainsFunc(sim.Containers(), func(c simulator.Container) bool {
			return strings.HasPrefix(c.Name, "dtr-upgrade-") && c.Labels[cluster.LabelCommand] == cluster.CommandBackup
		}) {
			t.Error("the backup's container has not the name that is the lock")
		}
	})
	var said []string
	if err := TakeBackup(clustertest.Limited(t), c, o, func(text string) { said = append(said, text) }); err != nil {
		t.Fatal(err)
	}
	wantBackup(t, o.Backup.File, "2.5.6")
	wantStored(t, store, "dtr.tar", o.Backup.File)
	wantNoBackupContainer(t, sim)
	clustertest.WantAt(t, sim, "2.5.6")
	if sim.BootstrapperRuns() > 0 || len(said) != 4 || !strings.HasPrefix(said[3], "The backup is uploaded to 127.0.0.1") {
		t.Errorf("%d runs of the bootstrapper, said %q", sim.BootstrapperRuns(), said)
	}
	if failure := clustertest.AsError[*BackupError](t, TakeBackup(clustertest.Limited(t), c, o, unheard)); !failure.Exists || !failure.Alone {
		t.Errorf("once more: %+v", failure)
	}
	if n := backups(sim); n != 1 {
		t.Errorf("%d backups", n)
	}
	other := backingUp(t, "2.6.15") // an upgrade takes no notice of it
	finish(t, sim, c, other, 1)
}

// TestTakeBackupFails has each part fail: no container is left, and a file only if it is whole.
func TestTakeBackupFails(t *testing.T) {
	t.Parallel()
	one := 1
	for name, tt := range map[string]struct {
		faults simulator.BootstrapperFaults
		says   string
	}{
		"exit status":     {simulator.BootstrapperFaults{ExitStatus: &one}, "exit status 1"},
		"cut":             {simulator.BootstrapperFaults{BackupCut: true}, "not a complete tar archive"},
		"another version": {simulator.BootstrapperFaults{BackupVersion: "2.4.14"}, "it is a backup of 2.4.14"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			sim.SetBootstrapper(tt.faults)
			o := alone(t)
			failure := clustertest.AsError[*BackupError](t, TakeBackup(clustertest.Limited(t), c, o, unheard))
			if !failure.Alone || !strings.Contains(failure.Error()+" "+text(failure.Cause), tt.says) {
				t.Errorf("got %+v, want %q", failure, tt.says)
			}
			wantFiles(t, o.Backup.File)
			wantNoBackupContainer(t, sim)
		})
	}
	t.Run("upload", func(t *testing.T) {
		t.Parallel()
		sim, c := small(t, "2.5.6")
		server := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(server.Close)
		o := alone(t)
		uploading(t, &o, server.URL)
		if failure := clustertest.AsError[*UploadError](t, TakeBackup(clustertest.Limited(t), c, o, unheard)); !failure.Alone {
			t.Errorf("got %+v", failure)
		}
		wantBackup(t, o.Backup.File, "2.5.6")
		wantNoBackupContainer(t, sim)
	})
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		sim, c := small(t, "2.5.6")
		o := alone(t)
		ctx, cancel := context.WithCancel(t.Context())
		release := sim.Hold(simulator.BackupHalfway)
		go func() {
			<-sim.Reached(simulator.BackupHalfway)
			cancel()
		}()
		err := TakeBackup(ctx, c, o, unheard)
		if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Step != StepBackupAlone || !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v", detached)
		}
		release()
		wantFiles(t, o.Backup.File)
		wantNoBackupContainer(t, sim)
	})
}

// TestTakeBackupIsRefused holds of which clusters there is no backup, and that nothing is done there.
func TestTakeBackupIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prepare func(*testing.T, *simulator.Cluster, cluster.Cluster)
		says    string
	}{
		"between two versions": {func(t *testing.T, sim *simulator.Cluster, c cluster.Cluster) {
			t.Helper()
			sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2})
			if _, err := runUpgrade(t, c, to("2.6.15")); err == nil {
				t.Fatal("the run ended well")
			}
		}, "the cluster runs 2.5.6 and 2.6.15: finish that upgrade first"},
		"an upgrade that was tried": {func(t *testing.T, sim *simulator.Cluster, c cluster.Cluster) {
			t.Helper()
			sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
			if _, err := runUpgrade(t, c, to("2.6.15")); err == nil {
				t.Fatal("the run ended well")
			}
		}, "the upgrade to 2.6.15 is not finished"},
		"an upgrade whose container has made room": {func(t *testing.T, sim *simulator.Cluster, c cluster.Cluster) {
			t.Helper()
			sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
			r, _, _ := looked(t, c, to("2.6.15"))
			if _, err := runUpgrade(t, c, to("2.6.15")); err == nil {
				t.Fatal("the run ended well")
			}
			tried, _, err := r.runner.Find(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if aside, err := r.runner.SetAside(t.Context(), tried); err != nil || !aside {
				t.Fatalf("set aside %t, error %v", aside, err)
			}
		}, "the upgrade to 2.6.15 is not finished"},
		"somebody else's bootstrapper": {func(_ *testing.T, sim *simulator.Cluster, _ cluster.Cluster) { sim.StartForeignBootstrapper("2.6.15") }, "another bootstrapper is at work"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			tt.prepare(t, sim, c)
			sim.ResetRequests()
			o := alone(t)
			failure := clustertest.AsError[*BackupError](t, TakeBackup(clustertest.Limited(t), c, o, unheard))
			if !strings.Contains(text(failure.Cause), tt.says) {
				t.Errorf("got %+v, want %q", failure, tt.says)
			}
			if did := clustertest.Changes(sim); len(did) > 0 {
				t.Errorf("something was touched: %v", did)
			}
			wantFiles(t, o.Backup.File)
		})
	}
}

// TestUpgradeIsBegunMeanwhile has an upgrade fail, and leave its container, between the look at the cluster and the backup.
func TestUpgradeIsBegunMeanwhile(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := alone(t)
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
	err := TakeBackup(clustertest.Limited(t), c, o, func(string) {
		if _, err := runUpgrade(t, c, to("2.6.15")); err == nil {
			t.Error("the run ended well")
		}
	})
	if failure := clustertest.AsError[*BackupError](t, err); !strings.Contains(text(failure.Cause), "the upgrade to 2.6.15 is not finished") {
		t.Errorf("got %+v", failure)
	}
	wantFiles(t, o.Backup.File)
	if n := backups(sim); n > 0 {
		t.Errorf("%d backups", n)
	}
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	finish(t, sim, c, to("2.6.15"), 2)
}

// TestUpgradeWaitsForABackupAlone begins an upgrade while a backup is taken.
func TestUpgradeWaitsForABackupAlone(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := alone(t)
	release := sim.Hold(simulator.BackupHalfway)
	backed, upgraded := make(chan error, 1), make(chan error, 1)
	go func() { backed <- TakeBackup(t.Context(), c, o, unheard) }()
	<-sim.Reached(simulator.BackupHalfway)
	asked := clustertest.Requested(t, sim, 3, "/containers/dtr-upgrade-"+cluster.FileName(clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c)).Host)+"/json")
	after := to("2.6.15")
	after.Pace.Consistent = time.Minute // a backup that is slow is not taken for one that was killed
	go func() { _, err := runUpgrade(t, c, after); upgraded <- err }()
	select {
	case err := <-upgraded:
		t.Fatalf("the upgrade did not wait: %v", err)
	case <-asked:
	}
	release()
	if err := errors.Join(<-backed, <-upgraded); err != nil {
		t.Fatal(err)
	}
	wantBackup(t, o.Backup.File, "2.5.6")
	clustertest.WantAt(t, sim, "2.6.15")
}
