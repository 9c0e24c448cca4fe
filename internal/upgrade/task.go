package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// upgraded reports whether the bootstrapper has done the hop and nothing of it is
// left to read.
func (r *run) upgraded(hop transition.Hop) func(context.Context) (bool, error) {
	return func(ctx context.Context) (done bool, err error) {
		err = runner.Outlast(ctx, r.runner.Pace, func(ctx context.Context) error {
			for _, name := range []string{r.runner.ContainerName(), r.runner.EarlierName()} {
				c, found, err := r.runner.FindNamed(ctx, name)
				if err != nil || found && (name == r.runner.ContainerName() || isForHop(c.Labels, hop)) {
					return err
				}
			}
			inventory, err := cluster.Inspect(ctx, r.cluster)
			done = err == nil && inventory.At(hop.To) && !inventory.HiddenElsewhere() // which is waited for
			return err
		})
		return done, err
	}
}

// upgrade has the bootstrapper do the hop.
func (r *run) upgrade(ctx context.Context, obs *Observation, hop transition.Hop) error {
	_, err := r.runner.Perform(ctx, runner.Task{
		Step: stepUpgrade, Name: hopName(hop),
		Spec:     func(ctx context.Context) (ucp.CreateSpec, error) { return r.upgradeSpec(ctx, obs, hop) },
		Owns:     func(c runner.Container) bool { return isForHop(c.Labels, hop) },
		Keep:     func(c runner.Container) bool { return isForHop(c.Labels, hop) },
		Conflict: func(c runner.Container) error { return r.conflict(hop, c) },
		BeforeStart: func(ctx context.Context) error {
			if adopts(obs.Inventory, hop) {
				return errEnded
			}
			if err := r.migrations.Await(ctx, &obs.Seen, hop); err != nil { // DTR may have started one since
				return err
			}
			return r.checkWindowBeforeStart(ctx, hop)
		},
		CheckImage: r.checkImage(obs, hop.To),
		StillNeeded: func(ctx context.Context, earlier runner.Earlier) (bool, error) {
			return r.stillNeeded(ctx, hop, earlier)
		},
		Problems: func(c runner.Container, i *cluster.Inventory) []cluster.Problem {
			return i.Problems(cluster.LabelledVersion(c.Labels, cluster.LabelTo))
		},
	})
	return err
}

// errEnded says that the bootstrapper is gone which was at work when the checks were made.
// They have refused nothing, since it was to be waited for: before another one is started
// they are made again.
var errEnded = errors.New("the bootstrapper that was at work has ended")

// adopts reports whether the bootstrapper of the hop is at work.
func adopts(i *cluster.Inventory, hop transition.Hop) bool {
	ours, found := i.UpgradeContainer()
	return found && ours.Running() && isForHop(ours.Labels, hop)
}

// conflict is the error of another task that is at work where a hop was to be begun. A
// backup is waited for.
func (r *run) conflict(hop transition.Hop, c runner.Container) error {
	if !c.Running() || cluster.IsBackup(c.Labels) {
		return nil
	}
	return &ClusterChangedError{Hop: hop, Bootstrapper: cluster.Purpose(c.Labels)}
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
		Labels: map[string]string{cluster.LabelFrom: hop.From.String(), cluster.LabelTo: hop.To.String(), cluster.LabelStart: r.report.PathFrom},
	}
	return spec, r.migrations.Labels(ctx, &obs.Seen, hop, obs.labelsOfHop(hop), spec.Labels)
}

