package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// The container that wrote the backup stays until the last hop is finished, and
// its labels say which file it wrote for which upgrade. That is how a later run
// tells the backup of the upgrade that it goes on with from any other file of that
// name: one is kept, the other is never overwritten. The file has its name only
// once it is whole.

// freshBackup is how old the backup of an upgrade may be whose first hop is still
// not begun. After that the registry has moved on too far.
const freshBackup = 24 * time.Hour

// BackupFile is what is seen of the file that a backup is to be written to.
type BackupFile struct {
	Exists   bool
	Modified time.Time
	Problem  error // why it could not be written
}

func lookAtBackup(name string) BackupFile {
	info, err := os.Lstat(name)
	if err == nil {
		return BackupFile{Exists: true, Modified: info.ModTime()}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return BackupFile{Problem: err}
	}
	dir, err := os.Stat(filepath.Dir(name))
	if err == nil && !dir.IsDir() {
		err = &fs.PathError{Op: "stat", Path: filepath.Dir(name), Err: errors.New("is not a directory")}
	}
	return BackupFile{Problem: err}
}

// wrote says whether the container of these labels wrote the file as the backup of
// an upgrade that is not finished and has come to the version.
func (f BackupFile) wrote(labels map[string]string, name string, now *semver.Version) bool {
	return f.Exists && vouches(labels, name, now) &&
		(labelledVersion(labels, labelFrom).LessThan(now) || time.Since(f.Modified) < freshBackup)
}

// vouches is wrote, whatever has become of the file since.
func vouches(labels map[string]string, name string, now *semver.Version) bool {
	from, to := labelledVersion(labels, labelFrom), labelledVersion(labels, labelTo)
	return labels[labelBackup] == absolute(name) && from != nil && to != nil && !from.GreaterThan(now) && now.LessThan(to)
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// backupContainer is this provider's container of a backup, zero when there is
// none. Of two, on different engines, the one at work counts.
func (obs *Observation) backupContainer() ucp.Container {
	var found ucp.Container
	for _, c := range obs.Bootstrappers {
		if isBackup(c, obs.Host) && (found.ID == "" || running(c)) {
			found = c
		}
	}
	return found
}

// backupNotNeeded says whether nothing is left to do about a backup: this run has
// seen to it, or none is asked for. One that another apply is writing is waited
// for in any case.
func (r *run) backupNotNeeded(obs *Observation) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		return r.o.backedUp || r.o.Backup == nil && !running(obs.backupContainer()), nil
	}
}

// backup sees to it that there is a backup before the hop is begun. It keeps the
// one that an earlier run of this upgrade took, and takes none of a cluster that
// is between two versions.
func (r *run) backup(ctx context.Context, obs *Observation, hop transition.Hop) error {
	firstSeen := map[string]time.Time{}
	pause := newPause(r.pace.Poll)
	for {
		var file BackupFile // looked at first: a container tells of a file that was there before
		if r.o.Backup != nil {
			file = lookAtBackup(r.o.Backup.File)
		}
		state, found, err := r.find(ctx, backupName(r.host))
		if err != nil {
			return err
		}
		atWork := found && (state.live() || state.Status == "removing")
		if !atWork && r.o.Backup == nil {
			return nil
		}
		if found && !file.Exists { // another apply may be about to start it, or to give its file a name
			atWork = r.mayBeStarted(firstSeen, state.ID+state.Status) || atWork
		}
		if !atWork { // nor may a bootstrapper that another apply is about to start
			if atWork, err = r.aboutToStart(ctx, firstSeen); err != nil {
				return err
			}
		}
		if !atWork {
			settled, err := r.settleBackup(ctx, obs, hop, file, state, found, firstSeen)
			if err != nil || settled {
				return err
			}
		}
		tflog.Info(ctx, "Another apply takes a backup, or begins something else", map[string]any{"container": backupName(r.host)})
		if err := pause.wait(ctx); err != nil {
			return &DetachedError{Step: StepBackup, Cause: err}
		}
	}
}

// settleBackup keeps or takes the backup. It returns false when another apply was
// faster, and has to be looked at.
func (r *run) settleBackup(ctx context.Context, obs *Observation, hop transition.Hop, file BackupFile, old containerState, found bool, firstSeen map[string]time.Time) (bool, error) {
	attempt, err := r.attempted(ctx, hop)
	if err != nil {
		return false, err
	}
	name := r.o.Backup.File
	switch {
	case attempt == attemptEnded && !vouches(old.Labels, name, hop.From):
		return false, &BackupError{File: name, Cause: fmt.Errorf("a bootstrapper was started before there was a backup, and may have changed the database; "+
			"remove container %s to have a backup of the database as it is", r.containerName)}
	case attempt != attemptNone:
		if !file.Exists {
			tflog.Warn(ctx, "No backup is taken of an upgrade that is under way", map[string]any{"file": name, "hop": hopName(hop)})
		}
		return true, nil
	case file.Exists:
		if !file.wrote(old.Labels, name, hop.From) {
			return false, &BackupError{File: name, Exists: true}
		}
		if err := r.checkKept(ctx, name, labelledVersion(old.Labels, labelFrom)); err != nil {
			return false, &BackupError{File: name, Cause: err}
		}
		r.o.backedUp = true
		tflog.Info(ctx, "Backup of an earlier apply is kept", map[string]any{"file": name, "modified": file.Modified.UTC().Format(time.RFC3339)})
		return true, nil
	case file.Problem != nil:
		return false, &BackupError{File: name, Cause: file.Problem}
	}
	if found {
		if removed, err := r.remove(ctx, old); err != nil || !removed {
			return false, err
		}
	}
	taken, err := r.takeBackup(ctx, obs, hop, firstSeen)
	if err != nil || !taken {
		return false, err
	}
	r.o.backedUp = true
	return true, nil
}

