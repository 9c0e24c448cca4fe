//go:build e2e && linux

package e2e_test

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// entries lists what is in a tar file.
func entries(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []string
	for archive := tar.NewReader(f); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry.Name)
	}
}

// backupsStarted counts the backups that were begun.
func backupsStarted() (n int) {
	for _, e := range engines.Events() {
		if e.Action == "start" && e.Command == "backup" {
			n++
		}
	}
	return n
}

// Terraform is killed while a backup is taken, and once more after it: one whole
// backup of the version from before is there at the end.
func TestBackup(t *testing.T) {
	c := freshCluster(t, "2.6.14")
	repository, _, err := engines.Publish(t.Context(), "backup/dtr", "2.6.15") // to be pulled
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := engines.Publish(t.Context(), "backup/dtr", "2.6.14"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dtr-backup.tar")
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository, Backup: file})
	if err := w.applyUntil(t, taskEvent("start", "backup"), func() { w.kill(t) }); err == nil {
		t.Fatal("the apply ended well")
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("there is a backup of a run that was killed: %v", err)
	}
	if err := w.applyUntil(t, taskEvent("create", ""), func() { w.kill(t) }); err == nil {
		t.Fatal("the apply ended well")
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	w.mustApply(t)
	wantVersion(t, repository, "2.6.15") // and no other container is left
	after, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if !after.ModTime().Equal(before.ModTime()) || after.Mode().Perm() != 0o600 {
		t.Errorf("the backup changed: %v, mode %v", after.ModTime().Sub(before.ModTime()), after.Mode())
	}
	if got := entries(t, file); !slices.Contains(got, "dtr-backup-v2.6.14/rethink/layers/") {
		t.Errorf("the backup holds %v", got)
	}
	if n := backupsStarted(); n != 2 {
		t.Errorf("%d backups were begun, want the one that was killed and the whole one", n)
	}
	if list, err := os.ReadDir(filepath.Dir(file)); err != nil || len(list) != 1 {
		t.Errorf("files beside the backup: %v, %v", list, err)
	}
	w.wantNoChanges(t)
}

// A backup that breaks off stops the upgrade before anything is touched.
func TestBackupBreaksOff(t *testing.T) {
	c := freshCluster(t, "2.6.14")
	publish(t, "2.6.15")
	repository, _, err := engines.Publish(t.Context(), "broken/dtr", "2.6.14", standin.EnvFaults+`={"BackupCut": true}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := engines.Publish(t.Context(), "broken/dtr", "2.6.15"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dtr-backup.tar")
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository, Backup: file})
	before := ids(partsOf(t))
	err = w.apply(t.Context())
	if err == nil || !strings.Contains(err.Error(), "The backup of DTR failed") {
		t.Errorf("the apply: %v", err)
	}
	if !slices.Equal(before, ids(partsOf(t))) || bootstrapperRuns() > 0 {
		t.Error("containers of replicas were touched")
	}
	wantVersionOf(t, repository, "2.6.14", "none is replaced")
	if list, err := os.ReadDir(filepath.Dir(file)); err != nil || len(list) > 0 {
		t.Errorf("files are left: %v, %v", list, err)
	}
}

// Archives are loaded by the provider itself.
func TestArchives(t *testing.T) {
	const repository = "archives.example.com/dtr/dtr"
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	file := filepath.Join(t.TempDir(), "dtr_images_2.6.15.tar")
	archive, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(engines.WriteBundle(archive, repository, "2.6.15"), archive.Close()); err != nil {
		t.Fatal(err)
	}
	engines.SetRegistryDown(true)
	t.Cleanup(func() { engines.SetRegistryDown(false) })
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository, Archives: map[string]string{"2.6.15": file}})
	w.mustApply(t)
	wantVersionOf(t, repository, "2.6.15", "scanningstore")
	loads := 0
	for _, r := range c.Requests() {
		switch {
		case strings.HasSuffix(r.Path, "/images/create"):
			t.Errorf("a pull: %+v", r)
		case strings.HasSuffix(r.Path, "/images/load"):
			loads++
		}
	}
	if loads != 1 {
		t.Errorf("%d loads", loads)
	}
	w.wantNoChanges(t)
}