// stillNeeded reports whether the hop is still to be made. What UCP does not show is
// missing only once it was not shown for a while: an inventory may be incomplete. A
// *ClusterChangedError says that the cluster has changed or is not shown whole any more,
// or that another bootstrapper is at work on it.
func (r *run) stillNeeded(ctx context.Context, hop transition.Hop, earlier runner.Earlier) (needed bool, err error) {
	began := time.Now()
	err = wait.Until(ctx, r.runner.Pace, func(ctx context.Context) (bool, error) {
		late := time.Since(began) >= r.runner.Pace.Consistent
		inventory, err := cluster.InspectAll(ctx, r.cluster)
		if _, hidden := errors.AsType[*cluster.NoReplicasError](err); hidden && late {
			return false, wait.Fail(err)
		}
		if err != nil {
			return false, err
		}
		changed := &ClusterChangedError{Hop: hop, Versions: inventory.Versions()}
		for _, v := range changed.Versions {
			if !v.Equal(hop.From) && !v.Equal(hop.To) {
				return false, wait.Fail(changed)
			}
		}
		for _, c := range inventory.Bootstrappers {
			if c.Running() || c.Lost() {
				changed.Bootstrapper = c.Name
				return false, wait.Fail(changed)
			}
		}
		if r.cluster.Docker == nil && inventory.HiddenElsewhere() { // else it is this run's own
			changed.Bootstrapper = inventory.Elsewhere.Name
			return false, wait.Fail(changed)
		}
		if changed.Missing = newlyMissing(r.seen, inventory, earlier.Failed); len(changed.Missing) > 0 {
			if late {
				return false, wait.Fail(changed)
			}
			return false, nil
		}
		switch {
		case !late && (len(changed.Versions) > 1 || inventory.HalfDone()): // a second phase at work may not be shown
			return false, nil
		case earlier.Failed && !earlier.Undone, slices.ContainsFunc(changed.Versions, func(v *semver.Version) bool { return !v.Equal(hop.To) }):
			needed = true
		case inventory.At(hop.To):
		case !late: // nothing but what is not shown speaks for the hop
			return false, nil
		default:
			needed = true
		}
		return true, nil
	})
	return needed, wait.Detached(ctx, stepUpgrade, err)
}

// newlyMissing is what keeps a bootstrapper from being started that did not when the
// checks were made: replicas that UCP does not show or whose node is down, and single
// containers, unless an earlier bootstrapper of this run has left them out.
func newlyMissing(before, now *cluster.Inventory, retry bool) []cluster.Problem {
	var problems []cluster.Problem
	for _, r := range now.Replicas {
		earlier, _ := before.Replica(r.ID)
		switch {
		case len(r.Containers) == 0:
			problems = append(problems, cluster.Problem{ReplicaID: r.ID, Text: "is not shown by UCP"})
		case r.HostDown():
			problems = append(problems, cluster.Problem{ReplicaID: r.ID, Text: fmt.Sprintf("is on node %s, which is down", r.Node)})
		case !retry:
			for _, part := range bootstrap.Parts {
				_, was := earlier.Containers[part.Name]
				if _, is := r.Containers[part.Name]; was && !is {
					problems = append(problems, cluster.Problem{ReplicaID: r.ID, Container: part.ContainerName(r.ID), Text: "is missing"})
				}
			}
		}
	}
	return problems
}

// verify has the cluster proved to be whole at a version.
func (r *run) verify(ctx context.Context, at *semver.Version) error {
	err := cluster.Verification{
		Cluster: r.cluster, Pace: r.runner.Pace, Progress: &r.runner.Progress, Target: at, Accepted: r.accepted,
	}.Run(ctx)
	r.verified = err == nil && at.Equal(r.o.Target)
	if err == nil {
		r.verifiedAt = time.Now()
	}
	return err
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

// labelsOfHop are those of the containers that were made for the hop by attempts that
// broke off. All of them tell the same of before the hop, or nothing; what they do not
// agree on is not believed. As long as nothing runs the hop's version, DTR itself knows.
func (obs *Observation) labelsOfHop(hop transition.Hop) map[string]string {
	var labels map[string]string
	if !slices.ContainsFunc(obs.Versions(), hop.To.Equal) {
		return labels
	}
	for _, c := range obs.Bootstrappers {
		if c.Labels[cluster.LabelCluster] != obs.Host || !isForHop(c.Labels, hop) || !migration.TellsOfBefore(c.Labels) {
			continue
		}
		if labels == nil {
			labels = maps.Clone(c.Labels)
		}
		maps.DeleteFunc(labels, func(k, v string) bool { other, told := c.Labels[k]; return !told || other != v })
	}
	return labels
}
