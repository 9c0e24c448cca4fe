package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestOpenFileRefusesADevice(t *testing.T) {
	t.Parallel()
	for _, name := range []string{os.DevNull, t.TempDir()} {
		if f, err := openFile(name); err == nil {
			_ = f.Close()
			t.Errorf("%s is opened", name)
		}
	}
}

// cancelling is a context that ends once it was looked at a number of times.
type cancelling struct {
	context.Context //nolint:containedctx // it is one
	looks           *int
	cancel          context.CancelFunc
}

func (c cancelling) Err() error {
	if *c.looks--; *c.looks == 0 {
		c.cancel()
	}
	return c.Context.Err()
}

func TestArchiveTagsEndsWithinAnEntry(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "images.tar.gz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	const size = 64 << 20
	if err := w.WriteHeader(&tar.Header{Name: "layer", Size: size, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	looks := 100 // of two thousand
	if _, err := ArchiveTags(cancelling{ctx, &looks, cancel}, name); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func FuzzManifestTags(f *testing.F) {
	f.Add([]byte(`[{"RepoTags":["docker/dtr:2.6.15"]}]`))
	f.Add([]byte(`[null,{"RepoTags":null}]`))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = manifestTags(bytes.NewReader(text)) })
}

// TestManifestThatIsTooLarge has a manifest of some kilobytes grow to a gigabyte.
func TestManifestThatIsTooLarge(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "images.tar.gz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	const size = 1 << 30
	if err := w.WriteHeader(&tar.Header{Name: manifestName, Size: size, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("[{}" + strings.Repeat(",{}", 10_000_000))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := ArchiveTags(t.Context(), name); err == nil || !strings.Contains(err.Error(), strconv.Itoa(size)) {
		t.Errorf("error %v", err)
	}
}
