package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// The container that wrote the backup stays until the last hop is finished. Its
// labels say which file it wrote for which upgrade, and its name says the sum of that
// file. That is how a later run, also on another machine, tells the backup of the
// upgrade that it goes on with from any other file of that name: one is kept, the
// other is never overwritten.

// freshBackup is how old the backup of an upgrade may be whose first hop is still
// not begun. After that the registry has moved on too far.
const freshBackup = 24 * time.Hour

// backupRecord is what a container tells of the backup that it has written.
type backupRecord struct {
	labels   map[string]string
	sum      string // of the file; "" when there is no such container
	uploaded bool   // the file is in a store
}

func recordOf(name string, labels map[string]string, host string) backupRecord {
	if sum := cluster.BackupSum(name, host); sum != "" {
		return backupRecord{labels, sum, cluster.IsUploaded(name)}
	}
	return backupRecord{}
}

// wrote reports whether the record is of the file, as far as can be told without
// reading it, as the backup of an upgrade that is not finished and has come to the
// version.
func (b backupRecord) wrote(f backup.FileState, name string, now *semver.Version) bool {
	return f.Exists && b.isFor(name, now) &&
		(cluster.LabelledVersion(b.labels, cluster.LabelFrom).LessThan(now) || time.Since(f.Modified) < freshBackup)
}

// isFor is wrote, whatever has become of the file since.
func (b backupRecord) isFor(name string, now *semver.Version) bool {
	from, to := cluster.LabelledVersion(b.labels, cluster.LabelFrom), cluster.LabelledVersion(b.labels, cluster.LabelTo)
	return b.sum != "" && b.labels[cluster.LabelBackup] == backup.Absolute(name) && from != nil && to != nil && !from.GreaterThan(now) && now.LessThan(to)
}

// errLost says that another apply has changed meanwhile what a backup was to be taken
// of, or was faster. It is looked at again.
var errLost = errors.New("another apply has taken a backup, or begun the upgrade, meanwhile")

// backupStep sees to it that there is a backup before a hop is begun. It keeps the
// one that an earlier run of this upgrade took, and takes none of a cluster that
// is between two versions.
type backupStep struct {
	upgrade *run
	obs     *Observation
	hop     transition.Hop
	naming  *runner.Starting // of the files of other applies
	tried   string           // the container of a bootstrapper that was started for the hop
	taken   *runner.Container
	sum     string // of the file that was taken
	alone   bool   // no hop follows, and no later run asks for a record
}

func (r *run) backupStep(obs *Observation, hop transition.Hop) *backupStep {
	return &backupStep{upgrade: r, obs: obs, hop: hop, naming: r.runner.NewStarting()}
}

// done reports whether nothing is left to do about a backup: this run has seen to
// it, or none is asked for. One that another apply is writing has the bootstrapper's
// name, and is waited for when the bootstrapper needs it.
func (b *backupStep) done(context.Context) (bool, error) {
	return b.upgrade.backedUp || b.upgrade.o.Backup == nil, nil
}

// run keeps or takes the backup.
func (b *backupStep) run(ctx context.Context) error {
	err := wait.Until(ctx, b.upgrade.runner.Pace, func(ctx context.Context) (bool, error) {
		done, err := b.tryOnce(ctx)
		if err != nil && !runner.MayPass(err) {
			err = wait.Fail(err)
		}
		return done, err
	})
	return wait.Detached(ctx, StepBackup, err)
}

// tryOnce returns false when another apply may be about to give its file a name, or was
// faster.
func (b *backupStep) tryOnce(ctx context.Context) (done bool, err error) {
	file := backup.Look(b.upgrade.o.Backup.File) // looked at first: a container tells of a file that was there before
	records, err := b.upgrade.runner.Backups(ctx)
	if err != nil {
		return false, err
	}
	for _, record := range records {
		if !file.Exists && b.naming.MayBe(record.ID) {
			return false, nil
		}
	}
	done, err = b.settle(ctx, file, records)
	return done, wait.Fail(err) // a backup that was broken off is not taken again
}

