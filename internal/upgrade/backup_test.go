package upgrade

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// backingUp are the options of a run that takes a backup first.
func backingUp(t *testing.T, target string, via ...string) Options {
	t.Helper()
	o := to(target, via...)
	o.Backup = &Backup{File: filepath.Join(t.TempDir(), "dtr-backup.tar")}
	return o
}

// backups counts the backups that were begun.
func backups(sim *simulator.Cluster) (n int) {
	for _, r := range sim.Requests() {
		if r.Method == http.MethodPost && strings.Contains(r.Query, "name=dtr-backup-") {
			n++
		}
	}
	return n
}

// wantBackup fails unless the file is a whole backup of the version, and the only
// thing in its directory.
func wantBackup(t *testing.T, name, of string) {
	t.Helper()
	f := must[*os.File](t)(os.Open(name))
	defer f.Close()
	if named, err := readBackup(f); err != nil || named == nil || named.String() != of {
		t.Errorf("a backup of %v (%v), want %s", named, err, of)
	}
	if info := must[fs.FileInfo](t)(f.Stat()); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	wantFiles(t, name, filepath.Base(name))
}

// wantFiles fails unless these are the files beside a backup.
func wantFiles(t *testing.T, name string, want ...string) {
	t.Helper()
	var names []string
	for _, e := range must[[]fs.DirEntry](t)(os.ReadDir(filepath.Dir(name))) {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("there are the files %q, want %q", names, want)
	}
}

// wantNoBackupContainer fails if one is left over.
func wantNoBackupContainer(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	for _, c := range sim.Containers() {
		if strings.HasPrefix(c.Name, "dtr-backup-") {
			t.Errorf("container %s (%s) is left over", c.Name, c.State)
		}
	}
}

