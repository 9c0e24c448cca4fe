package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// startLimit bounds the start of a container, which a cancelled apply waits for.
const startLimit = time.Minute

// containerState is what an engine tells of the bootstrapper's container.
type containerState struct {
	ucp.ContainerState
	engine *ucp.Engine // that has it
}

func (s containerState) live() bool {
	switch s.Status {
	case "running", "restarting", "paused":
		return true
	}
	return false
}

// engines are those that may have the bootstrapper's container: UCP, and the one
// that the provider names. An earlier apply may have been set to the other.
func (r *run) engines(ctx context.Context) ([]*ucp.Engine, error) {
	runner, err := r.runner(ctx)
	if err != nil {
		return nil, err
	}
	if r.cluster.Docker == nil {
		return []*ucp.Engine{runner}, nil
	}
	through, err := r.cluster.UCP.Engine(ctx)
	if err != nil {
		return nil, err
	}
	return []*ucp.Engine{runner, through}, nil
}

// findContainer looks for the bootstrapper's container.
func (r *run) findContainer(ctx context.Context) (containerState, bool, error) {
	return r.find(ctx, r.containerName)
}

// find looks for the container of a fixed name, on every engine that may have it;
// one that is at work comes first. One that somebody else made is an error: its
// name is the lock.
func (r *run) find(ctx context.Context, name string) (containerState, bool, error) {
	engines, err := r.engines(ctx)
	if err != nil {
		return containerState{}, false, err
	}
	var found []containerState
	for _, engine := range engines {
		state, err := engine.Container(ctx, name)
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return containerState{}, false, fmt.Errorf("look for container %s: %w", name, err)
		case state.Labels[labelCluster] != r.host:
			return containerState{}, false, &ForeignContainerError{Container: name, Image: state.Image, Status: state.Status}
		default:
			found = append(found, containerState{state, engine})
		}
	}
	if len(found) == 0 {
		return containerState{}, false, nil
	}
	return found[max(0, slices.IndexFunc(found, containerState.live))], true, nil
}

// task is what the bootstrapper is run for.
type task struct {
	step, name string // of the run's step and of the whole, for errors and the log

	// spec is the container, but for what all of them have. What it returns as an
	// error was found before anything was made.
	spec func(context.Context) (ucp.CreateSpec, error)
	// mine says whether a container was made for this very task.
	mine func(containerState) bool
	// busy is the error for a container of ours that was made for something else,
	// and that must neither be waited for, if it runs, nor be cleared away.
	busy func(containerState) error
	// due looks, once the name is ours, whether the task is still to be done; again
	// says that a bootstrapper has failed at it.
	due func(ctx context.Context, again bool) (bool, error)
	// mayStart is the last look before a container is made for the task, or one that
	// tells what is left of it is cleared away; nil where nothing may hold it back.
	mayStart func(context.Context) error
	// problems are what the cluster shows to be left of the task that a container
	// was made for.
	problems func(containerState, *Inventory) []Problem
	// once says that a task that the cluster shows to be done is not done again,
	// even where its bootstrapper says that it failed.
	once bool
	// undo takes back what a bootstrapper has left half done, before it is run
	// again; nil where running it again is enough.
	undo func(context.Context, containerState) error
}

func (t task) begin(ctx context.Context) error {
	if t.mayStart == nil {
		return nil
	}
	return t.mayStart(ctx)
}

