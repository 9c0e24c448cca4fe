package migration

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
)

// cleanupLimit bounds what is done after a run, also after one that was cancelled.
const cleanupLimit = 30 * time.Second

// postLock keeps two applies from starting one migration job both. It is a container
// that is never started: UCP refuses a second one of its name. The bootstrapper's own
// container cannot be that lock, since every apply that follows it has found it.
type postLock struct {
	run  *Run
	held *runner.Container // nil while it is not held

	other  string // the container that another apply holds it with
	since  time.Time
	missed bool // the last try met a name that was taken by a container that was gone
}

// LockName is the fixed name of a cluster's lock.
func LockName(host string) string { return "dtr-migration-" + cluster.FileName(host) }

// take takes the lock, and reports whether it is held. One that another apply has held
// for longer than that may wait for its job is what a killed one has left, and is
// removed.
func (l *postLock) take(ctx context.Context) (bool, error) {
	if l.held != nil {
		return true, nil
	}
	name, limit := LockName(l.run.Host), l.run.Pace.MigrationStart+l.run.Pace.Consistent
	made, err := l.run.CreateLock(ctx, name, map[string]string{})
	if err == nil {
		l.held = &made
		return true, nil
	}
	if blocked, ok := errors.AsType[*runner.BlockedError](err); ok && blocked.Status == "" && !l.missed {
		l.missed = true // once: another apply has given it back between the refusal and the look
		return false, nil
	}
	if !errdefs.IsConflict(err) {
		return false, err
	}
	l.missed = false
	found, there, err := l.run.FindNamed(ctx, name)
	switch {
	case err != nil || !there: // given back by now
		return false, err
	case found.ID != l.other:
		log.Info(ctx, "Another apply is about to start the migration job, or was killed before it did, which is known in "+duration.Text(limit),
			map[string]any{"container": name})
		l.other, l.since = found.ID, time.Now()
	case time.Since(l.since) > limit:
		if _, err := l.run.Remove(ctx, found); err != nil {
			return false, err
		}
	}
	return false, nil
}

// release gives the lock back.
func (l *postLock) release(ctx context.Context) {
	if l.held == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	if _, err := l.run.Remove(ctx, *l.held); err != nil {
		log.Warn(ctx, "A container could not be removed", map[string]any{"container": LockName(l.run.Host), "error": err.Error()})
	}
	l.held = nil
}

// RemoveLock removes the lock that an apply has left that was killed. Since the lock's
// container is never started, one that was is somebody else's.
func (r *Run) RemoveLock(ctx context.Context) error {
	engine, err := r.Cluster.UCP.Engine(ctx)
	if err != nil {
		return err
	}
	c, err := engine.Container(ctx, LockName(r.Host))
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case c.Labels[cluster.LabelCluster] != r.Host, c.Labels[cluster.LabelCommand] != cluster.CommandLock, c.Status != cluster.StateCreated:
		return nil
	}
	if err := engine.Remove(ctx, c.ID); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		return err
	}
	return nil
}