// settle keeps or takes the backup. It returns false when another apply was faster,
// and the cluster has to be looked at again.
func (b *backupStep) settle(ctx context.Context, file backup.FileState, old []runner.Container) (bool, error) {
	var record backupRecord
	var writer runner.Container
	for _, c := range old {
		if r := recordOf(c.Name, c.Labels, b.upgrade.runner.Host); r.isFor(b.upgrade.o.Backup.File, b.hop.From) {
			record, writer = r, c
		}
	}
	progress, err := b.progress(ctx)
	if err != nil {
		return false, err
	}
	name := b.upgrade.o.Backup.File
	switch {
	case progress == hopTried && !record.isFor(name, b.hop.From):
		return false, &BackupError{File: name, Cause: fmt.Errorf("a bootstrapper was started before there was a backup, and may have changed the database; "+
			"remove container %s to have a backup of the database as it is", b.tried)}
	case progress != hopNotBegun:
		if !file.Exists && !record.uploaded {
			log.Warn(ctx, "No backup is taken of an upgrade that is under way", map[string]any{"file": name, "hop": hopName(b.hop)})
		}
		return true, nil
	case file.Exists:
		if !record.wrote(file, name, b.hop.From) {
			return false, &BackupError{File: name, Exists: true}
		}
		err := backup.CheckFile(ctx, name, record.sum, cluster.LabelledVersion(record.labels, cluster.LabelFrom))
		if errors.Is(err, backup.ErrOther) {
			return false, &BackupError{File: name, Exists: true}
		}
		if err != nil {
			return false, &BackupError{File: name, Cause: err}
		}
		log.Info(ctx, "Backup "+name+" of an earlier apply is kept", map[string]any{"file": name, "modified": file.Modified.UTC().Format(time.RFC3339)})
		if record.uploaded {
			b.upgrade.backedUp = true
			return true, nil
		}
		return b.finish(ctx, writer, record.sum)
	case file.Problem != nil:
		return false, &BackupError{File: name, Cause: file.Problem}
	}
	for _, c := range old {
		if removed, err := b.upgrade.runner.Remove(ctx, c); err != nil || !removed {
			return false, err
		}
	}
	if taken, err := b.take(ctx); err != nil || !taken {
		return false, err
	}
	return b.finish(ctx, *b.taken, b.sum)
}

// finish has the file in its store, if it is to be there, and its record say so. The lock
// is free meanwhile: another apply that is faster has a backup of its own, or none.
func (b *backupStep) finish(ctx context.Context, record runner.Container, sum string) (bool, error) {
	if b.upgrade.o.Backup.Upload {
		if err := b.upgrade.o.Backup.upload(ctx, sum); err != nil {
			return false, wait.Detached(ctx, StepUpload, err)
		}
		var renamed bool
		err := runner.Outlast(ctx, b.upgrade.runner.Pace, func(ctx context.Context) (err error) {
			renamed, err = b.upgrade.runner.Rename(ctx, record, cluster.BackupUploadedName(b.upgrade.runner.Host, sum))
			return err
		})
		if err != nil {
			return false, err
		}
		if !renamed {
			log.Warn(ctx, "What tells that the backup is uploaded is gone", map[string]any{"container": record.Name})
		}
	}
	b.upgrade.backedUp = true
	return true, nil
}

