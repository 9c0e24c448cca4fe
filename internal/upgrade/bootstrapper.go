package upgrade

import (
	"context"
	"fmt"
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

// containerState is what the engine tells of the bootstrapper's container.
type containerState struct{ ucp.ContainerState }

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

// findContainer looks for the container of the bootstrapper's fixed name. One
// that somebody else made is an error: its name is the lock.
func (r *run) findContainer(ctx context.Context) (containerState, bool, error) {
	engine, err := r.runner(ctx)
	if err != nil {
		return containerState{}, false, err
	}
	state, err := engine.Container(ctx, r.containerName)
	switch {
	case errdefs.IsNotFound(err):
		return containerState{}, false, nil
	case err != nil:
		return containerState{}, false, fmt.Errorf("look for container %s: %w", r.containerName, err)
	case state.Labels[labelCluster] != r.host:
		return containerState{}, false, &ForeignContainerError{Container: r.containerName, Image: state.Image, Status: state.Status}
	}
	return containerState{state}, true, nil
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
	again := false // an earlier bootstrapper failed: run it again whatever the cluster looks like
	pause := newPause(r.pace.Poll)
	for {
		if err := r.waitForPhase2(ctx); err != nil {
			return err
		}
		state, found, err := r.findContainer(ctx)
		if err != nil {
			return err
		}
		switch {
		case !found:
			state, err = r.create(ctx, obs, hop)
			if errdefs.IsConflict(err) {
				break // another apply was faster: look again
			}
			if err != nil {
				return err
			}
			fallthrough
		case state.Status == "created" && matches(state, hop):
			if started, err := r.start(ctx, state, hop, again); err != nil || !started {
				return err
			}
			return r.follow(ctx, state)
		case state.live() && matches(state, hop):
			tflog.Info(ctx, "Bootstrapper is adopted", map[string]any{"container": state.Name, "id": state.ID, "hop": hopName(hop)})
			r.report.BootstrapperRuns++
			return r.follow(ctx, state)
		case state.live():
			return &ForeignContainerError{Container: r.containerName, Image: state.Image, Status: state.Status}
		case state.Status == "removing":
		default: // it has ended, or was never started for another hop
			ok, err := r.settled(ctx, state, hop)
			if err != nil || ok {
				return err
			}
			removed, err := r.remove(ctx, state.ID)
			if err != nil {
				return err
			}
			again = removed // else another apply has taken over
		}
		if err := pause.wait(ctx); err != nil {
			return &DetachedError{Step: stepUpgrade, Cause: err}
		}
	}
}

// settled reads how an earlier bootstrapper ended, and says whether it did this
// hop. What it says is believed only together with what the cluster shows, for
// which UCP's inventory is given a moment to follow.
func (r *run) settled(ctx context.Context, state containerState, hop transition.Hop) (bool, error) {
	if !matches(state, hop) {
		return false, nil
	}
	if err := r.verdict(ctx, state); err != nil {
		if ctx.Err() != nil {
			return false, &DetachedError{Step: stepUpgrade, Cause: context.Cause(ctx)}
		}
		tflog.Warn(ctx, "An earlier bootstrapper failed and is run again", map[string]any{"container": state.Name, "error": err.Error()})
		return false, nil
	}
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
		if time.Since(state.FinishedAt) > r.pace.Consistent {
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
	login := r.cluster.Login
	if login.CA == "" && !login.Insecure {
		ca, err := r.cluster.UCP.CA(ctx)
		if err != nil {
			return containerState{}, fmt.Errorf("read UCP's CA for the bootstrapper: %w", err)
		}
		login.CA = ca
	}
	engine, err := r.runner(ctx)
	if err != nil {
		return containerState{}, err
	}
	args, env := bootstrap.UpgradeCommand(hop.To, bootstrap.UpgradeOptions{
		ExistingReplicaID: replica.ID, UCP: login, NoImageCheck: r.o.SkipChecks[CheckImage],
	})
	spec := ucp.CreateSpec{
		Name:        r.containerName,
		Image:       bootstrap.Image(r.o.Repository, hop.To),
		Args:        args,
		Env:         env,
		NetworkMode: r.cluster.NetworkMode,
		Labels: map[string]string{
			labelCluster: r.host, labelFrom: hop.From.String(), labelTo: hop.To.String(), labelProvider: r.o.ProviderVersion,
		},
	}
	if r.cluster.Docker == nil {
		spec.Node = replica.Node
	}
	if obs.migratedBefore() {
		spec.Labels[labelMigrated] = "true"
	}
	id, err := engine.Create(ctx, spec)
	if err != nil {
		return containerState{}, fmt.Errorf("create container %s from image %s: %w", spec.Name, spec.Image, err)
	}
	return containerState{ucp.ContainerState{ID: id, Name: spec.Name, Image: spec.Image, Status: "created", Labels: spec.Labels}}, nil
}

// start starts the container, unless the hop was done by another apply before
// this one had the container's name, its lock.
func (r *run) start(ctx context.Context, state containerState, hop transition.Hop, again bool) (bool, error) {
	engine, err := r.runner(ctx)
	if err != nil {
		return false, err
	}
	if !again {
		inventory, err := Inspect(ctx, r.cluster)
		if err != nil {
			return false, err
		}
		if inventory.at(hop.To) {
			_, err := r.remove(ctx, state.ID)
			return false, err
		}
	}
	// From here on a cancelled apply must know what it leaves behind.
	startCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.pace.Outage)
	defer cancel()
	if err := engine.Start(startCtx, state.ID); err != nil {
		return false, fmt.Errorf("start container %s: %w", state.Name, err)
	}
	r.report.BootstrapperRuns++
	tflog.Info(ctx, "Bootstrapper is started", map[string]any{"container": state.Name, "id": state.ID, "image": state.Image, "hop": hopName(hop)})
	return true, nil
}

// remove removes a container that does not run. It returns false when it was
// gone already.
func (r *run) remove(ctx context.Context, id string) (bool, error) {
	engine, err := r.runner(ctx)
	if err != nil {
		return false, err
	}
	switch err := engine.Remove(ctx, id); {
	case errdefs.IsNotFound(err), errdefs.IsConflict(err): // gone, going, or started by another apply
		return false, nil
	case err != nil:
		return false, fmt.Errorf("remove container %s: %w", r.containerName, err)
	}
	return true, nil
}

// tidy removes the container: the hop is finished and its log has been read.
func (r *run) tidy(ctx context.Context) error {
	state, found, err := r.findContainer(ctx)
	if err != nil || !found || state.live() {
		return err
	}
	_, err = r.remove(ctx, state.ID)
	return err
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
