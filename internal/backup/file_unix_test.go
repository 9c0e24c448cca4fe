//go:build unix

package backup

import (
	"crypto/sha256"
	"os"
	"testing"
)

// TestFinishSyncs has a file that cannot be synced, as a pipe: it is not taken for written.
func TestFinishSyncs(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	f := &File{File: w, sum: sha256.New()}
	if sum, err := f.Finish(); err == nil {
		t.Errorf("what was not synced has the sum %s", sum)
	}
}
