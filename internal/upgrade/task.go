package upgrade

import (
	"context"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// upgraded reports whether the bootstrapper has done the hop and nothing of it is
// left to read.
func (r *run) upgraded(hop transition.Hop) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		_, found, err := r.runner.Find(ctx)
		if err != nil || found {
			return false, err
		}
		inventory, err := cluster.Inspect(ctx, r.cluster)
		if err != nil {
			return false, err
		}
		return inventory.At(hop.To), nil
	}
}

// upgrade has the bootstrapper do the hop.
func (r *run) upgrade(ctx context.Context, obs *Observation, hop transition.Hop) error {
	_, err := r.runner.Perform(ctx, runner.Task{
		Step: stepUpgrade, Name: hopName(hop),
		Spec: func(ctx context.Context) (ucp.CreateSpec, error) { return r.upgradeSpec(ctx, obs, hop) },
		Owns: func(c runner.Container) bool { return isForHop(c.Labels, hop) },
		Conflict: func(c runner.Container) error {
			if !c.Running() {
				return nil
			}
			return &ClusterChangedError{Hop: hop, Bootstrapper: cluster.Purpose(c.Labels)}
		},
		BeforeStart: func(ctx context.Context) error {
			if err := r.awaitMigrations(ctx, obs, hop); err != nil { // DTR may have started one since
				return err
			}
			return r.checkWindowBeforeStart(ctx, hop)
		},
		StillNeeded: func(ctx context.Context, retry bool) (bool, error) { return r.stillNeeded(ctx, hop, retry) },
		Problems: func(c runner.Container, i *cluster.Inventory) []cluster.Problem {
			return i.Problems(cluster.LabelledVersion(c.Labels, cluster.LabelTo))
		},
	})
	return err
}

func (r *run) upgradeSpec(ctx context.Context, obs *Observation, hop transition.Hop) (ucp.CreateSpec, error) {
	replica, _ := obs.ExistingReplica(r.o.ExistingReplicaID)
	login, err := r.runner.Login(ctx)
	if err != nil {
		return ucp.CreateSpec{}, err
	}
	args, env := bootstrap.UpgradeCommand(hop.To, bootstrap.UpgradeOptions{
		ExistingReplicaID: replica.ID, UCP: login, NoImageCheck: r.o.SkipChecks[preflight.Image],
	})
	spec := ucp.CreateSpec{
		Image:  r.o.Images.Bootstrapper(hop.To),
		Args:   args,
		Env:    env,
		Node:   replica.Node,
		Labels: map[string]string{cluster.LabelFrom: hop.From.String(), cluster.LabelTo: hop.To.String()},
	}
	return spec, r.migrationLabels(ctx, obs, hop, spec.Labels)
}

// stillNeeded reports whether the hop is still to be made. A *ClusterChangedError says
// that the cluster has changed, or that another bootstrapper is at work on it.
func (r *run) stillNeeded(ctx context.Context, hop transition.Hop, retry bool) (bool, error) {
	inventory, err := cluster.Inspect(ctx, r.cluster)
	if err != nil {
		return false, err
	}
	changed := &ClusterChangedError{Hop: hop, Versions: inventory.Versions()}
	for _, v := range changed.Versions {
		if !v.Equal(hop.From) && !v.Equal(hop.To) {
			return false, changed
		}
	}
	for _, c := range inventory.Bootstrappers {
		if c.Running() {
			changed.Bootstrapper = c.Name
			return false, changed
		}
	}
	return retry || !inventory.At(hop.To), nil
}

func (r *run) verify(ctx context.Context, hop transition.Hop) error {
	return cluster.Verification{Cluster: r.cluster, Pace: r.runner.Pace, Progress: &r.runner.Progress, Target: hop.To}.Run(ctx)
}

// removeEnded removes the containers of a name that have ended and are no records.
func (r *run) removeEnded(ctx context.Context, name string) error {
	for {
		c, found, err := r.runner.FindNamed(ctx, name)
		if err != nil || !found || c.Running() || cluster.IsRecord(c.Labels) {
			return err
		}
		if removed, err := r.runner.Remove(ctx, c); err != nil || !removed {
			return err
		}
	}
}
