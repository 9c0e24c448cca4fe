//go:build unix

package upgrade

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/s3test"
)

// TestUploadOfAFileThatWasChanged has something else be where the checked backup was by the
// time that it is sent: it is not sent in its place.
func TestUploadOfAFileThatWasChanged(t *testing.T) {
	t.Parallel()
	remade := func(create func(name string) error) func(string) error {
		return func(name string) error { return errors.Join(os.Remove(name), create(name)) }
	}
	for what, change := range map[string]func(name string) error{
		"cut":          func(name string) error { return os.Truncate(name, 512) },
		"another file": remade(func(name string) error { return os.WriteFile(name, []byte("another"), 0o600) }),
		"a pipe":       remade(func(name string) error { return syscall.Mkfifo(name, 0o600) }),
		"a device":     remade(func(name string) error { return os.Symlink(os.DevNull, name) }),
		"a directory":  remade(func(name string) error { return os.Mkdir(name, 0o700) }),
		"nothing":      os.Remove,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			store := s3test.Start(t)
			_, c := small(t, "2.5.6")
			o := alone(t)
			uploading(t, &o, store.Presigned(t, "dtr.tar", time.Now()))
			failure := clustertest.AsError[*UploadError](t, TakeBackup(clustertest.Limited(t), c, o, func(said string) {
				if said == "The backup is being uploaded" {
					if err := change(o.Backup.File); err != nil {
						t.Error(err)
					}
				}
			}))
			if changed := what == "cut" || what == "another file"; errors.Is(failure.Err, endpoint.ErrChanged) != changed || failure.File != filepath.Clean(o.Backup.File) {
				t.Errorf("error %v", failure)
			}
			if n := len(store.Puts()); n > 0 {
				t.Errorf("it was sent %d times", n)
			}
		})
	}
}