// perform has the bootstrapper do the task: it adopts the one that is at work,
// or starts one. The container stays until the task is finished. It is the lock
// against a second run, and tells a later run what this one was about. It is
// returned, unless the task was done without one.
func (r *run) perform(ctx context.Context, t task) (containerState, error) {
	again := false // this task's bootstrapper failed: run it again even where all looks done
	unstarted := map[string]time.Time{}
	pause := newPause(r.pace.Poll)
	for {
		if err := r.waitForPhase2(ctx, t); err != nil {
			return containerState{}, err
		}
		state, found, err := r.findContainer(ctx)
		switch {
		case err != nil:
			return containerState{}, err
		case !found:
			taken, err := r.takeUp(ctx, t)
			if err != nil {
				return containerState{}, err
			}
			if taken {
				continue
			}
			if !again {
				if err := t.begin(ctx); err != nil {
					return containerState{}, err
				}
			}
			state, err := r.create(ctx, t)
			if errdefs.IsConflict(err) {
				break // another apply was faster: look again
			}
			if err != nil {
				return containerState{}, err
			}
			started, err := r.start(ctx, state, t, again)
			if errdefs.IsNotFound(err) {
				break // another apply took it for a left-over: look again
			}
			if err != nil || !started {
				return containerState{}, err
			}
			return state, r.follow(ctx, state, t)
		case state.live() && t.mine(state):
			tflog.Info(ctx, "Bootstrapper is adopted", map[string]any{"container": state.Name, "id": state.ID, "hop": t.name})
			r.report.BootstrapperRuns++
			return state, r.follow(ctx, state, t)
		case state.Status == "removing":
		case state.Status == "created" && r.mayBeStarted(unstarted, state.ID):
		case state.Status != "created" && !t.mine(state) && t.busy(state) != nil:
			return state, t.busy(state)
		case state.live():
		default: // it has ended, or was never started
			ok, err := r.settled(ctx, state, t)
			if err != nil || ok {
				return state, err
			}
			// Before that container is removed, which tells what is left to do.
			if err := t.begin(ctx); err != nil {
				return containerState{}, err
			}
			removed, err := r.clear(ctx, state, t)
			if err != nil {
				return containerState{}, err
			}
			// Where another apply was faster to remove it, that one runs it again.
			again = removed && t.mine(state) && state.Status != "created"
		}
		if err := pause.wait(ctx); err != nil {
			return state, &DetachedError{Step: t.step, Cause: err}
		}
	}
}

// mayBeStarted says whether a container that was only made may belong to another
// apply that is about to start it. One that stays so belongs to an apply that was
// killed; it is made anew, with what this apply was told.
func (r *run) mayBeStarted(firstSeen map[string]time.Time, id string) bool {
	if _, seen := firstSeen[id]; !seen {
		firstSeen[id] = time.Now()
	}
	return time.Since(firstSeen[id]) < r.pace.Consistent
}

// settled reads how an earlier bootstrapper ended, and says whether it did this
// task. What it says is believed only together with what the cluster shows, for
// which UCP's inventory is given a moment to follow.
func (r *run) settled(ctx context.Context, state containerState, t task) (bool, error) {
	if !t.mine(state) || state.Status == "created" {
		return false, nil
	}
	patience := r.pace.Consistent
	if err := r.verdict(ctx, state, t); err != nil {
		if ctx.Err() != nil {
			return false, &DetachedError{Step: t.step, Cause: context.Cause(ctx)}
		}
		tflog.Warn(ctx, "An earlier bootstrapper failed", map[string]any{"container": state.Name, "error": err.Error()})
		if !t.once {
			return false, nil
		}
		patience = 0
	}
	began := time.Now() // the engine's clock may be another
	pause := newPause(r.pace.Poll)
	for {
		inventory, err := Inspect(ctx, r.cluster)
		if err != nil {
			return false, err
		}
		problems := t.problems(state, inventory)
		if len(problems) == 0 {
			r.report.BootstrapperRuns++
			return true, nil
		}
		if time.Since(began) >= patience {
			tflog.Warn(ctx, "An earlier bootstrapper did not do all of its work and is run again", map[string]any{
				"container": state.Name, "problems": problemsText(problems),
			})
			return false, nil
		}
		if err := pause.wait(ctx); err != nil {
			return false, &DetachedError{Step: t.step, Cause: err}
		}
	}
}

// create makes the container, which does nothing yet. A conflict of names is an
// error for which errdefs.IsConflict holds.
func (r *run) create(ctx context.Context, t task) (containerState, error) {
	spec, err := t.spec(ctx)
	if err != nil {
		return containerState{}, err
	}
	spec.Name = r.containerName
	return r.make(ctx, spec)
}

// login is what a bootstrapper is given to reach UCP with.
func (r *run) login(ctx context.Context) (bootstrap.UCP, error) {
	login := r.cluster.Login
	if login.CA == "" && !login.Insecure {
		ca, err := r.cluster.UCP.CA(ctx)
		if err != nil {
			return login, fmt.Errorf("read UCP's CA for the bootstrapper: %w", err)
		}
		login.CA = ca
	}
	return login, nil
}

