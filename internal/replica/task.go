package replica

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// joinTask has a replica join on the node. The replica's id is ours and stands on
// the container, so that a later run knows what this one has made.
func (c *change) joinTask() runner.Task {
	var version string // that the container was made for
	return runner.Task{
		Step: stepJoin, Name: "join of a replica on " + c.o.Node,
		Spec: func(ctx context.Context) (ucp.CreateSpec, error) {
			spec, err := c.joinSpec(ctx)
			version = spec.Labels[cluster.LabelTo]
			return spec, err
		},
		Owns: func(s runner.Container) bool {
			return s.Labels[cluster.LabelCommand] == cluster.CommandJoin && s.Labels[cluster.LabelNode] == c.o.Node
		},
		Conflict: unfinishedUpgrade(stepJoin),
		StillNeeded: func(ctx context.Context, _ runner.Earlier) (bool, error) {
			seen, err := c.check(ctx, PreflightJoin)
			if err == nil && seen.CurrentVersion().String() != version {
				err = fmt.Errorf("the cluster went from %s to %s meanwhile", version, seen.CurrentVersion())
			}
			if err == nil {
				err = othersAtWork(seen)
			}
			return true, err
		},
		Problems: func(s runner.Container, i *cluster.Inventory) []cluster.Problem {
			return notJoined(i, s.Labels[cluster.LabelReplica], c.o.Node)
		},
		SkipIfDone: true,
		RollBack:   c.rollBackJoin,
	}
}

func (c *change) joinSpec(ctx context.Context) (ucp.CreateSpec, error) {
	seen, err := c.confirm(ctx, PreflightJoin)
	if err != nil {
		return ucp.CreateSpec{}, wait.Fail(err)
	}
	existing, _ := existingReplicaFor(seen, c.o.ExistingReplicaID, "")
	version := seen.CurrentVersion()
	if err := c.o.Images.BringBootstrapper(ctx, c.runner.Cluster, c.runner.Pace, existing.Node, version); err != nil {
		return ucp.CreateSpec{}, wait.Fail(err)
	}
	if err := c.o.Images.BringComponents(ctx, c.runner.Cluster, c.runner.Pace, []string{c.o.Node}, version); err != nil {
		return ucp.CreateSpec{}, wait.Fail(err)
	}
	login, err := c.runner.Login(ctx)
	if err != nil {
		return ucp.CreateSpec{}, err
	}
	id := newID()
	args, env := bootstrap.JoinCommand(bootstrap.JoinOptions{
		ExistingReplicaID: existing.ID, ReplicaID: id, Node: c.o.Node, HTTPPort: c.o.HTTPPort, HTTPSPort: c.o.HTTPSPort, UCP: login,
	})
	return ucp.CreateSpec{
		Image: c.o.Images.Bootstrapper(version), Args: args, Env: env, Node: existing.Node,
		Labels: map[string]string{
			cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: id, cluster.LabelNode: c.o.Node, cluster.LabelTo: version.String(),
		},
	}, nil
}

// newID makes the id of a replica: 12 hexadecimal digits.
func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// removeTask has a replica leave the cluster.
func (c *change) removeTask(id string) runner.Task {
	removal := *c
	removal.o.ReplicaID = id
	return runner.Task{
		Step: stepRemove, Name: "removal of replica " + id,
		Spec: removal.removeSpec,
		Owns: func(s runner.Container) bool {
			return s.Labels[cluster.LabelCommand] == cluster.CommandRemove && s.Labels[cluster.LabelReplica] == id
		},
		Conflict: unfinishedUpgrade(stepRemove),
		StillNeeded: func(ctx context.Context, _ runner.Earlier) (bool, error) {
			seen, err := removal.check(ctx, PreflightRemove)
			if err == nil {
				err = othersAtWork(seen)
			}
			if err != nil {
				return false, err
			}
			_, there := seen.Replica(id)
			return there, nil
		},
		Problems:   func(_ runner.Container, i *cluster.Inventory) []cluster.Problem { return notRemoved(i, id) },
		SkipIfDone: true,
	}
}

