package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// hold keeps every other bootstrapper from being started, if this one is to run on an
// engine other than UCP's: its name is no lock in UCP, nor on a third engine. Whoever
// creates a bootstrapper's container through UCP looks for the one that hold creates
// afterwards, and this run looks for theirs afterwards, so that one of the two sees the
// other. It returns false if another apply was faster.
func (p *taskRun) hold(ctx context.Context, spec ucp.CreateSpec) (bool, error) {
	if p.Cluster.Docker == nil {
		return true, nil
	}
	if p.held == "" {
		lock, err := p.CreateLock(ctx, cluster.ElsewhereName(p.Host), cluster.Purpose(spec.Labels))
		switch {
		case errdefs.IsConflict(err):
			return false, &blockedError{err, "hold"}
		case err != nil:
			return false, err
		}
		p.held = lock.Labels[cluster.LabelNonce]
	}
	spec.Labels[cluster.LabelHolds] = p.held
	_, found, err := p.find(ctx)
	if err != nil || found {
		return false, errors.Join(err, p.giveBack(ctx))
	}
	return true, nil
}

// isFirst reports whether nobody but this run holds the name in UCP. It is asked once the
// container is created: whoever holds it from then on sees that one.
func (p *taskRun) isFirst(ctx context.Context, c Container) (first bool, err error) {
	err = Outlast(ctx, p.Pace, func(ctx context.Context) error {
		lock, _, err := p.FindNamed(ctx, cluster.ElsewhereName(p.Host))
		first = lock.Labels[cluster.LabelNonce] == c.Labels[cluster.LabelHolds]
		return err
	})
	return first, wait.Fail(wait.Detached(ctx, p.task.Step, err))
}

// giveBack lets go of what this run holds.
func (p *taskRun) giveBack(ctx context.Context) error {
	held := p.held
	p.held = ""
	return p.letGo(ctx, map[string]string{cluster.LabelHolds: held})
}

// letGo removes the container in UCP that stands in for one with the labels, which was
// seen to have ended, or was not started.
func (r *Runner) letGo(ctx context.Context, labels map[string]string) error {
	if labels[cluster.LabelHolds] == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	lock, found, err := r.FindNamed(ctx, cluster.ElsewhereName(r.Host))
	if err != nil || !found || lock.Labels[cluster.LabelNonce] != labels[cluster.LabelHolds] {
		return err
	}
	_, err = r.Remove(ctx, lock)
	return err
}

// atWorkElsewhere is the error of a bootstrapper on an engine that this run does not
// reach. To wait for it is like to wait for an engine that is out of reach.
func (p *taskRun) atWorkElsewhere(ctx context.Context, i *cluster.Inventory) error {
	lock := i.Elsewhere
	if lock == nil || lock.Labels[cluster.LabelNonce] == p.held {
		return nil
	}
	found, there, err := p.find(ctx)
	if err != nil {
		return failUnlessOutage(err)
	}
	if there && (found.Running() || found.Labels[cluster.LabelHolds] == lock.Labels[cluster.LabelNonce]) {
		return nil
	}
	log.Info(ctx, "Another engine has the bootstrapper, which is waited for", map[string]any{"container": lock.Name, "purpose": cluster.Purpose(lock.Labels)})
	return &ElsewhereError{Container: cluster.BaseName(lock.Name), Purpose: cluster.Purpose(lock.Labels)}
}

// ElsewhereError says that a bootstrapper may be at work on an engine other than UCP's,
// which this run does not reach.
type ElsewhereError struct {
	Container string // in UCP, which stands in for it
	Purpose   string // what it is for
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("container %s says that another engine has the bootstrapper (%s)", e.Container, e.Purpose)
}
