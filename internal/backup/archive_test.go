package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
)

func TestReadArchive(t *testing.T) {
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
	// Zeros fill the last blocks of a file that is cut there, and of a header.
	zeros := func() []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		_ = w.WriteHeader(&tar.Header{Name: "dtr-backup-v2.6.6/rethink/layers/0", Mode: 0o600, Size: 4096, Typeflag: tar.TypeReg})
		_, _ = w.Write(append(bytes.Repeat([]byte("x"), 2048), make([]byte, 2048)...))
		_ = w.Flush()
		return b.Bytes()
	}()
	long := archive("dtr-backup-v2.6.6/x", "dtr-backup-v2.6.6/"+strings.Repeat("y", 200))
	whole := archive("dtr-backup-v2.6.6/", "dtr-backup-v2.6.6/rethink/", "dtr-backup-v2.6.6/rethink/layers/x")
	for name, tt := range map[string]struct {
		content []byte
		named   string // "" for none
		says    string // of the error
	}{
		"as the vendor shows it":               {whole, "2.6.6", ""},
		"padded":                               {append(slices.Clone(whole), make([]byte, 8192)...), "2.6.6", ""},
		"from the current one":                 {archive("./dtr-backup-v2.7.0/x"), "2.7.0", ""},
		"with a commit":                        {archive("dtr-backup-v2.7.0-29094adc/x"), "2.7.0", ""},
		"without a letter":                     {archive("dtr-backup-2.5.6/x"), "2.5.6", ""},
		"two versions":                         {archive("dtr-backup-v2.6.6/x", "dtr-backup-v2.7.0/x"), "2.6.6", ""},
		"a version, and none":                  {archive("dtr-backup-v2.6.6/x", "dtr-backup-v2.x/x"), "2.6.6", ""},
		"of the successor":                     {archive("msr-backup-v2.9.1/x"), "2.9.1", ""},
		"no version":                           {archive("rethink/x"), "", ""},
		"a version further down":               {archive("backups/dtr-backup-v2.6.6/x"), "", ""},
		"empty":                                {nil, "", "holds no files"},
		"an archive of nothing":                {archive(), "", "holds no files"},
		"directories alone":                    {archive("dtr-backup-v2.6.6/", "dtr-backup-v2.6.6/rethink/"), "", "holds no files"},
		"without its end":                      {whole[:len(whole)-1024], "", "its end is missing"},
		"with half of its end":                 {whole[:len(whole)-512], "", "its end is missing"},
		"cut behind zeros":                     {zeros, "", "its end is missing"},
		"cut behind zeros, and half of an end": {append(slices.Clone(zeros), make([]byte, 512)...), "", "its end is missing"},
		"zeros, and an end":                    {append(slices.Clone(zeros), make([]byte, 1024)...), "2.6.6", ""},
		"cut behind a long name":               {long[:4*512], "", "its end is missing"},
		"cut in a file":                        {whole[:3*512+2], "", "not a complete tar archive"},
		"more behind its end":                  {append(slices.Clone(whole), "more"...), "", "its end is missing"},
		"text":                                 {[]byte(strings.Repeat("FATA[0000] no\n", 100)), "", "not a complete tar archive"},
		"a log before the archive":             {append([]byte("INFO[0000] Connecting to UCP\n"), whole...), "", "not a complete tar archive"},
	} {
		named, err := ReadArchive(iotest.OneByteReader(bytes.NewReader(tt.content)))
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
		f := clustertest.Must[*File](t)(Create(name, clustertest.Host))
		_, _ = f.Write([]byte("a backup"))
		if err := f.takeName(); errors.Is(err, fs.ErrExist) != again || !again && err != nil {
			t.Errorf("again %t: error %v", again, err)
		}
		f.Drop()
		if got := clustertest.Must[[]byte](t)(os.ReadFile(name)); string(got) != "a backup" {
			t.Errorf("the file holds %q", got)
		}
		if left := clustertest.Must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(name))); len(left) != 1 {
			t.Errorf("files are left over: %v", left)
		}
	}
}

// TestPartialFilesOfTwoRuns has one run begin to write while another gives its file
// the name: what the second has written is never taken for the first's.
func TestPartialFilesOfTwoRuns(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "dtr-backup.tar")
	first := clustertest.Must[*File](t)(Create(name, clustertest.Host))
	_, _ = first.Write([]byte("the whole backup of the first"))
	_ = clustertest.Must[string](t)(first.Finish())
	second := clustertest.Must[*File](t)(Create(name, clustertest.Host))
	_, _ = second.Write([]byte("hal"))
	if err := first.Keep(); !errors.Is(err, fs.ErrNotExist) { // the second has tidied up
		t.Errorf("error %v", err)
	}
	if Look(name).Exists {
		t.Errorf("the file holds %q", clustertest.Must[[]byte](t)(os.ReadFile(name)))
	}
	first.Drop()
	_, _ = second.Write([]byte("f"))
	sum := clustertest.Must[string](t)(second.Finish())
	if err := second.Keep(); err != nil || sum != fmt.Sprintf("%x", sha256.Sum256([]byte("half"))) {
		t.Errorf("error %v, sum %s", err, sum)
	}
	second.Drop()
	if got := clustertest.Must[[]byte](t)(os.ReadFile(name)); string(got) != "half" {
		t.Errorf("the file holds %q", got)
	}
	if left := clustertest.Must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(name))); len(left) != 1 {
		t.Errorf("files are left over: %v", left)
	}
}

// TestCheckVersion has a backup that names no version, which is not held against it.
func TestCheckVersion(t *testing.T) {
	t.Parallel()
	runs := clustertest.Version("2.6.6")
	for named, good := range map[*semver.Version]bool{nil: true, clustertest.Version("2.6.6"): true, clustertest.Version("2.6.5"): false} {
		if err := CheckVersion(t.Context(), named, runs); (err == nil) != good {
			t.Errorf("%v: error %v", named, err)
		}
	}
}

func FuzzReadArchive(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "dtr-backup-v2.6.6/x", Mode: 0o600, Size: 4, Typeflag: tar.TypeReg})
	_, _ = w.Write([]byte("data"))
	_ = w.Close()
	f.Add(b.Bytes())
	f.Add([]byte("INFO[0000] no archive"))
	f.Fuzz(func(_ *testing.T, stream []byte) { _, _ = ReadArchive(bytes.NewReader(stream)) })
}
