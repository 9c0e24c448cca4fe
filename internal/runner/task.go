package runner

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Task is what the bootstrapper is run for.
type Task struct {
	Step string // of the run, for errors
	Name string // for the log

	// Spec returns the container's specification without the parts common to all.
	// Its error was found before anything was made.
	Spec func(context.Context) (ucp.CreateSpec, error)
	// Owns reports whether a container was made for this very task.
	Owns func(Container) bool
	// Conflict is the error for a container of ours that was made for something
	// else and that must neither be waited for, if it runs, nor be removed.
	Conflict func(Container) error
	// StillNeeded looks, once the name is ours, whether the task is still to be
	// done; retry says that a bootstrapper has failed at it.
	StillNeeded func(ctx context.Context, retry bool) (bool, error)
	// BeforeStart is the last check before a container is made for the task, or one
	// that tells what is left of it is removed; nil checks nothing.
	BeforeStart func(context.Context) error
	// Problems are what the cluster shows to be left of the task that a container
	// was made for.
	Problems func(Container, *cluster.Inventory) []cluster.Problem
	// SkipIfDone says that a task that the cluster shows to be done is not done
	// again, even where its bootstrapper says that it failed.
	SkipIfDone bool
	// RollBack takes back what a bootstrapper has left half done, before it is run
	// again; nil where running it again is enough.
	RollBack func(context.Context, Container) error
}

func (t Task) checkBeforeStart(ctx context.Context) error {
	if t.BeforeStart == nil {
		return nil
	}
	return t.BeforeStart(ctx)
}

// Perform has the bootstrapper do the task: it adopts the one that is at work, or
// starts one. The container stays until the caller has verified the task. It is
// the lock against a second run, and tells a later run what this one was for. It
// is returned, unless the task was done without one; beside an error it is the one
// that was looked at last, if any.
func (r *Runner) Perform(ctx context.Context, t Task) (Container, error) {
	p := &performance{Runner: r, task: t, starting: r.NewStarting()}
	err := wait.Until(ctx, r.Pace, p.next)
	if err != nil && ctx.Err() != nil {
		err = wait.Detached(ctx, t.Step, err)
	}
	return p.container, err
}

// performance is one task being done.
type performance struct {
	*Runner
	task      Task
	starting  *Starting
	retry     bool // the task's bootstrapper failed: run it again even where all looks done
	container Container
}

// next does what comes next. It returns false to be called again after a pause:
// another apply was faster, or has to be waited for.
func (p *performance) next(ctx context.Context) (done bool, err error) {
	if err := p.waitForPhase2(ctx); err != nil {
		return false, wait.Fail(err)
	}
	var found bool
	p.container, found, err = p.Find(ctx)
	switch {
	case err != nil:
	case found:
		done, err = p.goOn(ctx)
	default:
		done, err = p.begin(ctx)
	}
	if err != nil {
		return false, wait.Fail(err)
	}
	return done, nil
}

// begin starts a bootstrapper where there is no container.
func (p *performance) begin(ctx context.Context) (done bool, err error) {
	takenUp, err := p.takeUp(ctx, p.task)
	if err != nil || takenUp {
		return false, err
	}
	if !p.retry {
		if err := p.task.checkBeforeStart(ctx); err != nil {
			return false, err
		}
	}
	spec, err := p.task.Spec(ctx)
	if err != nil {
		return false, err
	}
	spec.Name = p.ContainerName()
	made, err := p.Create(ctx, spec)
	if errdefs.IsConflict(err) {
		return false, nil // another apply was faster
	}
	if err != nil {
		return false, err
	}
	started, err := p.start(ctx, made)
	if errdefs.IsNotFound(err) {
		return false, nil // another apply took it for a left-over
	}
	if err != nil || !started {
		return true, err
	}
	p.container = made
	return true, p.follow(ctx, made, p.task)
}

// goOn deals with the container that was found.
func (p *performance) goOn(ctx context.Context) (done bool, err error) {
	c, owned := p.container, p.task.Owns(p.container)
	switch {
	case c.Running() && owned:
		tflog.Info(ctx, "Bootstrapper is adopted", map[string]any{"container": c.Name, "id": c.ID, "hop": p.task.Name})
		p.Runs++
		return true, p.follow(ctx, c, p.task)
	case c.Status == cluster.StateRemoving, p.starting.Is(c):
		return false, nil
	case c.Status != cluster.StateCreated && !owned && p.task.Conflict(c) != nil:
		return false, p.task.Conflict(c)
	case c.Running():
		return false, nil
	}
	// It has ended, or was never started.
	if settled, err := p.settled(ctx, c); err != nil || settled {
		return settled, err
	}
	// Before that container is removed, which tells what is left to do.
	if err := p.task.checkBeforeStart(ctx); err != nil {
		return false, err
	}
	cleared, err := p.clear(ctx, c)
	// Where another apply was faster to remove it, that one runs it again.
	p.retry = cleared && owned && c.Status != cluster.StateCreated
	return false, err
}

