package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// backingUp are the options of a run that takes a backup first.
func backingUp(t *testing.T, target string, via ...string) Options {
	t.Helper()
	o := to(target, via...)
	o.Backup = &Backup{File: filepath.Join(t.TempDir(), "dtr-backup.tar")}
	return o
}

// small is a cluster of one replica, where more would only take longer.
func small(t *testing.T, version string) (*simulator.Cluster, cluster.Cluster) {
	t.Helper()
	return clustertest.Connect(t, simulator.Options{Version: version, Replicas: 1, Speed: clustertest.Speed})
}

// backups counts the backups that were begun.
func backups(sim *simulator.Cluster) int { return sim.Runs(cluster.CommandBackup) }

// wantBackup fails unless the file is a whole backup of the version, and the only
// thing in its directory.
func wantBackup(t *testing.T, name, of string) {
	t.Helper()
	f := clustertest.Must[*os.File](t)(os.Open(name))
	defer f.Close()
	if named, err := backup.ReadArchive(f); err != nil || named == nil || named.String() != of {
		t.Errorf("a backup of %v (%v), want %s", named, err, of)
	}
	if info := clustertest.Must[fs.FileInfo](t)(f.Stat()); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	wantFiles(t, name, filepath.Base(name))
}

// wantFiles fails unless the files beside a backup have names of these patterns.
func wantFiles(t *testing.T, name string, want ...string) {
	t.Helper()
	var names []string
	for _, e := range clustertest.Must[[]fs.DirEntry](t)(os.ReadDir(filepath.Dir(name))) {
		names = append(names, e.Name())
	}
	matches := func(name, pattern string) bool { return clustertest.Must[bool](t)(filepath.Match(pattern, name)) }
	if !slices.EqualFunc(names, want, matches) {
		t.Errorf("there are the files %q, want %q", names, want)
	}
}

// wantNoBackupContainer fails if one is left over.
func wantNoBackupContainer(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	for _, c := range sim.Containers() {
		if len(c.Args) > 0 && c.Args[0] == cluster.CommandBackup {
			t.Errorf("container %s (%s) is left over", c.Name, c.State)
		}
	}
}

func TestRunTakesABackup(t *testing.T) {
	t.Parallel()
	for _, access := range []string{"through UCP", "on the direct engine"} {
		t.Run(access, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			if access != "through UCP" {
				c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: sim.DockerHost()})
			}
			o := backingUp(t, "2.7.8", "2.6.15")
			sim.At(simulator.BackupStarted, func() {
				clustertest.WantAt(t, sim, "2.5.6")
				tasks := 0
				for _, c := range sim.Containers() {
					if c.Labels[cluster.LabelCluster] == "" || c.Labels[cluster.LabelCommand] == cluster.CommandLock {
						continue
					}
					if tasks++; !strings.HasPrefix(c.Name, "dtr-upgrade-") { // the one lock of all tasks
						t.Errorf("the backup's container is %s", c.Name)
					}
					wantFiles(t, o.Backup.File, ".dtr-backup.tar."+strings.TrimPrefix(c.Name, "dtr-upgrade-")+".*.partial")
					if c.Args[0] != cluster.CommandBackup || c.Image != "docker/dtr:2.5.6" || strings.Contains(strings.Join(c.Args, " "), sim.Password()) || !slices.Contains(c.Args, sim.ReplicaIDs()[0]) {
						t.Errorf("the backup runs %s with %v", c.Image, c.Args)
					}
				}
				if tasks != 1 {
					t.Errorf("%d containers of tasks", tasks)
				}
			})
			sim.At(simulator.BootstrapperStarted, func() { wantBackup(t, o.Backup.File, "2.5.6") })
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.7.8")
			wantBackup(t, o.Backup.File, "2.5.6")
			wantNoBackupContainer(t, sim)
			if n := backups(sim); n != 1 {
				t.Errorf("%d backups", n)
			}

			sim.ResetRequests()
			if report, err := runUpgrade(t, c, o); err != nil || report.Worked() || len(clustertest.Changes(sim)) > 0 {
				t.Errorf("the next run did %v, error %v", clustertest.Changes(sim), err)
			}
			o.Target = clustertest.Version("2.8.13")
			o.Via = nil
			_, err := runUpgrade(t, c, o)
			clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
			if did := clustertest.Changes(sim); len(did) > 0 {
				t.Errorf("the backup of the last upgrade stands in the way, and the run did %v", did)
			}
		})
	}
}