func (c *change) removeSpec(ctx context.Context) (ucp.CreateSpec, error) {
	seen, err := c.confirm(ctx, PreflightRemove)
	if err != nil {
		return ucp.CreateSpec{}, wait.Fail(err)
	}
	existing, _ := existingReplicaFor(seen, c.o.ExistingReplicaID, c.o.ReplicaID)
	version := seen.CurrentVersion()
	if err := c.o.Images.BringBootstrapper(ctx, c.runner.Cluster, c.runner.Pace, existing.Node, version); err != nil {
		return ucp.CreateSpec{}, wait.Fail(err)
	}
	login, err := c.runner.Login(ctx)
	if err != nil {
		return ucp.CreateSpec{}, err
	}
	args, env := bootstrap.RemoveCommand(bootstrap.RemoveOptions{
		ExistingReplicaID: existing.ID, ReplicaID: c.o.ReplicaID, UCP: login,
	})
	return ucp.CreateSpec{
		Image: c.o.Images.Bootstrapper(version), Args: args, Env: env, Node: existing.Node,
		Labels: map[string]string{
			cluster.LabelCommand: cluster.CommandRemove, cluster.LabelReplica: c.o.ReplicaID, cluster.LabelTo: version.String(),
		},
	}, nil
}

// rollBackJoin removes what a join that failed has left of its replica, before another
// one is tried. It keeps a replica that is whole after all, and removes none that DTR
// has reported as healthy in any look. The container that tells of the join is kept
// until the removal is done.
func (c *change) rollBackJoin(ctx context.Context, s runner.Container) (kept bool, err error) {
	id := s.Labels[cluster.LabelReplica]
	word := &word{replica: id}
	replica, kept, err := c.judgeJoin(ctx, word)
	if err != nil || kept || replica.ID == "" {
		return kept, err
	}
	log.Warn(ctx, "A replica that was left half done is removed", map[string]any{"replica_id": id, "node": c.o.Node})
	if _, err := c.runner.SetAside(ctx, s); err != nil {
		return false, err
	}
	t := c.removeTask(id)
	stillNeeded := t.StillNeeded
	t.StillNeeded = func(ctx context.Context, earlier runner.Earlier) (bool, error) {
		seen, err := cluster.Look(ctx, c.runner.Cluster)
		if err != nil {
			return false, err
		}
		if word.isGood(seen) { // it was only slow
			return false, c.keptReplica(seen, id)
		}
		return stillNeeded(ctx, earlier)
	}
	if _, err = c.runner.Perform(ctx, t); err == nil {
		err = c.verifyRemoved(ctx, id)
	}
	if err != nil && ctx.Err() == nil && !replica.Listed {
		left := &LeftContainersError{ReplicaID: id, Node: replica.Node, Err: err}
		for _, part := range slices.Sorted(maps.Keys(replica.Containers)) {
			left.Containers = append(left.Containers, replica.Containers[part].Name)
		}
		return false, left
	}
	if err != nil {
		return false, err
	}
	return false, c.runner.Tidy(ctx, t.Owns)
}

// judgeJoin looks at the replica of a join that failed, for as long as UCP's answers may
// be incomplete. If it is whole, it is to be kept. Otherwise it may be undone, and is
// returned as it was seen last, empty if neither DTR nor UCP has shown it in any look.
// The error is a *KeptReplicaError if DTR has reported it as healthy, or as being on
// another node than the join's.
func (c *change) judgeJoin(ctx context.Context, word *word) (replica cluster.Replica, kept bool, err error) {
	id := word.replica
	lasting := wait.Lasting{Limit: c.runner.Pace.Consistent}
	var counted *KeptReplicaError
	err = wait.Until(ctx, c.runner.Pace, func(ctx context.Context) (bool, error) {
		seen, err := cluster.Look(ctx, c.runner.Cluster)
		if err != nil {
			return false, err
		}
		problems := notJoined(seen.Inventory, id, c.o.Node)
		if kept = len(problems) == 0; kept {
			return true, nil
		}
		if now, there := seen.Replica(id); there {
			replica = now
			if good := word.isGood(seen); now.Listed && (good || now.Node != c.o.Node) {
				counted = c.keptReplica(seen, id)
			}
		}
		return lasting.Seen(true), nil
	})
	if err == nil && !kept && counted != nil {
		err = counted
	}
	return replica, kept, err
}

