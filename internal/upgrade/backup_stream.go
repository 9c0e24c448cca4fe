package upgrade

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// writeBackup starts the container and writes what it writes to the file. What
// comes is read as an archive at the same time, and its end is believed only
// together with the container's.
func (r *run) writeBackup(ctx context.Context, state containerState, version *semver.Version, out *backupFile) error {
	attached, err := state.engine.Attach(ctx, state.ID)
	if err != nil {
		return err
	}
	defer attached.Close()
	if err := state.engine.Start(ctx, state.ID); err != nil {
		return fmt.Errorf("start container %s: %w", state.Name, err)
	}
	tflog.Info(ctx, "Backup is being taken", map[string]any{"container": state.Name, "id": state.ID, "image": state.Image, "file": out.name})

	var said account
	var named *semver.Version
	var unreadable error
	log := consume(func(stderr io.Reader) error {
		scanner := bootstrap.NewScanner(stderr)
		for scanner.Scan() {
			record := r.mask(scanner.Record())
			said.note(record)
			say(ctx, record)
		}
		return scanner.Err()
	})
	content := consume(func(stdout io.Reader) error {
		named, unreadable = readBackup(stdout)
		return unreadable
	})
	progress := &transfer{each: func(n int64) {
		tflog.Info(ctx, "Backup is being written", map[string]any{"file": out.name, "bytes": n})
	}}
	err = attached.Copy(ctx, io.MultiWriter(out, content, progress), log)
	content.end()
	log.end()
	if ctx.Err() != nil {
		return &DetachedError{Step: StepBackup, Cause: context.Cause(ctx)}
	}
	switch { // not that whoever was written to has gone
	case unreadable != nil:
		err = unreadable
	case out.failed != nil:
		err = out.failed
	}
	failure := &BackupError{File: out.name, Cause: err}
	ended, lookErr := r.ended(ctx, state, err == nil)
	switch {
	case ctx.Err() != nil:
		return &DetachedError{Step: StepBackup, Cause: context.Cause(ctx)}
	case errdefs.IsNotFound(lookErr):
		failure.Bootstrapper = &BootstrapperError{Image: state.Image, Container: state.Name, Missing: true}
	case lookErr != nil:
		failure.Cause = errors.Join(err, lookErr)
	case !ended.live():
		failure.Bootstrapper = said.failure(ended)
	}
	if failure.Bootstrapper == nil && failure.Cause == nil {
		failure.Cause = checkVersion(ctx, named, version)
	}
	if failure.Bootstrapper == nil && failure.Cause == nil {
		return nil
	}
	return failure
}

// ended looks at the container until it has ended. Where its stream was whole that
// takes no time to speak of, unless the engine is out of reach; where it was not,
// the container may go on, and is given a moment to say why.
func (r *run) ended(ctx context.Context, state containerState, whole bool) (containerState, error) {
	pause := newPause(r.pace.Poll)
	gone := outage{limit: r.pace.Outage}
	began := time.Now()
	for {
		now, err := state.look(ctx)
		if fatal(err) || errdefs.IsNotFound(err) || gone.over(err) || err == nil && !now.live() {
			return now, err
		}
		if !whole && time.Since(began) > r.pace.Poll {
			return now, err
		}
		if err := pause.wait(ctx); err != nil {
			return now, err
		}
	}
}

// consumer is a reader that is written to.
type consumer struct {
	*io.PipeWriter
	done chan struct{}
}

// consume has f read what is written. An error of it fails the writes to come.
func consume(f func(io.Reader) error) *consumer {
	r, w := io.Pipe()
	c := &consumer{w, make(chan struct{})}
	go func() {
		defer close(c.done)
		err := f(r)
		_ = r.CloseWithError(err)
	}()
	return c
}

// end waits until all that was written is read.
func (c *consumer) end() {
	_ = c.Close()
	<-c.done
}

// backupTop is the archive's first directory, dtr-backup-v2.6.6: the vendor shows it, with rethink/ and rethink/layers/ below, for the check of a backup. What else
// is in there is not published, and not looked at.
var backupTop = regexp.MustCompile(`^(?:\./)?(?:dtr|msr)-backup-v?([0-9][^/]*)/?`)

// endMark is the length of the zeros at the end of a tar archive.
const endMark = 2 * 512

// readBackup reads a backup to its end, and returns the version that it names, nil
// when it names none.
func readBackup(r io.Reader) (named *semver.Version, err error) {
	end := &trailingZeros{r: r}
	archive := tar.NewReader(end)
	files := 0
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is not a whole tar archive: %w", err)
		}
		if m := backupTop.FindStringSubmatch(entry.Name); m != nil && named == nil {
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
		return nil, errors.New("it is not a whole tar archive: its end is missing")
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

// checkVersion holds the version that a backup names against the one that it is to
// be of. One that names none cannot be told.
func checkVersion(ctx context.Context, named, version *semver.Version) error {
	switch {
	case named == nil:
		tflog.Warn(ctx, "The backup does not name the version that it is of", map[string]any{"expected": version.String()})
	case !named.Equal(version):
		return fmt.Errorf("it is a backup of %s, and the cluster runs %s", named, version)
	}
	return nil
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

// backupFile is a backup that is being written beside the file that it is to be.
type backupFile struct {
	*os.File
	name   string
	size   int64
	failed error // of a write
}

func (f *backupFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		f.failed = err
	}
	return n, err
}

// partialName is the same for every run of a cluster: what a killed one left is
// found again. The container's name keeps two runs apart.
func partialName(name, host string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+nameOf(host)+".partial")
}

func createBackupFile(name, host string) (*backupFile, error) {
	partial := partialName(name, host)
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the user's own
	if err != nil {
		return nil, err
	}
	return &backupFile{File: f, name: name}, nil
}

// drop removes what was written. After keep there is nothing left to remove.
func (f *backupFile) drop() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// keep gives the file its name, once it is on the disk. The error is fs.ErrExist
// where there is a file of that name by now.
func (f *backupFile) keep() error {
	if err := f.Sync(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	f.size = info.Size()
	if err := f.Close(); err != nil {
		return err
	}
	err = os.Link(f.Name(), f.name)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		err = f.takeName()
	}
	if err != nil {
		return err
	}
	syncDir(filepath.Dir(f.name))
	return nil
}

// takeName is for a file system without links: it takes the name first, which
// fails where it is taken.
func (f *backupFile) takeName() error {
	reserved, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(reserved.Close(), os.Rename(f.Name(), f.name)); err != nil {
		return errors.Join(err, os.Remove(f.name))
	}
	return nil
}

// syncDir has the name outlast a power failure, where the system can do that.
func syncDir(name string) {
	if d, err := os.Open(name); err == nil { //nolint:gosec // of the user's own file
		_ = d.Sync()
		_ = d.Close()
	}
}