// upload sends the file, which must be the one with the SHA-256 sum, to its store.
func (o *Backup) upload(ctx context.Context, sum string) error {
	if o.Object == nil {
		return &UploadError{File: o.File, Err: errors.New("the URL is not known")}
	}
	failed := func(err error) error { return &UploadError{File: o.File, Host: o.Object.Host(), Err: err} }
	f, err := backup.Open(o.File)
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return failed(err)
	}
	fields := map[string]any{"file": o.File, "host": o.Object.Host(), "bytes": info.Size()}
	log.Info(ctx, fmt.Sprintf("Backup %s is being uploaded to %s, %d bytes", o.File, o.Object.Host(), info.Size()), fields)
	err = o.Object.Put(ctx, f, info.Size(), sum, func() io.Writer {
		return &wait.Transfer{Report: func(n int64) {
			log.Detail(ctx, fmt.Sprintf("Backup is being uploaded, %d bytes of %d so far", n, info.Size()), fields)
		}}
	})
	if err != nil {
		return failed(err)
	}
	log.Info(ctx, fmt.Sprintf("Backup %s is uploaded to %s", o.File, o.Object.Host()), fields)
	return nil
}

// progress is how far the hop has come.
func (b *backupStep) progress(ctx context.Context) (p hopProgress, err error) {
	err = runner.Outlast(ctx, b.upgrade.runner.Pace, func(ctx context.Context) (err error) { p, err = b.progressNow(ctx); return err })
	return p, err
}

func (b *backupStep) progressNow(ctx context.Context) (hopProgress, error) {
	c, found, err := b.upgrade.runner.Find(ctx)
	if err == nil && (!found || cluster.IsBackup(c.Labels)) { // it was to make room for another one
		c, found, err = b.upgrade.runner.FindNamed(ctx, b.upgrade.runner.EarlierName())
	}
	if err != nil {
		return hopNotBegun, err
	}
	b.tried = cluster.BaseName(c.Name)
	inventory, err := cluster.Inspect(ctx, b.upgrade.cluster)
	if err != nil {
		return hopNotBegun, err
	}
	started := found && cluster.IsUpgrade(c.Labels) && c.Status != cluster.StateCreated
	return progressOf(inventory, b.hop, started), nil
}

// take has the bootstrapper of the version that runs write a backup, as a task like a
// hop, a join or a removal. It returns false when another apply was faster.
func (b *backupStep) take(ctx context.Context) (bool, error) {
	_, err := b.upgrade.runner.Perform(ctx, runner.Task{
		Step: StepBackup, Name: "backup of " + b.hop.From.String(),
		Spec: b.spec,
		Owns: func(runner.Container) bool { return false }, // of one that another run began nobody has what it wrote
		Conflict: func(c runner.Container) error {
			if cluster.IsUpgrade(c.Labels) {
				return errLost
			}
			return b.upgrade.conflict(b.hop, c)
		},
		CheckImage:  b.upgrade.checkImage(b.obs, b.hop.From),
		StillNeeded: b.stillNeeded,
		Run:         b.write,
	})
	if errors.Is(err, errLost) {
		return false, nil
	}
	return b.taken != nil, err
}

// stillNeeded reports whether the backup is still to be taken, and can be: the hop is
// not begun, and no other apply has taken one meanwhile.
func (b *backupStep) stillNeeded(ctx context.Context, _ runner.Earlier) (bool, error) {
	records, err := b.upgrade.runner.Backups(ctx)
	if err != nil || len(records) > 0 {
		return false, err
	}
	if progress, err := b.progress(ctx); err != nil || progress != hopNotBegun {
		return false, err
	}
	_, err = b.upgrade.stillNeeded(ctx, b.hop, runner.Earlier{Failed: true})
	return true, err
}

