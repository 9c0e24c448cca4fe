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
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// labelMigrated on the bootstrapper's container says that the metadata store had
// been migrated before the hop: DTR then has no migration to start.
const labelMigrated = "com.github.dtr-upgrade.metadata-store-migrated"

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

// matches says whether the container was made for the hop.
func matches(s containerState, hop transition.Hop) bool {
	to := labelledVersion(s.Labels, labelTo)
	return to != nil && to.Equal(hop.To)
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

// upgraded says whether the bootstrapper has done the hop and nothing of it is
// left to read.
func (r *run) upgraded(hop transition.Hop) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		_, found, err := r.findContainer(ctx)
		if err != nil || found {
			return false, err
		}
		inventory, err := Inspect(ctx, r.cluster)
		if err != nil {
			return false, err
		}
		return inventory.at(hop.To), nil
	}
}

// upgrade has the bootstrapper do the hop: it adopts the one that is at work, or
// starts one. The container stays until the hop is finished. It is the lock
// against a second run, and tells a later run what this one was about.
func (r *run) upgrade(ctx context.Context, obs *Observation, hop transition.Hop) error {
	again := false // this hop's bootstrapper failed: run it again even where all looks done
	unstarted := map[string]time.Time{}
	pause := newPause(r.pace.Poll)
	for {
		if err := r.waitForPhase2(ctx); err != nil {
			return err
		}
		state, found, err := r.findContainer(ctx)
		switch {
		case err != nil:
			return err
		case !found:
			if !again {
				if err := r.mayStart(ctx, hop); err != nil {
					return err
				}
			}
			state, err := r.create(ctx, obs, hop)
			if errdefs.IsConflict(err) {
				break // another apply was faster: look again
			}
			if err != nil {
				return err
			}
			started, err := r.start(ctx, state, hop, again)
			if errdefs.IsNotFound(err) {
				break // another apply took it for a left-over: look again
			}
			if err != nil || !started {
				return err
			}
			return r.follow(ctx, state)
		case state.live() && matches(state, hop):
			tflog.Info(ctx, "Bootstrapper is adopted", map[string]any{"container": state.Name, "id": state.ID, "hop": hopName(hop)})
			r.report.BootstrapperRuns++
			return r.follow(ctx, state)
		case state.live():
			return &MovedError{Hop: hop, Bootstrapper: state.Labels[labelTo]}
		case state.Status == "removing":
		case state.Status == "created" && r.mayBeStarted(unstarted, state.ID):
		default: // it has ended, or was never started
			ok, err := r.settled(ctx, state, hop)
			if err != nil || ok {
				return err
			}
			// Before that container is removed, which tells what is left to do.
			if err := r.mayStart(ctx, hop); err != nil {
				return err
			}
			removed, err := r.remove(ctx, state)
			if err != nil {
				return err
			}
			// Where another apply was faster to remove it, that one runs it again.
			again = removed && matches(state, hop) && state.Status != "created"
		}
		if err := pause.wait(ctx); err != nil {
			return &DetachedError{Step: stepUpgrade, Cause: err}
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
// hop. What it says is believed only together with what the cluster shows, for
// which UCP's inventory is given a moment to follow.
func (r *run) settled(ctx context.Context, state containerState, hop transition.Hop) (bool, error) {
	if !matches(state, hop) || state.Status == "created" {
		return false, nil
	}
	if err := r.verdict(ctx, state); err != nil {
		if ctx.Err() != nil {
			return false, &DetachedError{Step: stepUpgrade, Cause: context.Cause(ctx)}
		}
		tflog.Warn(ctx, "An earlier bootstrapper failed and is run again", map[string]any{"container": state.Name, "error": err.Error()})
		return false, nil
	}
	began := time.Now() // the engine's clock may be another
	pause := newPause(r.pace.Poll)
	for {
		inventory, err := Inspect(ctx, r.cluster)
		if err != nil {
			return false, err
		}
		if inventory.at(hop.To) {
			r.report.BootstrapperRuns++
			return true, nil
		}
		if time.Since(began) > r.pace.Consistent {
			tflog.Warn(ctx, "An earlier bootstrapper did not do all of its work and is run again", map[string]any{
				"container": state.Name, "problems": problemsText(inventory.Problems(hop.To)),
			})
			return false, nil
		}
		if err := pause.wait(ctx); err != nil {
			return false, &DetachedError{Step: stepUpgrade, Cause: err}
		}
	}
}

// create makes the container, which does nothing yet. A conflict of names is an
// error for which errdefs.IsConflict holds.
func (r *run) create(ctx context.Context, obs *Observation, hop transition.Hop) (containerState, error) {
	replica, _ := obs.existingReplica(r.o.ExistingReplicaID)
	login, err := r.login(ctx)
	if err != nil {
		return containerState{}, err
	}
	args, env := bootstrap.UpgradeCommand(hop.To, bootstrap.UpgradeOptions{
		ExistingReplicaID: replica.ID, UCP: login, NoImageCheck: r.o.SkipChecks[CheckImage],
	})
	spec := ucp.CreateSpec{
		Name: r.containerName, Image: bootstrap.Image(r.o.Repository, hop.To), Args: args, Env: env,
		Labels: map[string]string{labelFrom: hop.From.String(), labelTo: hop.To.String()},
	}
	if obs.migratedBefore() {
		spec.Labels[labelMigrated] = "true"
	}
	return r.make(ctx, obs, spec)
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

// make makes a container on the engine that runs the bootstrapper.
func (r *run) make(ctx context.Context, obs *Observation, spec ucp.CreateSpec) (containerState, error) {
	engine, err := r.runner(ctx)
	if err != nil {
		return containerState{}, err
	}
	spec.NetworkMode, spec.Node = r.cluster.NetworkMode, r.node(obs)
	spec.Labels[labelCluster], spec.Labels[labelProvider] = r.host, r.o.ProviderVersion
	id, err := engine.Create(ctx, spec)
	if err != nil {
		return containerState{}, fmt.Errorf("create container %s from image %s: %w", spec.Name, spec.Image, err)
	}
	made := ucp.ContainerState{ID: id, Name: spec.Name, Image: spec.Image, Status: "created", Labels: spec.Labels}
	return containerState{made, engine}, nil
}

// start starts the container that was just made, if the cluster is still where
// the hop begins. Much may have happened while images were pulled or another
// apply was waited for; from here on the container's name keeps other applies
// out. Where they have done the hop already, it returns false.
func (r *run) start(ctx context.Context, state containerState, hop transition.Hop, again bool) (bool, error) {
	due, err := r.stillDue(ctx, hop, again)
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
	tflog.Info(ctx, "Bootstrapper is started", map[string]any{"container": state.Name, "id": state.ID, "image": state.Image, "hop": hopName(hop)})
	return true, nil
}

// stillDue looks whether the hop is still to be made. A *MovedError says that the
// cluster is somewhere else by now, or that somebody else is at work on it.
func (r *run) stillDue(ctx context.Context, hop transition.Hop, again bool) (bool, error) {
	inventory, err := Inspect(ctx, r.cluster)
	if err != nil {
		return false, err
	}
	moved := &MovedError{Hop: hop, Versions: inventory.Versions()}
	for _, v := range moved.Versions {
		if !v.Equal(hop.From) && !v.Equal(hop.To) {
			return false, moved
		}
	}
	for _, c := range inventory.Bootstrappers {
		if running(c) {
			moved.Bootstrapper = c.Name
			return false, moved
		}
	}
	return again || !inventory.at(hop.To), nil
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

// tidy removes the container, from each engine that has one: the hop is finished
// and its log has been read. With the last hop what tells of the backup goes
// first, so that it never outlives the upgrade.
func (r *run) tidy(ctx context.Context, hop transition.Hop) error {
	if hop.To.Equal(r.o.Target) {
		if err := r.tidyBackup(ctx); err != nil {
			return err
		}
	}
	for {
		state, found, err := r.findContainer(ctx)
		if err != nil || !found || state.live() {
			return err
		}
		if removed, err := r.remove(ctx, state); err != nil || !removed {
			return err
		}
	}
}

// waitForPhase2 waits for a second phase whose first phase is gone: it goes on
// replacing containers, and a new bootstrapper would be refused beside it.
func (r *run) waitForPhase2(ctx context.Context) error {
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
			return &DetachedError{Step: stepUpgrade, Container: phase2Name, Cause: err}
		}
	}
}
