package upgrade

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/s3test"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// quickly are the limits of an upload.
var quickly = endpoint.Retry{Max: 2, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond}

// uploading has the backup of some options sent to a URL as well.
func uploading(t *testing.T, o *Options, url string) {
	t.Helper()
	o.Backup.Upload = true
	o.Backup.Object = clustertest.Must[*endpoint.Object](t)(endpoint.NewObject(endpoint.ObjectConfig{URL: url, Retry: quickly}))
}

// wantStored fails unless the store has the content of the backup's file.
func wantStored(t *testing.T, store *s3test.Store, object, file string) {
	t.Helper()
	if got, want := store.Object(t, object), clustertest.Must[[]byte](t)(os.ReadFile(file)); !bytes.Equal(got, want) {
		t.Errorf("the store has %d bytes, want the %d of the backup", len(got), len(want))
	}
}

// TestBackupIsUploaded holds that the checked backup is in a store of S3 before the first hop is begun, and that it goes there once.
func TestBackupIsUploaded(t *testing.T) {
	t.Parallel()
	store := s3test.Start(t)
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.7.8", "2.6.15")
	uploading(t, &o, store.Presigned(t, "dtr.tar", time.Now()))
	sim.At(simulator.BackupFinished, func() {
		if len(store.Puts()) > 0 {
			t.Error("something was sent before the backup was whole")
		}
	})
	sim.At(simulator.BootstrapperStarted, func() {
		wantStored(t, store, "dtr.tar", o.Backup.File)
		clustertest.WantAt(t, sim, clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c)).CurrentVersion().String())
	})
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.7.8")
	wantBackup(t, o.Backup.File, "2.5.6")
	wantNoBackupContainer(t, sim)
	if n := len(store.Puts()); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
}

// TestUploadFails has the store fail in each way: nothing is begun, and the next run sends the backup that was taken.
func TestUploadFails(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"refused":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"out of order": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"cut":          func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"unasked": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(broken)
			t.Cleanup(server.Close)
			store := s3test.Start(t)
			sim, c := small(t, "2.5.6")
			o := backingUp(t, "2.6.15")
			uploading(t, &o, server.URL)
			_, err := runUpgrade(t, c, o)
			if failure := clustertest.AsError[*UploadError](t, err); failure.File != o.Backup.File || "http://"+failure.Host != server.URL {
				t.Errorf("error %+v", failure)
			}
			if sim.BootstrapperRuns() > 0 {
				t.Error("the upgrade was begun")
			}
			wantBackup(t, o.Backup.File, "2.5.6")

			uploading(t, &o, store.Presigned(t, "dtr.tar", time.Now()))
			sim.At(simulator.BootstrapperStarted, func() { wantStored(t, store, "dtr.tar", o.Backup.File) })
			finish(t, sim, c, o, 1)
			if n := backups(sim); n != 1 || len(store.Puts()) != 1 {
				t.Errorf("%d backups, sent %d times", n, len(store.Puts()))
			}
			wantNoBackupContainer(t, sim)
		})
	}
}

// TestUploadIsUnknown holds that no hop is begun without an upload that is asked for.
func TestUploadIsUnknown(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	o.Backup.Upload = true
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*UploadError](t, err); failure.Host != "" {
		t.Errorf("got %+v", failure)
	}
	if sim.BootstrapperRuns() > 0 {
		t.Error("the upgrade was begun")
	}
}

// TestUploadIsKept stops a run after its upload, before and between its hops, and goes on with it where the file is and where it is not.
func TestUploadIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		missing       string // image, which stops the first run
		elsewhere     bool   // goes on on another machine
		backups, puts int
	}{
		"before the first hop":                     {"mirantis/dtr-nginx:2.6.15", false, 1, 1},
		"between two hops":                         {"mirantis/dtr-nginx:2.7.8", false, 1, 1},
		"before the first hop, on another machine": {"mirantis/dtr-nginx:2.6.15", true, 2, 2},
		"between two hops, on another machine":     {"mirantis/dtr-nginx:2.7.8", true, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := s3test.Start(t)
			sim, c := small(t, "2.5.6")
			o := backingUp(t, "2.7.8", "2.6.15")
			uploading(t, &o, store.Presigned(t, "dtr.tar", time.Now()))
			sim.At(simulator.BackupFinished, sync.OnceFunc(func() { sim.RemoveFromRegistry(tt.missing) }))
			if _, err := runUpgrade(t, c, o); err == nil {
				t.Fatal("the run ended well")
			}
			before := store.Object(t, "dtr.tar")
			sim.AddToRegistry(tt.missing)
			if tt.elsewhere {
				o.Backup.File = filepath.Join(t.TempDir(), "dtr-backup.tar")
			}
			finish(t, sim, c, o, 2)
			if n := backups(sim); n != tt.backups || len(store.Puts()) != tt.puts {
				t.Errorf("%d backups, sent %d times", n, len(store.Puts()))
			}
			if tt.puts == 1 && !bytes.Equal(store.Object(t, "dtr.tar"), before) {
				t.Error("the store has another backup")
			}
			wantNoBackupContainer(t, sim)
		})
	}
}

// TestBootstrapperThatWasTriedAfterAnUpload goes on with an upgrade whose bootstrapper has replaced nothing, where the file of its backup is gone with its machine.
func TestBootstrapperThatWasTriedAfterAnUpload(t *testing.T) {
	t.Parallel()
	store := s3test.Start(t)
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	uploading(t, &o, store.Presigned(t, "dtr.tar", time.Now()))
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
	if _, err := runUpgrade(t, c, o); err == nil {
		t.Fatal("the run ended well")
	}
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	if err := os.Remove(o.Backup.File); err != nil {
		t.Fatal(err)
	}
	finish(t, sim, c, o, 2)
	if n := backups(sim); n != 1 || len(store.Puts()) != 1 {
		t.Errorf("%d backups, sent %d times", n, len(store.Puts()))
	}
}

// TestUploadIsCancelled interrupts a run while its backup is sent.
func TestUploadIsCancelled(t *testing.T) {
	t.Parallel()
	store := s3test.Start(t)
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(server.Close)
	uploading(t, &o, server.URL)
	_, err := Run(ctx, c, o)
	if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Step != StepUpload {
		t.Errorf("got %+v", detached)
	}
	wantBackup(t, o.Backup.File, "2.5.6")
	uploading(t, &o, store.Presigned(t, "dtr.tar", time.Now()))
	finish(t, sim, c, o, 1)
	wantStored(t, store, "dtr.tar", o.Backup.File)
	if n := backups(sim); n != 1 {
		t.Errorf("%d backups", n)
	}
}