// aboutToStart says whether a bootstrapper's container is there that another apply
// may be about to start. A backup gives way to it.
func (r *run) aboutToStart(ctx context.Context, firstSeen map[string]time.Time) (bool, error) {
	state, found, err := r.findContainer(ctx)
	return found && state.Status == "created" && r.mayBeStarted(firstSeen, state.ID), err
}

// attempt is how far bootstrappers have come with a hop.
type attempt int

const (
	attemptNone     attempt = iota // none was started
	attemptEnded                   // one has ended, and has replaced nothing; the database it may have changed
	attemptUnderWay                // one is at work, or has replaced something
)

// attempted says how far the hop has come.
func (r *run) attempted(ctx context.Context, hop transition.Hop) (attempt, error) {
	state, found, err := r.findContainer(ctx)
	if err != nil {
		return attemptNone, err
	}
	inventory, err := Inspect(ctx, r.cluster)
	if err != nil {
		return attemptNone, err
	}
	started := found && isUpgrade(state.Labels) && state.Status != "created"
	return inventory.attempted(hop, started, state.live()), nil
}

// attempted says how far the hop has come where a bootstrapper was started, and is
// at work, or not.
func (i *Inventory) attempted(hop transition.Hop, started, atWork bool) attempt {
	phase2 := func(c ucp.Container) bool { return baseName(c.Name) == phase2Name && running(c) }
	switch {
	case slices.ContainsFunc(i.Versions(), hop.To.Equal):
		return attemptUnderWay
	case !started:
		return attemptNone
	case atWork || i.halfDone() || slices.ContainsFunc(i.Bootstrappers, phase2):
		return attemptUnderWay
	}
	return attemptEnded
}

// checkKept reads a backup of an earlier run to its end.
func (r *run) checkKept(ctx context.Context, name string, version *semver.Version) error {
	f, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return err
	}
	defer f.Close()
	named, err := readBackup(untilDone{ctx, f})
	if err != nil {
		return err
	}
	return checkVersion(ctx, named, version)
}

// takeBackup has the bootstrapper of the version that runs write a backup. It
// returns false when another apply was faster. Whatever fails, no file is left and
// no container: a backup changes nothing, so that it may be killed at any moment.
func (r *run) takeBackup(ctx context.Context, obs *Observation, hop transition.Hop, firstSeen map[string]time.Time) (taken bool, err error) {
	if name := hop.From.String(); r.o.Archives[name] != "" {
		where := place{bootstrap.Image(r.o.Repository, hop.From), r.node(obs)}
		if err := r.load(ctx, hop.From, []place{where}); err != nil {
			return false, err
		}
	}
	if err := r.bootstrapperImage(ctx, r.node(obs), hop.From); err != nil {
		return false, err
	}
	login, err := r.login(ctx)
	if err != nil {
		return false, err
	}
	replica, _ := obs.existingReplica(r.o.ExistingReplicaID)
	args, env := bootstrap.BackupCommand(hop.From, bootstrap.BackupOptions{ExistingReplicaID: replica.ID, UCP: login})
	name := r.o.Backup.File
	state, err := r.make(ctx, ucp.CreateSpec{
		Name: backupName(r.host), Image: bootstrap.Image(r.o.Repository, hop.From), Args: args, Env: env, Node: replica.Node,
		Labels: map[string]string{
			labelFrom: hop.From.String(), labelTo: r.o.Target.String(), labelBackup: absolute(name),
		},
		LogDriver: "none", // else the engine would keep it all a second time
	})
	if errdefs.IsConflict(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// From here on the container's name keeps other applies out.
	defer func() {
		if !taken {
			err = errors.Join(err, r.discard(ctx, state))
		}
	}()
	if starts, err := r.aboutToStart(ctx, firstSeen); err != nil || starts {
		return false, err
	}
	if attempt, err := r.attempted(ctx, hop); err != nil || attempt != attemptNone {
		return false, err
	}
	if _, err := r.stillDue(ctx, hop, true); err != nil {
		return false, err
	}
	out, err := createBackupFile(name, r.host)
	if err != nil {
		return false, &BackupError{File: name, Cause: err}
	}
	defer out.drop()
	if err := r.writeBackup(ctx, state, hop.From, out); err != nil {
		return false, err
	}
	if err := out.keep(); errors.Is(err, fs.ErrExist) {
		return false, &BackupError{File: name, Exists: true}
	} else if err != nil {
		return false, &BackupError{File: name, Cause: err}
	}
	tflog.Info(ctx, "Backup is taken", map[string]any{"file": name, "bytes": out.size, "version": hop.From.String()})
	return true, nil
}

// discard kills and removes the backup's container, also after a cancel.
func (r *run) discard(ctx context.Context, state containerState) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	err := state.engine.Discard(ctx, state.ID)
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // gone, or on its way
		return nil
	}
	return err
}

// tidyBackup removes what tells of the backup: the upgrade is finished.
func (r *run) tidyBackup(ctx context.Context) error {
	if r.o.Backup != nil && r.o.Backup.File != "" {
		_ = os.Remove(partialName(r.o.Backup.File, r.host)) // of a run that was killed
	}
	for {
		state, found, err := r.find(ctx, backupName(r.host))
		if err != nil || !found || state.live() {
			return err
		}
		if removed, err := r.remove(ctx, state); err != nil || !removed {
			return err
		}
	}
}