// word is what DTR says of the health of one replica, from look to look.
type word struct {
	replica string
	first   time.Time // of the report that the first look has shown
}

// isGood reports whether DTR says that the replica is healthy, in a report that is not
// old, or that is newer than the first one: the clock of the replica's node may be behind.
func (w *word) isGood(seen *cluster.Snapshot) bool {
	r, there := seen.Replica(w.replica)
	if !there || !r.Listed || seen.Status.Health[r.ID] != dtr.HealthOK {
		return false
	}
	at := seen.Status.Timestamp[r.ID]
	if w.first.IsZero() {
		w.first = at
	}
	sick, _ := seen.UnhealthyReason(r)
	return sick == "" || at.After(w.first)
}

func (c *change) keptReplica(seen *cluster.Snapshot, id string) *KeptReplicaError {
	return &KeptReplicaError{ReplicaID: id, Node: c.o.Node, Health: seen.Status.Health[id], Problems: notJoined(seen.Inventory, id, c.o.Node)}
}

// othersAtWork is the error of a bootstrapper that has begun to run since the
// checks were made. The one that is about to be started does not run yet. While one is on
// an engine that is not reached, the checks have found nothing, since it is to be waited for.
func othersAtWork(seen *cluster.Snapshot) error {
	if seen.HiddenElsewhere() {
		return fmt.Errorf("a bootstrapper is at work on another engine meanwhile: container %s", seen.Elsewhere.Name)
	}
	for _, c := range seen.Bootstrappers {
		if c.Running() {
			return fmt.Errorf("another bootstrapper is at work meanwhile: container %s (%s, %s)", c.Name, c.Image, c.Status)
		}
	}
	return nil
}

// unfinishedUpgrade lets a join or a removal wait for another one. An upgrade, be
// it at work or unfinished, must neither be waited for nor be removed.
func unfinishedUpgrade(step string) func(runner.Container) error {
	return func(s runner.Container) error {
		if !cluster.IsUpgrade(s.Labels) {
			return nil
		}
		return &UnfinishedUpgradeError{
			Step: step, Container: s.Name, From: s.Labels[cluster.LabelFrom], To: s.Labels[cluster.LabelTo], Running: s.Running(),
		}
	}
}

// notJoined is what keeps a replica from being a complete member of the cluster.
func notJoined(i *cluster.Inventory, id, node string) []cluster.Problem {
	replica, ok := i.Replica(id)
	switch {
	case !ok:
		return []cluster.Problem{{ReplicaID: id, Text: "is neither listed by DTR nor shown by UCP"}}
	case !replica.Listed:
		return []cluster.Problem{{ReplicaID: id, Text: "is not listed by DTR"}}
	case replica.Node != node:
		return []cluster.Problem{{ReplicaID: id, Text: "is on node " + replica.Node + " according to DTR"}}
	}
	alone := &cluster.Inventory{Replicas: []cluster.Replica{replica}}
	return alone.Problems(i.CurrentVersion())
}

// notRemoved is what is left of a replica.
func notRemoved(i *cluster.Inventory, id string) []cluster.Problem {
	replica, ok := i.Replica(id)
	if !ok {
		return nil
	}
	var problems []cluster.Problem
	if replica.Listed {
		problems = append(problems, cluster.Problem{ReplicaID: id, Text: "is still listed by DTR"})
	}
	if n := len(replica.Containers); n > 0 {
		problems = append(problems, cluster.Problem{ReplicaID: id, Text: fmt.Sprintf("still has %d containers", n)})
	}
	return problems
}