// settled reads how an earlier bootstrapper ended, and reports whether it did this
// task. What it says is believed only together with what the cluster shows, for
// which UCP's inventory is given a moment to follow.
func (p *performance) settled(ctx context.Context, c Container) (bool, error) {
	if !p.task.Owns(c) || c.Status == cluster.StateCreated {
		return false, nil
	}
	patience := p.Pace.Consistent
	if err := p.exitError(ctx, c, p.task); err != nil {
		if ctx.Err() != nil {
			return false, &wait.DetachedError{Step: p.task.Step, Cause: context.Cause(ctx)}
		}
		tflog.Warn(ctx, "An earlier bootstrapper failed", map[string]any{"container": c.Name, "error": err.Error()})
		if !p.task.SkipIfDone {
			return false, nil
		}
		patience = 0
	}
	began := time.Now() // the engine's clock may be another
	var problems []cluster.Problem
	err := wait.Until(ctx, p.Pace, func(ctx context.Context) (bool, error) {
		inventory, err := cluster.Inspect(ctx, p.Cluster)
		if err != nil {
			return false, wait.Fail(err)
		}
		problems = p.task.Problems(c, inventory)
		return len(problems) == 0 || time.Since(began) >= patience, nil
	})
	if err != nil {
		return false, wait.Detached(ctx, p.task.Step, err)
	}
	if len(problems) > 0 {
		tflog.Warn(ctx, "An earlier bootstrapper did not do all of its work and is run again", map[string]any{
			"container": c.Name, "problems": cluster.ProblemsText(problems),
		})
		return false, nil
	}
	p.Runs++
	return true, nil
}

// clear makes room for a new container where one is that has ended, or that was
// never started. It returns false when that was gone already, or runs by now.
func (p *performance) clear(ctx context.Context, c Container) (bool, error) {
	switch {
	case c.Status == cluster.StateCreated:
	case p.task.Owns(c) && p.task.RollBack != nil:
		if err := p.task.RollBack(ctx, c); err != nil {
			return false, err
		}
	case !p.task.Owns(c) && cluster.IsRecord(c.Labels):
		return p.SetAside(ctx, c)
	}
	return p.Remove(ctx, c)
}

// start starts the container that was just made, if its task is still needed. Much
// may have happened while images were pulled or another apply was waited for;
// from here on the container's name keeps other applies out. Where they have done
// the task already, it returns false.
func (p *performance) start(ctx context.Context, c Container) (bool, error) {
	needed := false
	err := p.waitForBackup(ctx)
	if err == nil {
		needed, err = p.task.StillNeeded(ctx, p.retry)
	}
	if err != nil || !needed {
		dropCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
		defer cancel()
		_, dropErr := p.Remove(dropCtx, c)
		return false, errors.Join(err, dropErr)
	}
	// From here on a cancelled apply must know what it leaves behind.
	startCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	if err := c.Start(startCtx); err != nil {
		return false, err
	}
	p.Runs++
	tflog.Info(ctx, "Bootstrapper is started", map[string]any{"container": c.Name, "id": c.ID, "image": c.Image, "hop": p.task.Name})
	return true, nil
}

// waitForBackup waits while a backup's container is there that another apply may
// be about to start. That one looks for ours likewise, and gives way. What runs by
// then is up to the task.
func (p *performance) waitForBackup(ctx context.Context) error {
	starting := p.NewStarting()
	err := wait.Until(ctx, p.Pace, func(ctx context.Context) (bool, error) {
		backup, found, err := p.FindNamed(ctx, cluster.BackupName(p.Host))
		if err != nil {
			return false, wait.Fail(err)
		}
		return !found || !starting.Is(backup), nil
	})
	return wait.Detached(ctx, p.task.Step, err)
}

// waitForPhase2 waits for a second phase whose first phase is gone: it goes on
// replacing containers, and a new bootstrapper would be refused beside it.
func (p *performance) waitForPhase2(ctx context.Context) error {
	orphaned := false
	err := wait.Until(ctx, p.Pace, func(ctx context.Context) (bool, error) {
		inventory, err := cluster.Inspect(ctx, p.Cluster)
		if err != nil {
			return false, wait.Fail(err)
		}
		orphaned = false
		for _, c := range inventory.Bootstrappers {
			orphaned = orphaned || cluster.IsPhase2(c) && c.Running()
		}
		if !orphaned {
			return true, nil
		}
		first, found, err := p.Find(ctx)
		if err != nil {
			return false, wait.Fail(err)
		}
		if found && first.Running() {
			return true, nil
		}
		tflog.Info(ctx, "The second phase of an earlier bootstrapper is still at work", map[string]any{"container": cluster.Phase2Name})
		return false, nil
	})
	if err != nil && ctx.Err() != nil && orphaned {
		return &wait.DetachedError{Step: p.task.Step, Container: cluster.Phase2Name, Cause: context.Cause(ctx)}
	}
	return wait.Detached(ctx, p.task.Step, err)
}