// TestBackupFails has a backup fail in each way: nothing is begun, nothing is
// left, and the next run takes it.
func TestBackupFails(t *testing.T) {
	t.Parallel()
	one := 1
	for name, tt := range map[string]struct {
		faults simulator.BootstrapperFaults
		at     func(sim *simulator.Cluster, container string)
		says   string
	}{
		"exit status":          {faults: simulator.BootstrapperFaults{ExitStatus: &one}, says: "exit status 1"},
		"fatal record":         {faults: simulator.BootstrapperFaults{FatalRecord: "cannot read the tables"}, says: "cannot read the tables"},
		"dies on the way":      {faults: simulator.BootstrapperFaults{BackupCut: true, ExitStatus: &one}, says: "exit status 1"},
		"cut, and status 0":    {faults: simulator.BootstrapperFaults{BackupCut: true}, says: "not a complete tar archive"},
		"garbage":              {faults: simulator.BootstrapperFaults{BackupGarbage: true}, says: "not a complete tar archive"},
		"silent":               {faults: simulator.BootstrapperFaults{Silent: true}, says: "holds no files"},
		"another version":      {faults: simulator.BootstrapperFaults{BackupVersion: "2.4.14"}, says: "it is a backup of 2.4.14, and the cluster runs 2.5.6"},
		"container is killed":  {at: func(sim *simulator.Cluster, container string) { sim.KillContainer(container) }, says: "exit status 137"},
		"connection is cut":    {at: func(sim *simulator.Cluster, container string) { sim.CutAttached(container) }, says: "not a complete tar archive"},
		"connection is silent": {at: func(sim *simulator.Cluster, container string) { sim.SilenceAttached(container) }, says: "the connection to it carried nothing"},
		"node is lost":         {at: func(sim *simulator.Cluster, _ string) { sim.StopEngine("worker1") }, says: "running on unhealthy node worker1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			sim.SetBootstrapper(tt.faults)
			o := backingUp(t, "2.6.15")
			if name == "node is lost" || name == "connection is silent" {
				o.Pace.Outage = 100 * time.Millisecond
			}
			if tt.at != nil {
				inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
				sim.At(simulator.BackupHalfway, sync.OnceFunc(func() { tt.at(sim, cluster.ContainerName(inventory.Host)) }))
			}
			_, err := runUpgrade(t, c, o)
			if failure := clustertest.AsError[*BackupError](t, err); !strings.Contains(failure.Error()+" "+text(failure.Cause), tt.says) {
				t.Errorf("got %v, caused by %v, want it to say %q", failure, failure.Cause, tt.says)
			}
			wantFiles(t, o.Backup.File)
			if sim.BootstrapperRuns() > 0 {
				t.Error("the upgrade was begun")
			}
			if name == "node is lost" {
				sim.StartEngine("worker1")
			} else {
				wantNoBackupContainer(t, sim)
			}

			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			o.Pace.Outage = clustertest.Pace.Outage
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			wantBackup(t, o.Backup.File, "2.5.6")
			wantNoBackupContainer(t, sim)
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestBackupThatNamesNoVersion(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	sim.SetBootstrapper(simulator.BootstrapperFaults{BackupUnnamed: true})
	o := backingUp(t, "2.5.17")
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, o.Backup.File, "dtr-backup.tar")
}

// TestBackupIsCancelled interrupts a run while its backup is taken: unlike an
// upgrade it is ended with it.
func TestBackupIsCancelled(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.BackupStarted, simulator.BackupHalfway, simulator.BackupFinished} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			o := backingUp(t, "2.5.17")
			ctx, cancel := context.WithCancel(t.Context())
			release := sim.Hold(point)
			go func() {
				<-sim.Reached(point)
				cancel()
			}()
			_, err := Run(ctx, c, o)
			if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Step != StepBackup || !errors.Is(err, context.Canceled) {
				t.Errorf("got %+v", detached)
			}
			release()
			wantFiles(t, o.Backup.File)
			wantNoBackupContainer(t, sim)

			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.5.17")
			wantBackup(t, o.Backup.File, "2.5.6")
		})
	}
}

