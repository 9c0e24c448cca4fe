package upgrade

import (
	"context"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// labelMigrated on the bootstrapper's container says that the metadata store had
// been migrated before the hop: DTR then has no migration to start.
const labelMigrated = "com.github.dtr-upgrade.metadata-store-migrated"

// matches says whether the container was made for the hop.
func matches(s containerState, hop transition.Hop) bool { return isForHop(s.Labels, hop) }

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

// upgrade has the bootstrapper do the hop.
func (r *run) upgrade(ctx context.Context, obs *Observation, hop transition.Hop) error {
	_, err := r.perform(ctx, r.upgradeTask(obs, hop))
	return err
}

func (r *run) upgradeTask(obs *Observation, hop transition.Hop) task {
	return task{
		step: stepUpgrade, name: hopName(hop),
		spec: func(ctx context.Context) (ucp.CreateSpec, error) { return r.upgradeSpec(ctx, obs, hop) },
		mine: func(s containerState) bool { return matches(s, hop) },
		busy: func(s containerState) error {
			if !s.live() {
				return nil
			}
			return &MovedError{Hop: hop, Bootstrapper: purpose(s.Labels)}
		},
		mayStart: func(ctx context.Context) error { return r.mayStart(ctx, hop) },
		due:      func(ctx context.Context, again bool) (bool, error) { return r.stillDue(ctx, hop, again) },
		problems: func(s containerState, i *Inventory) []Problem { return i.Problems(labelledVersion(s.Labels, labelTo)) },
	}
}

func (r *run) upgradeSpec(ctx context.Context, obs *Observation, hop transition.Hop) (ucp.CreateSpec, error) {
	replica, _ := obs.existingReplica(r.o.ExistingReplicaID)
	login, err := r.login(ctx)
	if err != nil {
		return ucp.CreateSpec{}, err
	}
	args, env := bootstrap.UpgradeCommand(hop.To, bootstrap.UpgradeOptions{
		ExistingReplicaID: replica.ID, UCP: login, NoImageCheck: r.o.SkipChecks[CheckImage],
	})
	spec := ucp.CreateSpec{
		Image:  bootstrap.Image(r.o.Repository, hop.To),
		Args:   args,
		Env:    env,
		Node:   replica.Node,
		Labels: map[string]string{labelFrom: hop.From.String(), labelTo: hop.To.String()},
	}
	earlier, _ := obs.bootstrapper() // of an attempt that broke off, and whose replicas answer otherwise by now
	if obs.migratedBefore() || earlier.Labels[labelMigrated] == "true" {
		spec.Labels[labelMigrated] = "true"
	}
	return spec, nil
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
		if err != nil || !found || state.live() || isRecord(state.Labels) {
			return err
		}
		if removed, err := r.remove(ctx, state); err != nil || !removed {
			return err
		}
	}
}
