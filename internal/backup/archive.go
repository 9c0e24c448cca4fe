package backup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// topDirectory is the archive's first directory, dtr-backup-v2.6.6: the vendor
// shows it, with rethink/ and rethink/layers/ below, for the check of a backup.
// What else is in there is not published, and not looked at.
var topDirectory = regexp.MustCompile(`^(?:\./)?(?:dtr|msr)-backup-v?([0-9][^/]*)/?`)

// endMark is the length of the zeros at the end of a tar archive.
const endMark = 2 * 512

// ReadArchive reads a backup to its end, and returns the version that it names, nil
// when it names none. The error says why it is not a complete archive.
func ReadArchive(r io.Reader) (named *semver.Version, err error) {
	end := &trailingZeros{r: r}
	archive := tar.NewReader(end)
	files := 0
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is not a complete tar archive: %w", err)
		}
		if m := topDirectory.FindStringSubmatch(entry.Name); m != nil && named == nil {
			named, _ = transition.ParseWire(m[1])
		}
		if entry.Typeflag == tar.TypeReg {
			files++
		}
	}
	if _, err := io.Copy(io.Discard, end); err != nil {
		return nil, err
	}
	switch {
	case files == 0:
		return nil, errors.New("the archive holds no files")
	case end.n < endMark: // archive/tar takes a stream that just stops for an end
		return nil, errors.New("it is not a complete tar archive: its end is missing")
	}
	return named, nil
}

// trailingZeros counts the zeros at the end of what was read.
type trailingZeros struct {
	r io.Reader
	n int64
}

func (z *trailingZeros) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	i := n
	for i > 0 && p[i-1] == 0 {
		i--
	}
	if i > 0 {
		z.n = 0
	}
	z.n += int64(n - i)
	return n, err
}

// CheckVersion holds the version that a backup names against the one that it is to
// be of. Where it names none, that is logged and accepted.
func CheckVersion(ctx context.Context, named, version *semver.Version) error {
	switch {
	case named == nil:
		tflog.Warn(ctx, "The backup does not name the version that it is of", map[string]any{"expected": version.String()})
	case !named.Equal(version):
		return fmt.Errorf("it is a backup of %s, and the cluster runs %s", named, version)
	}
	return nil
}

// CheckFile reads the backup in a file to its end: is it complete, and of the
// version?
func CheckFile(ctx context.Context, name string, version *semver.Version) error {
	f, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return err
	}
	defer f.Close()
	named, err := ReadArchive(untilDone{ctx, f})
	if err != nil {
		return err
	}
	return CheckVersion(ctx, named, version)
}

// untilDone reads until its context is done.
type untilDone struct {
	ctx context.Context //nolint:containedctx // a reader for one call
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// Consumer is a reader that is written to.
type Consumer struct {
	*io.PipeWriter
	done chan struct{}
}

// Consume has f read what is written. An error of f fails the writes to come.
func Consume(f func(io.Reader) error) *Consumer {
	r, w := io.Pipe()
	c := &Consumer{w, make(chan struct{})}
	go func() {
		defer close(c.done)
		err := f(r)
		_ = r.CloseWithError(err)
	}()
	return c
}

// Finish waits until all that was written is read.
func (c *Consumer) Finish() {
	_ = c.Close()
	<-c.done
}
