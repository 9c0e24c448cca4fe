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

// Task is one piece of work for the bootstrapper: a hop, a join or a removal.
type Task struct {
	Step string // of the run, for errors
	Name string // for the log

	// Spec returns the container's specification without the parts common to all.
	// When it fails, no container has been created.
	Spec func(context.Context) (ucp.CreateSpec, error)
	// Owns reports whether a container was made for this very task.
	Owns func(Container) bool
	// Conflict returns the error for a container of this provider that was made for
	// another task and must neither be waited for nor removed; nil allows both.
	Conflict func(Container) error
	// StillNeeded reports whether the task is still to be done. It is called between
	// the container's creation and its start, when no other apply can start one; retry
	// says that a bootstrapper has failed at the task.
	StillNeeded func(ctx context.Context, retry bool) (bool, error)
	// BeforeStart is the last check before a container is created for the task, or
	// before an ended one, which shows what is left to do, is removed; nil checks
	// nothing.
	BeforeStart func(context.Context) error
	// Problems returns what the cluster still lacks of the task that the container was
	// made for; none if that task is done.
	Problems func(Container, *cluster.Inventory) []cluster.Problem
	// SkipIfDone has the task not repeated if the cluster shows that it is done, even
	// if its bootstrapper reported a failure.
	SkipIfDone bool
	// RollBack undoes what a bootstrapper has left half done, before it is run again;
	// nil if running it again is enough.
	RollBack func(context.Context, Container) error
	// Keep reports whether a container is to be renamed instead of removed, since its
	// labels tell what would be lost before another one has them; nil keeps none.
	Keep func(Container) bool
}

func (t Task) checkBeforeStart(ctx context.Context) error {
	if t.BeforeStart == nil {
		return nil
	}
	return t.BeforeStart(ctx)
}

// Perform has the bootstrapper do the task: it adopts the container that runs, or
// starts one. It does not remove the container: until the caller has verified the
// task, that is the lock against a second run, and tells a later run what this one
// was for.
//
// Perform returns the container, or the zero value if the task was done without one.
// With an error it returns the container that it looked at last, if any. Errors: a
// *BootstrapperError, a *ForeignContainerError, a *wait.DetachedError, those of the
// task's functions and those of the clients.
func (r *Runner) Perform(ctx context.Context, t Task) (Container, error) {
	p := &taskRun{Runner: r, task: t, starting: r.NewStarting()}
	err := wait.Until(ctx, r.Pace, p.next)
	if err != nil && ctx.Err() != nil {
		err = wait.Detached(ctx, t.Step, err)
	}
	return p.container, err
}

// taskRun is the work on one task.
type taskRun struct {
	*Runner
	task      Task
	starting  *Starting
	retry     bool // the task's bootstrapper failed: run it again even if the cluster shows the task as done
	container Container
}

// next takes the next step of the task. It returns false to be called again after a
// pause: another apply was faster, or has to be waited for.
func (p *taskRun) next(ctx context.Context) (done bool, err error) {
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
func (p *taskRun) begin(ctx context.Context) (done bool, err error) {
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
		return false, nil // another apply took it for one that was left behind, and removed it
	}
	if err != nil || !started {
		return true, err
	}
	p.container = made
	return true, p.follow(ctx, made, p.task)
}

// goOn adopts the container that was found, waits for it, or makes room for another.
func (p *taskRun) goOn(ctx context.Context) (done bool, err error) {
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
	// The check comes before the removal, since the container shows what is left to do.
	if err := p.task.checkBeforeStart(ctx); err != nil {
		return false, err
	}
	cleared, err := p.clear(ctx, c)
	// If another apply has removed it first, that apply repeats the task.
	p.retry = cleared && owned && c.Status != cluster.StateCreated
	return false, err
}

// settled reports whether a bootstrapper that has ended has done this task. Its exit
// status and its log are believed only if the cluster shows the same. UCP's list of
// containers may lag behind, so it is read for as long as Pace.Consistent allows.
func (p *taskRun) settled(ctx context.Context, c Container) (bool, error) {
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
	began := time.Now() // not the container's end, which is by the engine's clock
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

// clear removes a container that has ended or was never started, so that its name is
// free for a new one; a record is renamed instead. It returns false if the container
// was gone already, or runs by now.
func (p *taskRun) clear(ctx context.Context, c Container) (bool, error) {
	if p.task.Keep != nil && p.task.Keep(c) {
		if kept, err := p.SetAside(ctx, c); kept || err != nil {
			return kept, err
		}
	}
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

// start starts the container that was just created, if its task is still needed.
// Another apply may have done the task while this one pulled images or waited; then
// start removes the container and returns false. From here on the container's name
// keeps other applies out.
func (p *taskRun) start(ctx context.Context, c Container) (bool, error) {
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
	// A cancel must not end this request: it would stay unknown whether the container
	// was started.
	startCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	if err := c.Start(startCtx); err != nil {
		return false, err
	}
	p.Runs++
	tflog.Info(ctx, "Bootstrapper is started", map[string]any{"container": c.Name, "id": c.ID, "image": c.Image, "hop": p.task.Name})
	return true, nil
}

// waitForBackup waits while another apply may be about to start its backup's
// container. That apply looks for our container as well, and gives way to it. A
// backup that runs is left to the task's StillNeeded.
func (p *taskRun) waitForBackup(ctx context.Context) error {
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

// waitForPhase2 waits for the end of a second phase whose first phase is gone. It
// still replaces containers, and a new bootstrapper would refuse to run beside it.
func (p *taskRun) waitForPhase2(ctx context.Context) error {
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