// write has the container write the backup to the file. Whatever fails, no file is left
// and no container: a backup changes nothing, so that it may be killed at any moment.
func (b *backupStep) write(ctx context.Context, c runner.Container) (err error) {
	defer func() {
		switch {
		case b.taken == nil:
			err = errors.Join(err, b.upgrade.runner.Discard(ctx, c))
		case b.alone:
			if err := b.upgrade.runner.Discard(ctx, c); err != nil { // the next task removes it
				log.Warn(ctx, "The container of the backup is left", map[string]any{"container": c.Name, "error": err.Error()})
			}
		}
	}()
	name := b.upgrade.o.Backup.File
	out, err := backup.Create(name, cluster.FileName(b.upgrade.runner.Host))
	if err != nil {
		return &BackupError{File: name, Cause: err}
	}
	defer out.Drop()
	if err := b.stream(ctx, c, out); err != nil {
		return err
	}
	sum, err := out.Finish()
	if err != nil {
		return &BackupError{File: name, Cause: err}
	}
	if !b.alone { // first the record: a file without one would be anybody's
		renamed, err := b.upgrade.runner.Rename(ctx, c, cluster.BackupRecordName(b.upgrade.runner.Host, sum))
		if err != nil {
			return err
		}
		if !renamed { // another apply took it for a left-over
			return errLost
		}
	}
	if err := out.Keep(); errors.Is(err, fs.ErrExist) {
		return &BackupError{File: name, Exists: true}
	} else if err != nil {
		return &BackupError{File: name, Cause: err}
	}
	b.taken, b.sum = &c, sum
	log.Info(ctx, fmt.Sprintf("Backup %s is taken, of %d bytes", name, out.Size), map[string]any{"file": name, "bytes": out.Size, "version": b.hop.From.String()})
	return nil
}

func (b *backupStep) spec(ctx context.Context) (ucp.CreateSpec, error) {
	err := b.upgrade.o.Images.BringBootstrapper(ctx, b.upgrade.cluster, b.upgrade.runner.Pace, b.upgrade.bootstrapNode(b.obs), b.hop.From)
	if err != nil {
		return ucp.CreateSpec{}, wait.Fail(err)
	}
	login, err := b.upgrade.runner.Login(ctx)
	if err != nil {
		return ucp.CreateSpec{}, err
	}
	replica, _ := b.obs.ExistingReplica(b.upgrade.o.ExistingReplicaID)
	args, env := bootstrap.BackupCommand(bootstrap.BackupOptions{ExistingReplicaID: replica.ID, UCP: login})
	return ucp.CreateSpec{
		Image: b.upgrade.o.Images.Bootstrapper(b.hop.From), Args: args, Env: env, Node: replica.Node,
		Labels: map[string]string{
			cluster.LabelCommand: cluster.CommandBackup,
			cluster.LabelFrom:    b.hop.From.String(), cluster.LabelTo: b.upgrade.o.Target.String(), cluster.LabelBackup: backup.Absolute(b.upgrade.o.Backup.File),
		},
		LogDriver: "none", // else the engine would keep it all a second time
	}, nil
}

// stream starts the container and writes what it writes to the file. What comes is
// read as an archive at the same time, and its end is believed only together with
// the container's.
func (b *backupStep) stream(ctx context.Context, c runner.Container, out *backup.File) error {
	attached, err := c.Attach(ctx)
	if err != nil {
		return err
	}
	defer attached.Close()
	if err := b.upgrade.runner.Start(ctx, c); err != nil {
		return err
	}
	log.Info(ctx, "Backup "+out.Target+" is being taken", map[string]any{"container": c.Name, "id": c.ID, "image": c.Image, "file": out.Target})

	summary := b.upgrade.runner.Summary()
	var named *semver.Version
	var unreadable error
	records := backup.Consume(func(stderr io.Reader) error {
		return runner.Scan(stderr, func(record bootstrap.Record) {
			summary.Add(record)
			b.upgrade.runner.LogRecord(ctx, record)
		})
	})
	content := backup.Consume(func(stdout io.Reader) error {
		named, unreadable = backup.ReadArchive(stdout)
		return unreadable
	})
	copyCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var received byteCount
	go b.stopWhenSilent(copyCtx, stop, c, &received)
	progress := &wait.Transfer{Report: func(n int64) {
		log.Detail(ctx, fmt.Sprintf("Backup is being written, %d bytes so far", n), map[string]any{"file": out.Target, "bytes": n})
	}}
	err = attached.Copy(copyCtx, io.MultiWriter(&received, out, content, progress), records)
	content.Finish()
	records.Finish()
	if ctx.Err() != nil {
		return &wait.DetachedError{Step: StepBackup, Cause: context.Cause(ctx)}
	}
	switch silent := context.Cause(copyCtx); { // an archive that is cut off is what the others leave behind
	case silent != nil:
		err = silent
	case out.WriteErr != nil:
		err = out.WriteErr
	case err == nil:
		err = unreadable
	}
	return b.result(ctx, c, out, err, &summary, named)
}