// make makes a container on the engine that runs the bootstrapper. One that the
// provider names has no nodes.
func (r *run) make(ctx context.Context, spec ucp.CreateSpec) (containerState, error) {
	engine, err := r.runner(ctx)
	if err != nil {
		return containerState{}, err
	}
	spec.NetworkMode = r.cluster.NetworkMode
	if r.cluster.Docker != nil {
		spec.Node = ""
	}
	spec.Labels[labelCluster], spec.Labels[labelProvider] = r.host, r.o.ProviderVersion
	id, err := engine.Create(ctx, spec)
	if err != nil {
		return containerState{}, fmt.Errorf("create container %s from image %s: %w", spec.Name, spec.Image, err)
	}
	made := ucp.ContainerState{ID: id, Name: spec.Name, Image: spec.Image, Status: "created", Labels: spec.Labels}
	return containerState{made, engine}, nil
}

// start starts the container that was just made, if its task is still due. Much
// may have happened while images were pulled or another apply was waited for;
// from here on the container's name keeps other applies out. Where they have done
// the task already, it returns false.
func (r *run) start(ctx context.Context, state containerState, t task, again bool) (bool, error) {
	err := r.awaitBackup(ctx, t)
	due := false
	if err == nil {
		due, err = t.due(ctx, again)
	}
	if err != nil || !due {
		dropCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
		defer cancel()
		_, dropErr := r.remove(dropCtx, state)
		return false, errors.Join(err, dropErr)
	}
	// From here on a cancelled apply must know what it leaves behind.
	startCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	if err := state.engine.Start(startCtx, state.ID); err != nil {
		return false, fmt.Errorf("start container %s: %w", state.Name, err)
	}
	r.report.BootstrapperRuns++
	tflog.Info(ctx, "Bootstrapper is started", map[string]any{"container": state.Name, "id": state.ID, "image": state.Image, "hop": t.name})
	return true, nil
}

// awaitBackup waits while a backup's container is there that another apply may be
// about to start. That one looks for ours likewise, and gives way. What runs by
// then is a matter of the task.
func (r *run) awaitBackup(ctx context.Context, t task) error {
	firstSeen := map[string]time.Time{}
	pause := newPause(r.pace.Poll)
	for {
		state, found, err := r.find(ctx, backupName(r.host))
		if err != nil || !found || state.Status != "created" || !r.mayBeStarted(firstSeen, state.ID) {
			return err
		}
		if err := pause.wait(ctx); err != nil {
			return &DetachedError{Step: t.step, Cause: err}
		}
	}
}

// clear makes room for a new container where one is that has ended, or that was
// never started. It returns false when that was gone already, or runs by now.
func (r *run) clear(ctx context.Context, state containerState, t task) (bool, error) {
	switch {
	case state.Status == "created":
	case t.mine(state) && t.undo != nil:
		if err := t.undo(ctx, state); err != nil {
			return false, err
		}
	case !t.mine(state) && isRecord(state.Labels):
		return r.setAside(ctx, state)
	}
	return r.remove(ctx, state)
}

// remove removes a container that does not run. It returns false when it was
// gone already, or runs by now.
func (r *run) remove(ctx context.Context, state containerState) (bool, error) {
	switch err := state.engine.Remove(ctx, state.ID); {
	case errdefs.IsNotFound(err), errdefs.IsConflict(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("remove container %s: %w", state.Name, err)
	}
	return true, nil
}

// waitForPhase2 waits for a second phase whose first phase is gone: it goes on
// replacing containers, and a new bootstrapper would be refused beside it.
func (r *run) waitForPhase2(ctx context.Context, t task) error {
	pause := newPause(r.pace.Poll)
	for {
		inventory, err := Inspect(ctx, r.cluster)
		if err != nil {
			return err
		}
		orphaned := false
		for _, c := range inventory.Bootstrappers {
			orphaned = orphaned || baseName(c.Name) == phase2Name && running(c)
		}
		if state, found, err := r.findContainer(ctx); err != nil || !orphaned || found && state.live() {
			return err
		}
		tflog.Info(ctx, "The second phase of an earlier bootstrapper is still at work", map[string]any{"container": phase2Name})
		if err := pause.wait(ctx); err != nil {
			return &DetachedError{Step: t.step, Container: phase2Name, Cause: err}
		}
	}
}
