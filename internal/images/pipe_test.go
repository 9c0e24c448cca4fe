//go:build unix

package images

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipeInPlaceOfAnArchive has a named pipe that nobody writes to: opening it would wait
// for ever.
func TestPipeInPlaceOfAnArchive(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "images.tar")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func() error{
		"plan":  func() error { return checkFirstEntry(name) },
		"apply": func() error { _, err := ArchiveTags(t.Context(), name); return err },
	} {
		if err := read(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}