func TestRunTakesABackup(t *testing.T) {
	t.Parallel()
	for _, access := range []string{"through UCP", "on the direct engine"} {
		t.Run(access, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t, "2.5.6")
			if access != "through UCP" {
				c.Docker = &ucp.DockerConfig{Host: sim.DockerHost()}
			}
			o := backingUp(t, "2.7.8", "2.6.15")
			sim.At(simulator.BackupStarted, func() {
				wantAt(t, sim, "2.5.6")
				for _, c := range sim.Containers() {
					switch {
					case strings.HasPrefix(c.Name, "dtr-upgrade-"):
						t.Error("the upgrade is begun before the backup is taken")
					case strings.HasPrefix(c.Name, "dtr-backup-"):
						if c.Image != "docker/dtr:2.5.6" || strings.Contains(strings.Join(c.Args, " "), sim.Password()) || !slices.Contains(c.Args, sim.ReplicaIDs()[0]) {
							t.Errorf("the backup runs %s with %v", c.Image, c.Args)
						}
					}
				}
			})
			sim.At(simulator.BootstrapperStarted, func() { wantBackup(t, o.Backup.File, "2.5.6") })
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			wantAt(t, sim, "2.7.8")
			wantBackup(t, o.Backup.File, "2.5.6")
			wantNoBackupContainer(t, sim)
			if n := backups(sim); n != 1 {
				t.Errorf("%d backups", n)
			}

			sim.ResetRequests()
			if report, err := runUpgrade(t, c, o); err != nil || report.Worked() || len(changes(sim)) > 0 {
				t.Errorf("the next run did %v, error %v", changes(sim), err)
			}
			o.Target = version("2.8.13")
			o.Via = nil
			_, err := runUpgrade(t, c, o)
			wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckBackup)
			if did := changes(sim); len(did) > 0 {
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
		"exit status":         {faults: simulator.BootstrapperFaults{ExitStatus: &one}, says: "exit status 1"},
		"fatal record":        {faults: simulator.BootstrapperFaults{FatalRecord: "cannot read the tables"}, says: "cannot read the tables"},
		"dies on the way":     {faults: simulator.BootstrapperFaults{BackupCut: true, ExitStatus: &one}, says: "exit status 1"},
		"cut, and status 0":   {faults: simulator.BootstrapperFaults{BackupCut: true}, says: "not a whole tar archive"},
		"garbage":             {faults: simulator.BootstrapperFaults{BackupGarbage: true}, says: "not a whole tar archive"},
		"silent":              {faults: simulator.BootstrapperFaults{Silent: true}, says: "holds no files"},
		"another version":     {faults: simulator.BootstrapperFaults{BackupVersion: "2.4.14"}, says: "it is a backup of 2.4.14, and the cluster runs 2.5.6"},
		"container is killed": {at: func(sim *simulator.Cluster, container string) { sim.KillContainer(container) }, says: "exit status 137"},
		"connection is cut":   {at: func(sim *simulator.Cluster, container string) { sim.CutAttached(container) }, says: "not a whole tar archive"},
		"node is lost":        {at: func(sim *simulator.Cluster, _ string) { sim.StopEngine("worker1") }, says: "not a whole tar archive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t, "2.5.6")
			sim.SetBootstrapper(tt.faults)
			o := backingUp(t, "2.6.15")
			if name == "node is lost" {
				o.Pace.Outage = 100 * time.Millisecond
			}
			if tt.at != nil {
				inventory := must[*Inventory](t)(Inspect(t.Context(), c))
				sim.At(simulator.BackupHalfway, sync.OnceFunc(func() { tt.at(sim, backupName(inventory.Host)) }))
			}
			_, err := runUpgrade(t, c, o)
			if failure := asError[*BackupError](t, err); !strings.Contains(failure.Error()+" "+text(failure.Cause), tt.says) {
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
			o.Pace.Outage = testPace.Outage
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			wantAt(t, sim, "2.6.15")
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
	sim, c := start(t, "2.5.6")
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
			sim, c := start(t, "2.5.6")
			o := backingUp(t, "2.5.17")
			ctx, cancel := context.WithCancel(t.Context())
			release := sim.Hold(point)
			go func() {
				<-sim.Reached(point)
				cancel()
			}()
			_, err := Run(ctx, c, o)
			if detached := asError[*DetachedError](t, err); detached.Step != StepBackup || !errors.Is(err, context.Canceled) {
				t.Errorf("got %+v", detached)
			}
			release()
			wantFiles(t, o.Backup.File)
			wantNoBackupContainer(t, sim)

			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			wantAt(t, sim, "2.5.17")
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
		if got := must[[]byte](t)(os.ReadFile(name)); string(got) != mine {
			t.Errorf("the file holds %d other bytes", len(got))
		}
		wantFiles(t, name, filepath.Base(name))
	}
	t.Run("a file from before", func(t *testing.T) {
		t.Parallel()
		sim, c := start(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		write(t, o.Backup.File)
		_, err := runUpgrade(t, c, o)
		found := findingOf(t, asError[*PreflightError](t, err).Findings.Errors(), CheckBackup, o.Backup.File)
		if found.Attribute != "backup.file" {
			t.Errorf("%+v", found)
		}
		if did := changes(sim); len(did) > 0 {
			t.Errorf("something was touched: %v", did)
		}
		still(t, o.Backup.File)
	})
	t.Run("a link that leads nowhere", func(t *testing.T) {
		t.Parallel()
		_, c := start(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		if err := os.Symlink("elsewhere", o.Backup.File); err != nil {
			t.Fatal(err)
		}
		_, err := runUpgrade(t, c, o)
		wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckBackup)
		wantFiles(t, o.Backup.File, "dtr-backup.tar")
	})
	t.Run("a file that appears meanwhile", func(t *testing.T) {
		t.Parallel()
		sim, c := start(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		sim.At(simulator.BackupFinished, sync.OnceFunc(func() { write(t, o.Backup.File) }))
		_, err := runUpgrade(t, c, o)
		if failure := asError[*BackupError](t, err); !failure.Exists {
			t.Errorf("got %v", failure)
		}
		if sim.BootstrapperRuns() > 0 {
			t.Error("the upgrade was begun")
		}
		wantNoBackupContainer(t, sim)
		still(t, o.Backup.File)
		_, err = runUpgrade(t, c, o)
		wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckBackup)
	})
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		sim, c := start(t, "2.5.6")
		o := backingUp(t, "2.6.15")
		o.Backup.File = filepath.Join(filepath.Dir(o.Backup.File), "nowhere", "dtr-backup.tar")
		_, err := runUpgrade(t, c, o)
		wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckBackup)
		if did := changes(sim); len(did) > 0 {
			t.Errorf("something was touched: %v", did)
		}
	})
}