// byteCount counts what is written to it.
type byteCount struct{ atomic.Int64 }

func (n *byteCount) Write(p []byte) (int, error) {
	n.Add(int64(len(p)))
	return len(p), nil
}

// stopWhenSilent stops the reading of a stream that carries nothing any more though
// its container has ended: a connection may be lost without an end. That is an outage
// like any other, and so is that the container can no longer be looked at.
func (b *backupStep) stopWhenSilent(ctx context.Context, stop context.CancelCauseFunc, c runner.Container, received *byteCount) {
	pace := b.upgrade.runner.Pace
	var since time.Time
	var before int64
	err := wait.Until(ctx, pace, func(ctx context.Context) (bool, error) {
		now, err := c.Look(ctx)
		ended := errdefs.IsNotFound(err) || err == nil && now.Ended()
		if !ended {
			since = time.Time{}
			return false, err
		}
		if n := received.Load(); since.IsZero() || n != before {
			since, before = time.Now(), n
		}
		return time.Since(since) >= pace.Outage, nil
	})
	if err == nil {
		err = fmt.Errorf("its container ended, and the connection to it carried nothing for %s after that", duration.Text(pace.Outage))
	}
	stop(err)
}

// result judges a backup by how its stream, given by its error, its container and
// its archive ended.
func (b *backupStep) result(ctx context.Context, c runner.Container, out *backup.File, streamErr error, summary *runner.LogSummary, named *semver.Version) error {
	failure := &BackupError{File: out.Target, Cause: streamErr}
	ended, err := b.waitForEnd(ctx, c, streamErr == nil)
	switch {
	case ctx.Err() != nil:
		return &wait.DetachedError{Step: StepBackup, Cause: context.Cause(ctx)}
	case errdefs.IsNotFound(err):
		failure.Bootstrapper = &runner.BootstrapperError{Image: c.Image, Container: c.Name, Missing: true}
	case err != nil:
		failure.Cause = errors.Join(streamErr, err)
	case ended.Ended():
		failure.Bootstrapper = summary.Failure(ended)
	}
	if failure.Bootstrapper == nil && failure.Cause == nil {
		failure.Cause = backup.CheckVersion(ctx, named, b.hop.From)
	}
	if failure.Bootstrapper == nil && failure.Cause == nil {
		return nil
	}
	return failure
}

// waitForEnd looks at the container until it has ended. Where its stream was
// complete that takes no time to speak of, unless the engine is out of reach; where
// it was not, the container may go on, and is given a moment to say why.
func (b *backupStep) waitForEnd(ctx context.Context, c runner.Container, complete bool) (now runner.Container, err error) {
	began := time.Now()
	err = wait.Until(ctx, b.upgrade.runner.Pace, func(ctx context.Context) (bool, error) {
		now, err = c.Look(ctx)
		late := !complete && time.Since(began) > b.upgrade.runner.Pace.Poll
		if errdefs.IsNotFound(err) || err != nil && late {
			return false, wait.Fail(err)
		}
		return err == nil && (late || now.Ended()), err
	})
	return now, err
}

// tidyBackup removes what tells of the backup: the upgrade is finished.
func (r *run) tidyBackup(ctx context.Context) error {
	if name := r.o.backupFile(); name != "" {
		backup.RemovePartials(name, cluster.FileName(r.runner.Host)) // of a run that was killed
	}
	records, err := r.runner.Backups(ctx)
	if err != nil {
		return err
	}
	for _, c := range records {
		if _, err := r.runner.Remove(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