func TestBackupOverwritesNothing(t *testing.T) {
	t.Parallel()
	const mine = "somebody's only backup"
	write := func(t *testing.T, name string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(mine), 0o644); err != nil {
			t.Error(err)
		}
	}
	still := func(t *testing.T, name string) {
		t.Helper()
		if got := clustertest.Must[[]byte](t)(os.ReadFile(name)); string(got) != mine {
			t.Errorf("the file holds %d other bytes", len(got))
		}
		wantFiles(t, name, filepath.Base(name))
	}
	t.Run("a file from before", func(t *testing.T) {
		t.Parallel()
		sim, c := small(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		write(t, o.Backup.File)
		_, err := runUpgrade(t, c, o)
		found := findingOf(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup, o.Backup.File)
		if found.Attribute != "backup.file" {
			t.Errorf("%+v", found)
		}
		if did := clustertest.Changes(sim); len(did) > 0 {
			t.Errorf("something was touched: %v", did)
		}
		still(t, o.Backup.File)
	})
	t.Run("a link that leads nowhere", func(t *testing.T) {
		t.Parallel()
		_, c := small(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		if err := os.Symlink("elsewhere", o.Backup.File); err != nil {
			t.Fatal(err)
		}
		_, err := runUpgrade(t, c, o)
		clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
		wantFiles(t, o.Backup.File, "dtr-backup.tar")
	})
	t.Run("a file that appears meanwhile", func(t *testing.T) {
		t.Parallel()
		sim, c := small(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		sim.At(simulator.BackupFinished, sync.OnceFunc(func() { write(t, o.Backup.File) }))
		_, err := runUpgrade(t, c, o)
		if failure := clustertest.AsError[*BackupError](t, err); !failure.Exists {
			t.Errorf("got %v", failure)
		}
		if sim.BootstrapperRuns() > 0 {
			t.Error("the upgrade was begun")
		}
		wantNoBackupContainer(t, sim)
		still(t, o.Backup.File)
		_, err = runUpgrade(t, c, o)
		clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
	})
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		sim, c := small(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		o.Backup.File = filepath.Join(filepath.Dir(o.Backup.File), "nowhere", "dtr-backup.tar")
		_, err := runUpgrade(t, c, o)
		clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
		if did := clustertest.Changes(sim); len(did) > 0 {
			t.Errorf("something was touched: %v", did)
		}
	})
}

// TestBackupsEndIsNotReadOffALateAnswer has the engine's answers show for a while, of a
// backup that has failed, what was before its start.
func TestBackupsEndIsNotReadOffALateAnswer(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	one := 1
	sim.SetBootstrapper(simulator.BootstrapperFaults{ExitStatus: &one})
	var late atomic.Int32
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			if !bytes.Contains(body, []byte(`"Status":"exited"`)) || late.Add(1) > 10 {
				return status, body
			}
			var shown map[string]any
			if err := json.Unmarshal(body, &shown); err != nil {
				t.Error(err)
			}
			maps.Copy(shown["State"].(map[string]any), map[string]any{"Status": "created", "ExitCode": 0, "FinishedAt": "0001-01-01T00:00:00Z"})
			changed, _ := json.Marshal(shown)
			return status, changed
		},
	})
	o := backingUp(t, "2.6.15")
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*BackupError](t, err); failure.Bootstrapper == nil || failure.Bootstrapper.ExitCode != 1 {
		t.Errorf("got %v", failure)
	}
	wantFiles(t, o.Backup.File)
}