// TestBackupIsKept stops a run after its backup, before and between its hops. The
// run that resumes neither fails because of the file nor takes another.
func TestBackupIsKept(t *testing.T) {
	t.Parallel()
	for name, image := range map[string]string{"before the first hop": "mirantis/dtr-nginx:2.6.15", "between two hops": "mirantis/dtr-nginx:2.7.8"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t, "2.5.6")
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
	sim, c := start(t, "2.5.6")
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
			sim, c := start(t, "2.5.6")
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
	sim, c := start(t, "2.5.6")
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
}

func TestWhichFileABackupContainerWrote(t *testing.T) {
	t.Parallel()
	labels := func(from, to, file string) map[string]string {
		return map[string]string{labelFrom: from, labelTo: to, labelBackup: file}
	}
	today := BackupFile{Exists: true, Modified: time.Now().Add(-time.Hour)}
	old := BackupFile{Exists: true, Modified: time.Now().Add(-48 * time.Hour)}
	for name, tt := range map[string]struct {
		file   BackupFile
		labels map[string]string
		now    string
		want   bool
	}{
		"before the first hop":      {today, labels("2.5.6", "2.7.8", "/b.tar"), "2.5.6", true},
		"too long before it":        {old, labels("2.5.6", "2.7.8", "/b.tar"), "2.5.6", false},
		"between two hops":          {old, labels("2.5.6", "2.7.8", "/b.tar"), "2.6.15", true},
		"another file":              {today, labels("2.5.6", "2.7.8", "/c.tar"), "2.5.6", false},
		"no file":                   {BackupFile{}, labels("2.5.6", "2.7.8", "/b.tar"), "2.5.6", false},
		"an upgrade that is over":   {today, labels("2.5.6", "2.7.8", "/b.tar"), "2.7.8", false},
		"a backup of a later state": {today, labels("2.6.15", "2.7.8", "/b.tar"), "2.5.6", false},
		"no container":              {today, nil, "2.5.6", false},
		"labels that say nothing":   {today, labels("", "", "/b.tar"), "2.5.6", false},
	} {
		if got := tt.file.wrote(tt.labels, "/b.tar", version(tt.now)); got != tt.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// TestPreflightOfABackup holds the findings on what is asked for in the way of a
// backup.
func TestPreflightOfABackup(t *testing.T) {
	t.Parallel()
	fresh := BackupFile{Exists: true, Modified: time.Now()}
	wrote := ucp.Container{Name: "worker1/" + backupName(fixtureHost), State: "exited", Labels: map[string]string{
		labelCluster: fixtureHost, labelFrom: "2.5.6", labelTo: "2.7.8", labelBackup: absolute("b.tar"),
	}}
	for name, tt := range map[string]struct {
		replicas     []string
		options      Options
		backup       *Backup
		file         BackupFile
		bootstrapper []ucp.Container
		applying     bool
		want         map[Severity]int
	}{
		"none, minor":                       {replicas: []string{"2.5.6"}, options: options("2.6.15"), want: map[Severity]int{Warning: 1}},
		"none, major":                       {replicas: []string{"2.9.30"}, options: options("3.0.0"), want: map[Severity]int{Warning: 1}},
		"none, patch":                       {replicas: []string{"2.5.6"}, options: options("2.5.17")},
		"none, patch and minor":             {replicas: []string{"2.5.6"}, options: options("2.6.15", "2.5.17"), want: map[Severity]int{Warning: 1}},
		"none, under way":                   {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15")},
		"none, under way and on":            {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.7.8", "2.6.15"), want: map[Severity]int{Warning: 1}},
		"free":                              {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{"b.tar"}},
		"not known":                         {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{}, file: fresh},
		"taken":                             {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{"b.tar"}, file: fresh, want: map[Severity]int{Error: 1}},
		"taken, under way":                  {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15"), backup: &Backup{"b.tar"}, file: fresh},
		"taken, under way and on":           {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.7.8", "2.6.15"), backup: &Backup{"b.tar"}, file: fresh, want: map[Severity]int{Warning: 1}},
		"ours":                              {replicas: []string{"2.5.6"}, options: options("2.7.8", "2.6.15"), backup: &Backup{"b.tar"}, file: fresh, bootstrapper: []ucp.Container{wrote}},
		"ours, between hops":                {replicas: []string{"2.6.15"}, options: options("2.7.8", "2.6.15"), backup: &Backup{"b.tar"}, file: fresh, bootstrapper: []ucp.Container{wrote}},
		"another file is ours":              {replicas: []string{"2.5.6"}, options: options("2.7.8", "2.6.15"), backup: &Backup{"c.tar"}, file: fresh, bootstrapper: []ucp.Container{wrote}, want: map[Severity]int{Error: 1}},
		"gone, under way":                   {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15"), backup: &Backup{"b.tar"}, want: map[Severity]int{Warning: 1}},
		"no directory, plan":                {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{"b.tar"}, file: BackupFile{Problem: fs.ErrNotExist}, want: map[Severity]int{Warning: 1}},
		"no directory, apply":               {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{"b.tar"}, file: BackupFile{Problem: fs.ErrNotExist}, applying: true, want: map[Severity]int{Error: 1}},
		"bootstrapper made and not started": {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{"b.tar"}, file: fresh, bootstrapper: []ucp.Container{ourBootstrapper("2.5.6", "2.6.15", "created")}, want: map[Severity]int{Error: 1}},
		"bootstrapper ended":                {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{"b.tar"}, file: fresh, bootstrapper: []ucp.Container{ourBootstrapper("2.5.6", "2.6.15", "exited")}},
	} {
		obs := observation(tt.replicas...)
		obs.Backup, obs.Bootstrappers = tt.file, tt.bootstrapper
		tt.options.Backup, tt.options.applying = tt.backup, tt.applying
		_, findings := Preflight(obs, tt.options)
		got := map[Severity]int{}
		for _, f := range findings {
			if f.Check == CheckBackup {
				got[f.Severity]++
			}
		}
		if got[Error] != tt.want[Error] || got[Warning] != tt.want[Warning] {
			t.Errorf("%s: %d errors and %d warnings, want %v, of %+v", name, got[Error], got[Warning], tt.want, findings)
		}
	}
}

// A backup of ours is no upgrade, and one of somebody else's is a bootstrapper at
// work like any other.
func TestPreflightOfARunningBackup(t *testing.T) {
	t.Parallel()
	ours := ucp.Container{Name: "worker1/" + backupName(fixtureHost), Image: "docker/dtr:2.5.6", State: "running", Labels: map[string]string{labelCluster: fixtureHost}}
	phase2 := ucp.Container{Name: "worker1/" + phase2Name, Image: "docker/dtr:2.5.6", State: "running"}
	foreign := ucp.Container{Name: "worker1/eager_turing", Image: "docker/dtr:2.5.6", State: "running"}
	for name, tt := range map[string]struct {
		running []ucp.Container
		errors  int
	}{
		"ours":                       {[]ucp.Container{ours}, 0},
		"ours with its second phase": {[]ucp.Container{ours, phase2}, 0},
		"somebody else's":            {[]ucp.Container{foreign}, 1},
		"both":                       {[]ucp.Container{ours, foreign}, 1},
	} {
		obs := observation("2.5.6")
		obs.Bootstrappers = tt.running
		_, findings := Preflight(obs, options("2.6.15"))
		if errs := findings.Errors(); len(errs) != tt.errors || tt.errors > 0 && errs[0].Check != CheckForeignUpgrade {
			t.Errorf("%s: %+v", name, errs)
		}
	}
}

func TestReadBackup(t *testing.T) {
	t.Parallel()
	archive := func(names ...string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range names {
			header := &tar.Header{Name: name, Mode: 0o644, Size: 4, Typeflag: tar.TypeReg}
			if strings.HasSuffix(name, "/") {
				header.Size, header.Typeflag = 0, tar.TypeDir
			}
			if err := w.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write([]byte("data")[:header.Size])
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	whole := archive("dtr-backup-v2.6.6/", "dtr-backup-v2.6.6/rethink/", "dtr-backup-v2.6.6/rethink/layers/x")
	for name, tt := range map[string]struct {
		content []byte
		named   string // "" for none
		says    string // of the error
	}{
		"as the vendor shows it":   {whole, "2.6.6", ""},
		"padded":                   {append(slices.Clone(whole), make([]byte, 8192)...), "2.6.6", ""},
		"from the current one":     {archive("./dtr-backup-v2.7.0/x"), "2.7.0", ""},
		"with a commit":            {archive("dtr-backup-v2.7.0-29094adc/x"), "2.7.0", ""},
		"without a letter":         {archive("dtr-backup-2.5.6/x"), "2.5.6", ""},
		"of the successor":         {archive("msr-backup-v2.9.1/x"), "2.9.1", ""},
		"no version":               {archive("rethink/x"), "", ""},
		"a version further down":   {archive("backups/dtr-backup-v2.6.6/x"), "", ""},
		"empty":                    {nil, "", "holds no files"},
		"an archive of nothing":    {archive(), "", "holds no files"},
		"directories alone":        {archive("dtr-backup-v2.6.6/", "dtr-backup-v2.6.6/rethink/"), "", "holds no files"},
		"without its end":          {whole[:len(whole)-1024], "", "its end is missing"},
		"with half of its end":     {whole[:len(whole)-512], "", "its end is missing"},
		"cut in a file":            {whole[:3*512+2], "", "not a whole tar archive"},
		"more behind its end":      {append(slices.Clone(whole), "more"...), "", "its end is missing"},
		"text":                     {[]byte(strings.Repeat("FATA[0000] no\n", 100)), "", "not a whole tar archive"},
		"a log before the archive": {append([]byte("INFO[0000] Connecting to UCP\n"), whole...), "", "not a whole tar archive"},
	} {
		named, err := readBackup(iotest.OneByteReader(bytes.NewReader(tt.content)))
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", name, err, tt.says)
		}
		if err == nil && (named == nil) != (tt.named == "") || named != nil && named.String() != tt.named {
			t.Errorf("%s: names %v, want %q", name, named, tt.named)
		}
	}
}

// A file system may have no links.
func TestKeepWithoutLinks(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "dtr-backup.tar")
	for _, again := range []bool{false, true} {
		f := must[*backupFile](t)(createBackupFile(name, fixtureHost))
		_, _ = f.Write([]byte("a backup"))
		if err := f.takeName(); errors.Is(err, fs.ErrExist) != again || !again && err != nil {
			t.Errorf("again %t: error %v", again, err)
		}
		f.drop()
		if got := must[[]byte](t)(os.ReadFile(name)); string(got) != "a backup" {
			t.Errorf("the file holds %q", got)
		}
		wantFiles(t, name, filepath.Base(name))
	}
}
