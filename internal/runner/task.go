package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Task is one piece of work for the bootstrapper: a hop, a join, a removal or a backup.
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
	// CheckImage refuses a container that was made from another image than was checked
	// before: a tag can be moved in between. nil accepts any.
	CheckImage func(context.Context, Container) error
	// StillNeeded reports whether the task is still to be done. It is called between
	// the container's creation and its start, when no other apply can start one.
	StillNeeded func(ctx context.Context, earlier Earlier) (bool, error)
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
	// RollBack undoes what a bootstrapper has left half done, before it is run again. It
	// keeps what turns out to be whole, and then the task is done. nil if running the
	// bootstrapper again is enough.
	RollBack func(context.Context, Container) (kept bool, err error)
	// Keep reports whether a container is to be renamed instead of removed, since its
	// labels tell what would be lost before another one has them; nil keeps none.
	Keep func(Container) bool
	// Run starts the container, by Runner.Start, and sees it to its end; it is not
	// counted among the runs. nil starts it and follows its log.
	Run func(context.Context, Container) error
}

// Earlier is what is known of an earlier bootstrapper for a task.
type Earlier struct {
	// Failed says that it failed: what it has left undone need not be shown.
	Failed bool
	// Undone says that the cluster showed work to do after that. If it no longer does,
	// another bootstrapper has done the task.
	Undone bool
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
// *BootstrapperError, a *ForeignContainerError, a *BlockedError, a *NodeDownError, a
// *wait.DetachedError, those of the task's functions and those of the clients.
func (r *Runner) Perform(ctx context.Context, t Task) (Container, error) {
	p := &taskRun{Runner: r, task: t, starting: r.NewStarting(), nonces: map[string]bool{}, blocked: wait.Lasting{Limit: r.Pace.Consistent}, ownerless: wait.Lasting{Limit: r.Pace.Consistent}}
	err := wait.Until(ctx, r.Pace, p.next)
	if err != nil && ctx.Err() != nil {
		err = wait.Detached(ctx, t.Step, err)
		if detached, ok := errors.AsType[*wait.DetachedError](err); ok && detached.Container == "" && p.container.ID != "" {
			detached.Seen = []string{fmt.Sprintf("container %s is %s (%s)", p.container.Name, p.container.Status, cluster.Purpose(p.container.Labels))}
		}
	}
	return p.container, err
}

// taskRun is the work on one task.
type taskRun struct {
	*Runner
	task      Task
	starting  *Starting
	nonces    map[string]bool // of the containers that this run has asked for
	earlier   Earlier         // that this run has cleared away to repeat the task
	container Container
	blockedBy string // the reason of the last blockedError
	blocked   wait.Lasting
	ownerless wait.Lasting // what stands in UCP for a container on this run's engine that is not there
}

// blockedError is what keeps the next step from being taken. Another apply may have
// been faster; it is an error of the run only if it lasts.
type blockedError struct {
	error
	reason string
}

// next takes the next step of the task. It returns false to be called again after a
// pause: another apply was faster, or has to be waited for. An outage is an error that
// is not marked.
func (p *taskRun) next(ctx context.Context) (done bool, err error) {
	if err := p.waitForPhase2(ctx, 0); err != nil {
		return false, wait.Fail(err)
	}
	c, found, err := p.find(ctx)
	if err == nil { // else the one of the last look is what is known
		p.container = c
	}
	switch {
	case err != nil:
	case found:
		done, err = p.goOn(ctx)
	default:
		done, err = p.begin(ctx)
	}
	blocked, isBlocked := errors.AsType[*blockedError](err)
	if !isBlocked || blocked.reason != p.blockedBy {
		p.blocked.Seen(false)
	}
	switch {
	case isBlocked:
		if p.blockedBy = blocked.reason; p.blocked.Seen(true) {
			return false, wait.Fail(blocked.error)
		}
		log.Info(ctx, "The bootstrapper's container cannot be made yet", map[string]any{"reason": blocked.Error()})
		return false, nil
	case err != nil && !MayPass(err):
		return false, wait.Fail(err)
	}
	return done, err
}

// find is Find that tells of a node that is down.
func (p *taskRun) find(ctx context.Context) (Container, bool, error) {
	c, found, err := p.Find(ctx)
	if err != nil && MayPass(err) {
		err = p.nodeDown(ctx, p.ContainerName(), err)
	}
	return c, found, err
}

// MayPass reports whether the error of a look is an outage, or comes of a list of
// containers that is not complete yet.
func MayPass(err error) bool {
	_, shownNone := errors.AsType[*cluster.NoReplicasError](err)
	_, down := errors.AsType[*NodeDownError](err)
	_, detached := errors.AsType[*wait.DetachedError](err)
	return !detached && (shownNone || down || wait.IsOutage(err))
}

// Outlast is wait.Outlast for what looks at the replicas.
func Outlast(ctx context.Context, pace wait.Pace, do func(context.Context) error) error {
	return wait.Outlast(ctx, pace, MayPass, do)
}

// failUnlessOutage marks what is no outage as final, for a look of wait.Until.
func failUnlessOutage(err error) error {
	if err == nil || MayPass(err) {
		return err
	}
	return wait.Fail(err)
}

// begin starts a bootstrapper where there is no container.
func (p *taskRun) begin(ctx context.Context) (done bool, err error) {
	takenUp, err := p.takeUp(ctx, p.task)
	if err != nil || takenUp {
		return false, err
	}
	if !p.earlier.Failed { // else it was checked before that one was cleared away
		if err := p.task.checkBeforeStart(ctx); err != nil {
			return false, err
		}
		if err := p.recall(ctx); err != nil {
			return false, err
		}
	}
	spec, err := p.task.Spec(ctx)
	if err != nil {
		return false, err
	}
	spec.Name = p.ContainerName()
	made, err := p.Create(ctx, spec)
	p.nonces[spec.Labels[cluster.LabelNonce]] = true
	_, taken := errors.AsType[*BlockedError](err)
	switch {
	case taken, errdefs.IsConflict(err), answered(err) && MayPass(err): // another apply was faster, or the engine is not ready
		return false, &blockedError{err, "create"}
	case err != nil:
		return false, err
	}
	return p.launch(ctx, made)
}

// recall finds out about a bootstrapper that failed and was renamed by an apply that was
// ended before it could repeat the task.
func (p *taskRun) recall(ctx context.Context) error {
	if p.task.Keep == nil {
		return nil
	}
	c, found, err := p.FindNamed(ctx, p.EarlierName())
	if err != nil || !found || !c.Ended() || !p.task.Owns(c) {
		return err
	}
	undone, err := p.showsUndone(ctx, c)
	if err == nil {
		p.earlier = Earlier{Failed: true, Undone: undone}
	}
	return err
}

// answered reports whether the error of a request is an answer to it.
func answered(err error) bool {
	_, unreachable := errors.AsType[*endpoint.UnreachableError](err)
	_, unusable := errors.AsType[*endpoint.ResponseError](err)
	return err != nil && !unreachable && !unusable
}

// launch starts a container that this run has created, and waits for its end.
func (p *taskRun) launch(ctx context.Context, c Container) (done bool, err error) {
	p.container = Container{}
	if taken, err := p.othersFirst(ctx, c); err != nil || taken != nil {
		if err = errors.Join(err, p.drop(ctx, c)); err == nil {
			err = taken
		}
		return false, err
	}
	needed, err := p.needed(ctx, c)
	if err != nil || !needed {
		return err == nil, err
	}
	if p.task.Run != nil {
		err = p.task.Run(ctx, c)
		return err == nil, wait.Fail(err)
	}
	if err := p.Start(ctx, c); errdefs.IsNotFound(err) { // another apply took it for one that was left behind, and removed it
		p.letGo(ctx, c.Labels)
		return false, &blockedError{err, "start"}
	} else if err != nil {
		return false, err
	}
	p.Runs++
	log.Info(ctx, "Bootstrapper "+c.Image+" is started", map[string]any{"container": c.Name, "id": c.ID, "image": c.Image, "hop": p.task.Name})
	p.container = c
	return p.seeOut(ctx, c)
}

// goOn adopts the container that was found, waits for it, or makes room for another.
func (p *taskRun) goOn(ctx context.Context) (done bool, err error) {
	c, owned := p.container, p.task.Owns(p.container)
	switch {
	case c.Running() && owned:
		log.Info(ctx, "Bootstrapper "+c.Image+" runs already, and is followed", map[string]any{"container": c.Name, "id": c.ID, "hop": p.task.Name})
		p.Runs++
		return p.seeOut(ctx, c)
	case c.Status == cluster.StateCreated && p.nonces[c.Labels[cluster.LabelNonce]]: // the answer to its creation, or to its start, was lost
		return p.launch(ctx, c)
	case c.Status == cluster.StateRemoving:
		return false, &blockedError{&BlockedError{Container: c.Name, Status: c.Status}, c.ID + c.Status}
	case p.starting.Is(c):
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
	if cluster.IsBackup(c.Labels) {
		log.Warn(ctx, "A backup was broken off; its container is removed", map[string]any{"container": c.Name, "file": c.Labels[cluster.LabelBackup]})
	}
	// The check comes before the removal, since the container shows what is left to do.
	if err := p.task.checkBeforeStart(ctx); err != nil {
		return false, err
	}
	if owned && p.task.RollBack != nil && c.Status != cluster.StateCreated {
		kept, err := p.task.RollBack(ctx, c)
		if err != nil {
			return false, wait.Fail(err)
		}
		if kept {
			p.Runs++
			return true, nil
		}
	}
	earlier := Earlier{Failed: owned && c.Status != cluster.StateCreated}
	if earlier.Failed {
		if earlier.Undone, err = p.showsUndone(ctx, c); err != nil {
			return false, err
		}
	}
	cleared, err := p.clear(ctx, c)
	if p.earlier = (Earlier{}); cleared { // else another apply has removed it first, and repeats the task
		p.earlier = earlier
	}
	return false, err
}

// showsUndone reports whether the cluster shows a container of before the task that c
// was made for. One that is missing may only not be shown.
func (p *taskRun) showsUndone(ctx context.Context, c Container) (bool, error) {
	inventory, err := cluster.Inspect(ctx, p.Cluster)
	if err != nil {
		return false, err
	}
	target := cluster.LabelledVersion(c.Labels, cluster.LabelTo)
	return target != nil && slices.ContainsFunc(inventory.Versions(), func(v *semver.Version) bool { return !v.Equal(target) }), nil
}

// settled reports whether a bootstrapper that has ended has done this task. Its exit
// status and its log are believed only if the cluster shows the same. UCP's list of
// containers may lag behind one that has ended just now, and be incomplete at any
// time: then it is read for as long as Pace.Consistent allows.
func (p *taskRun) settled(ctx context.Context, c Container) (bool, error) {
	if !p.task.Owns(c) || c.Status == cluster.StateCreated {
		return false, nil
	}
	now, failure := p.exitError(ctx, c)
	if failure != nil {
		if ctx.Err() != nil {
			return false, &wait.DetachedError{Step: p.task.Step, Cause: context.Cause(ctx)}
		}
		log.Warn(ctx, "An earlier bootstrapper failed", map[string]any{"container": c.Name, "error": failure.Error()})
		if !p.task.SkipIfDone {
			return false, nil
		}
	}
	lasting, foreign := wait.Lasting{Limit: p.Pace.Consistent}, wait.Lasting{Limit: p.Pace.Consistent}
	var problems []cluster.Problem
	err := wait.Until(ctx, p.Pace, func(ctx context.Context) (bool, error) {
		inventory, err := cluster.Inspect(ctx, p.Cluster)
		if err != nil {
			return false, failUnlessOutage(err)
		}
		disowned := inventory.Disowned(c.ID)
		if foreign.Seen(disowned) {
			return false, wait.Fail(&ForeignContainerError{Container: c.Name, Image: c.Image, Status: c.Status})
		}
		if disowned {
			return false, nil
		}
		problems = p.task.Problems(c, inventory)
		doubtful := failure == nil && (c.endedWithin(p.Pace.Consistent, now) || incomplete(inventory))
		return len(problems) == 0 || !doubtful || lasting.Seen(true), nil
	})
	if err != nil {
		return false, wait.Fail(wait.Detached(ctx, p.task.Step, err))
	}
	if len(problems) > 0 {
		log.Warn(ctx, "An earlier bootstrapper did not do all of its work", map[string]any{
			"container": c.Name, "problems": cluster.ProblemsText(problems),
		})
		return false, nil
	}
	p.Runs++
	return true, nil
}

// endedWithin reports whether the container ended so short a time ago, by the clock of
// its node. If that is not known, it is zero, and what has ended counts as having done so just now.
func (c Container) endedWithin(d time.Duration, now time.Time) bool {
	return now.Sub(c.FinishedAt) < d
}

// incomplete reports whether UCP does not show all containers of the replicas that DTR
// lists.
func incomplete(i *cluster.Inventory) bool {
	return slices.ContainsFunc(i.Replicas, func(r cluster.Replica) bool { return r.Listed && len(r.Missing()) > 0 })
}

// clear removes a container that has ended or was never started, so that its name is
// free for a new one; a record is renamed instead. It returns false if another apply
// was faster, and a *blockedError if the container runs by now or cannot be removed.
func (p *taskRun) clear(ctx context.Context, c Container) (bool, error) {
	if p.task.Keep != nil && p.task.Keep(c) {
		if kept, err := p.SetAside(ctx, c); kept || err != nil {
			return kept, err
		}
	}
	if c.Status != cluster.StateCreated && !p.task.Owns(c) && cluster.IsRecord(c.Labels) {
		aside, err := p.SetAside(ctx, c)
		if !aside && err == nil {
			err = &blockedError{&BlockedError{Container: c.Name, Status: c.Status, Err: errors.New("it is kept, and cannot be renamed")}, c.ID + c.Status}
		}
		return aside, err
	}
	switch err := p.remove(ctx, c); {
	case errdefs.IsNotFound(err):
		return false, nil
	case err != nil && answered(err):
		return false, &blockedError{&BlockedError{Container: c.Name, Status: c.Status, Err: err}, c.ID + c.Status}
	case err != nil:
		return false, err
	}
	return true, nil
}

// needed reports whether the task of the container that was just created is still
// needed. Another apply may have done the task while this one pulled images or waited;
// then needed removes the container and returns false. From here on the container's
// name keeps other applies out.
func (p *taskRun) needed(ctx context.Context, c Container) (needed bool, err error) {
	if p.earlier.Failed { // the second phase of the one that failed may not be shown
		err = p.waitForPhase2(ctx, p.Pace.Consistent)
	}
	if err == nil && p.task.CheckImage != nil {
		err = wait.Confirm(ctx, p.Pace, func(ctx context.Context) error { return p.task.CheckImage(ctx, c) }, MayPass)
	}
	if err == nil {
		err = wait.Confirm(ctx, p.Pace, func(ctx context.Context) (err error) {
			needed, err = p.task.StillNeeded(ctx, p.earlier)
			return err
		}, MayPass)
	}
	if err != nil || !needed {
		if err = errors.Join(err, p.drop(ctx, c)); err != nil {
			err = wait.Fail(err)
		}
		return false, err
	}
	return true, nil
}

// Start starts a container, and finds out whether it was started where the answer to
// that is lost. A cancel does not end it: it would stay unknown.
func (r *Runner) Start(ctx context.Context, c Container) error {
	ctx = context.WithoutCancel(ctx)
	startCtx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err := c.start(startCtx)
	if err == nil || errdefs.IsNotFound(err) {
		return err
	}
	return r.startedAllTheSame(ctx, c, err)
}

// drop removes a container that is not to be started, also after a cancel.
func (r *Runner) drop(ctx context.Context, c Container) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	_, err := r.Remove(ctx, c)
	return err
}

// startedAllTheSame looks whether a container runs, or has run, although the request
// to start it failed: its answer may have been lost. If it was not started, the error
// is that of the request; if that was refused, the container is removed.
func (r *Runner) startedAllTheSame(ctx context.Context, c Container, failure error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	idle := wait.Lasting{Limit: r.Pace.Consistent}
	err := wait.Until(ctx, r.Pace, func(ctx context.Context) (bool, error) {
		now, err := c.Look(ctx)
		switch {
		case err != nil:
			return false, err
		case now.Running(), !now.StartedAt.IsZero():
			return true, nil
		case idle.Seen(true):
			return false, wait.Fail(failure)
		}
		return false, nil
	})
	if errors.Is(err, failure) && answered(failure) {
		return wait.Fail(errors.Join(err, r.drop(ctx, c)))
	}
	return err
}

// waitForPhase2 waits for the end of a second phase whose first phase is gone. It
// still replaces containers, and a new bootstrapper would refuse to run beside it. A
// node that is down with it is an outage, whose *NodeDownError names the node. None is
// believed to be there once no look has seen one for so long.
func (p *taskRun) waitForPhase2(ctx context.Context, unseen time.Duration) error {
	orphaned, gone := false, wait.Lasting{Limit: unseen}
	err := wait.Until(ctx, p.Pace, func(ctx context.Context) (bool, error) {
		inventory, err := cluster.Inspect(ctx, p.Cluster)
		if err != nil {
			return false, failUnlessOutage(err)
		}
		i := slices.IndexFunc(inventory.Bootstrappers, func(c ucp.Container) bool { return cluster.IsPhase2(c) && (c.Running() || c.Lost()) })
		if orphaned = i >= 0; !orphaned {
			if err := p.atWorkElsewhere(ctx, inventory); err != nil {
				return false, err
			}
			return gone.Seen(true), nil
		}
		gone.Seen(false)
		first, found, err := p.find(ctx)
		phase2 := inventory.Bootstrappers[i]
		switch {
		case found && first.Running():
			return true, nil
		case phase2.Lost():
			return false, &NodeDownError{Container: cluster.Phase2Name, Node: phase2.Node, Err: err}
		case err != nil:
			return false, failUnlessOutage(err)
		}
		log.Info(ctx, "The second phase of an earlier bootstrapper, container "+cluster.Phase2Name+", is still at work", map[string]any{"container": cluster.Phase2Name})
		return false, nil
	})
	if err != nil && ctx.Err() != nil && orphaned {
		return &wait.DetachedError{Step: p.task.Step, Container: cluster.Phase2Name, Cause: context.Cause(ctx), LastError: wait.LastError(ctx, err)}
	}
	return wait.Detached(ctx, p.task.Step, err)
}
