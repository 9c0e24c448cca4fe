package runner

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// othersFirst returns what says that another bootstrapper is to run, or may be at work, and
// not the one in the container, which was just created; nil if there is none. Its name
// keeps others of its engine out; for one that is on an engine other than UCP's, hold keeps
// out all others. Whoever creates a container through UCP looks for what hold creates
// afterwards, and this run looks for theirs afterwards, so that one of the two sees the
// other.
func (p *taskRun) othersFirst(ctx context.Context, c Container) (taken *blockedError, err error) {
	err = wait.Confirm(ctx, p.Pace, func(ctx context.Context) (err error) {
		if p.Cluster.Docker != nil {
			taken, err = p.hold(ctx, c)
		} else {
			lock, held, lookErr := p.elsewhere(ctx)
			if err = lookErr; held {
				taken = &blockedError{elsewhereError(lock.Name, lock.Labels), lock.ID}
			}
		}
		if err != nil && MayPass(err) {
			err = p.nodeDown(ctx, cluster.ElsewhereName(p.Host), err)
		}
		return err
	}, MayPass)
	return taken, wait.Fail(wait.Detached(ctx, p.task.Step, err))
}

// hold creates the container in UCP that stands in for this one. It comes after this one:
// if it is there and this one is not, then this one was removed. Taken is the container
// of another apply that was faster.
func (p *taskRun) hold(ctx context.Context, c Container) (taken *blockedError, err error) {
	engine, err := engineID(ctx, c.engine)
	if err != nil {
		return nil, err
	}
	_, err = p.CreateLock(ctx, cluster.ElsewhereName(p.Host), map[string]string{
		cluster.LabelPurpose: cluster.Purpose(c.Labels), cluster.LabelHolds: c.Labels[cluster.LabelHolds], cluster.LabelEngine: engine,
	})
	if errdefs.IsConflict(err) {
		lock, held, lookErr := p.elsewhere(ctx)
		switch {
		case lookErr != nil:
			return nil, lookErr
		case held && lock.Labels[cluster.LabelHolds] != c.Labels[cluster.LabelHolds]:
			return &blockedError{elsewhereError(lock.Name, lock.Labels), lock.ID}, nil
		case held: // the answer to its creation was lost
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	through, err := p.Cluster.UCP.Engine(ctx)
	if err != nil {
		return nil, err
	}
	other, err := through.Container(ctx, p.ContainerName())
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err == nil && other.Labels[cluster.LabelNonce] != c.Labels[cluster.LabelNonce]: // else UCP has the engine as well
		taken = &blockedError{&BlockedError{Container: p.ContainerName(), Status: other.Status}, other.ID}
	}
	return taken, err
}

// elsewhere looks for the container in UCP that stands in for a bootstrapper on another
// engine.
func (r *Runner) elsewhere(ctx context.Context) (Container, bool, error) {
	engine, err := r.Cluster.UCP.Engine(ctx)
	if err != nil {
		return Container{}, false, err
	}
	return r.findOn(ctx, engine, cluster.ElsewhereName(r.Host))
}

// engineID tells an engine from others, whatever address it is reached by; "" if it does
// not say. Machines that were copied may have the ID of one engine, but not its name.
func engineID(ctx context.Context, engine *ucp.Engine) (string, error) {
	id, err := engine.ID(ctx)
	if err != nil && answered(err) && !wait.IsOutage(err) {
		return "", nil
	}
	return id, err
}

// letGo removes the container in UCP that stands in for one with the labels, which was
// seen to have ended, or is gone, or was not started. If that fails, the next run on that
// engine does it.
func (r *Runner) letGo(ctx context.Context, labels map[string]string) {
	if labels[cluster.LabelHolds] == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	err := Outlast(ctx, r.Pace, func(ctx context.Context) error {
		lock, found, err := r.elsewhere(ctx)
		if err != nil || !found || lock.Labels[cluster.LabelHolds] != labels[cluster.LabelHolds] {
			return err
		}
		if err := lock.engine.Remove(ctx, lock.ID); !errdefs.IsNotFound(err) {
			return err
		}
		return nil
	})
	if err != nil {
		log.Warn(ctx, "The bootstrapper's name is still held in UCP", map[string]any{"container": cluster.ElsewhereName(r.Host), "error": err.Error()})
	}
}

// atWorkElsewhere is the error of a bootstrapper on an engine that this run does not
// reach. To wait for it is like to wait for an engine that is out of reach. What stands in
// for one on this run's engine that is gone is removed: its run was killed, or somebody has
// removed it by hand. It is gone if no look has shown it for a while.
func (p *taskRun) atWorkElsewhere(ctx context.Context, i *cluster.Inventory) error {
	lock := i.Elsewhere
	if lock == nil {
		p.ownerless.Seen(false)
		return nil
	}
	found, there, err := p.find(ctx)
	if err != nil {
		return failUnlessOutage(err)
	}
	if there && (found.Running() || found.Labels[cluster.LabelHolds] == lock.Labels[cluster.LabelHolds]) {
		p.ownerless.Seen(false)
		return nil
	}
	own, err := p.isOfOwnEngine(ctx, lock.Labels)
	if err != nil {
		return failUnlessOutage(err)
	}
	if p.ownerless.Seen(own) {
		p.ownerless.Seen(false)
		p.letGo(ctx, lock.Labels)
		return nil
	}
	if !own {
		p.blocked.Seen(false) // what is shown is waited for
	}
	log.Info(ctx, "Another engine has the bootstrapper, which is waited for", map[string]any{"container": lock.Name, "purpose": cluster.Purpose(lock.Labels)})
	return elsewhereError(lock.Name, lock.Labels)
}

// isOfOwnEngine reports whether the labels are of what stands in for a container on the
// engine that runs this run's bootstrappers.
func (p *taskRun) isOfOwnEngine(ctx context.Context, labels map[string]string) (bool, error) {
	if p.Cluster.Docker == nil || labels[cluster.LabelEngine] == "" {
		return false, nil
	}
	engine, err := p.Cluster.Docker.Engine(ctx)
	if err != nil {
		return false, err
	}
	id, err := engineID(ctx, engine)
	return id == labels[cluster.LabelEngine], err
}

// ElsewhereError says that a bootstrapper may be at work on an engine other than UCP's,
// which this run does not reach.
type ElsewhereError struct {
	Container string // in UCP, which stands in for it
	Purpose   string // what it is for
}

func elsewhereError(name string, labels map[string]string) error {
	return &ElsewhereError{Container: cluster.BaseName(name), Purpose: cluster.Purpose(labels)}
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("container %s says that another engine has the bootstrapper (%s)", e.Container, e.Purpose)
}
