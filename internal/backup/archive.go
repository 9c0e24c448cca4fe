package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// topDirectory is the archive's first directory, dtr-backup-v2.6.6: the vendor
// shows it, with rethink/ and rethink/layers/ below, for the check of a backup.
// What else is in there is not published, and not looked at.
var topDirectory = regexp.MustCompile(`^(?:\./)?(?:dtr|msr)-backup-v?([0-9][^/]*)/?`)

// block is what a tar archive consists of. Two of zeros mark its end.
const block = 512

// ReadArchive reads a backup to its end, and returns the version that it names, nil
// when it names none. The error says why it is not a complete archive.
func ReadArchive(r io.Reader) (named *semver.Version, err error) {
	in := &counter{r: r}
	archive := tar.NewReader(in)
	files := 0
	contentEnd := int64(0) // of the last entry
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			_, err = io.Copy(io.Discard, archive) //nolint:gosec // nothing is kept of it
		}
		if err != nil {
			return nil, fmt.Errorf("it is not a complete tar archive: %w", err)
		}
		contentEnd = in.n
		if m := topDirectory.FindStringSubmatch(entry.Name); m != nil && named == nil {
			named, _ = transition.ParseWire(m[1])
		}
		if entry.Typeflag == tar.TypeReg {
			files++
		}
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, err
	}
	// archive/tar takes a stream that just stops for an end. What stands behind the
	// last entry, whose content is filled up to a block, must be the mark, and zeros.
	behind := in.n - (contentEnd+block-1)/block*block
	switch {
	case files == 0:
		return nil, errors.New("the archive holds no files")
	case behind < 2*block || in.zeros < behind:
		return nil, errors.New("it is not a complete tar archive: its end is missing")
	}
	return named, nil
}

// counter counts what is read, and the zeros at its end.
type counter struct {
	r        io.Reader
	n, zeros int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	i := n
	for i > 0 && p[i-1] == 0 {
		i--
	}
	if i > 0 {
		c.zeros = 0
	}
	c.zeros += int64(n - i)
	c.n += int64(n)
	return n, err
}

// CheckVersion holds the version that a backup names against the one that it is to
// be of. Where it names none, that is logged and accepted.
func CheckVersion(ctx context.Context, named, version *semver.Version) error {
	switch {
	case named == nil:
		log.Warn(ctx, "The backup does not name the version that it is of", map[string]any{"expected": version.String()})
	case !named.Equal(version):
		return fmt.Errorf("it is a backup of %s, and the cluster runs %s", named, version)
	}
	return nil
}

// ErrOther is the error of a file that is a whole backup, and not the one that it
// should be.
var ErrOther = errors.New("it is another backup")

// CheckFile reads the backup in a file to its end: is it complete, the one with the
// SHA-256 sum, and of the version?
func CheckFile(ctx context.Context, name, sum string, version *semver.Version) error {
	f, err := Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	named, err := ReadArchive(io.TeeReader(untilDone{ctx, f}, hash))
	if err != nil {
		return err
	}
	if hex.EncodeToString(hash.Sum(nil)) != sum {
		return ErrOther
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
