package upgrade

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// joinTask has a replica join on a node. The replica's id is ours and stands on
// the container, so that a later run knows what this one has made.
func (r *run) joinTask(o ReplicaOptions) task {
	t := task{
		step: stepJoin, name: "join of a replica on " + o.Node,
		mine: func(s containerState) bool {
			return s.Labels[labelCommand] == commandJoin && s.Labels[labelNode] == o.Node
		},
		busy:     r.unlessScaling(stepJoin),
		problems: func(s containerState, i *Inventory) []Problem { return notJoined(i, s.Labels[labelReplica], o.Node) },
		once:     true,
		undo:     func(ctx context.Context, s containerState) error { return r.undoJoin(ctx, s, o) },
	}
	var version string // that the container was made for
	t.spec = func(ctx context.Context) (ucp.CreateSpec, error) {
		spec, err := r.joinSpec(ctx, o)
		version = spec.Labels[labelTo]
		return spec, err
	}
	t.due = func(ctx context.Context, _ bool) (bool, error) {
		obs, err := r.judge(ctx, o, PreflightJoin)
		if err == nil && obs.CurrentVersion().String() != version {
			err = fmt.Errorf("the cluster went from %s to %s meanwhile", version, obs.CurrentVersion())
		}
		if err == nil {
			err = obs.othersAtWork()
		}
		return true, err
	}
	return t
}

func (r *run) joinSpec(ctx context.Context, o ReplicaOptions) (ucp.CreateSpec, error) {
	obs, err := r.judge(ctx, o, PreflightJoin)
	if err != nil {
		return ucp.CreateSpec{}, err
	}
	existing, _ := obs.anchor(o.ExistingReplicaID, "")
	version := obs.CurrentVersion()
	if err := r.bootstrapperImage(ctx, existing.Node, version); err != nil {
		return ucp.CreateSpec{}, err
	}
	if err := r.componentImages(ctx, []string{o.Node}, version); err != nil {
		return ucp.CreateSpec{}, err
	}
	login, err := r.login(ctx)
	if err != nil {
		return ucp.CreateSpec{}, err
	}
	id := newReplicaID()
	args, env := bootstrap.JoinCommand(version, bootstrap.JoinOptions{
		ExistingReplicaID: existing.ID, ReplicaID: id, Node: o.Node, HTTPPort: o.HTTPPort, HTTPSPort: o.HTTPSPort, UCP: login,
	})
	return ucp.CreateSpec{
		Image: bootstrap.Image(o.Repository, version), Args: args, Env: env, Node: existing.Node,
		Labels: map[string]string{
			labelCommand: commandJoin, labelReplica: id, labelNode: o.Node, labelTo: version.String(),
		},
	}, nil
}

// newReplicaID makes the id of a replica: 12 hexadecimal digits.
func newReplicaID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// removeTask has a replica leave the cluster.
func (r *run) removeTask(o ReplicaOptions) task {
	return task{
		step: stepRemove, name: "removal of replica " + o.ReplicaID,
		spec: func(ctx context.Context) (ucp.CreateSpec, error) {
			obs, err := r.judge(ctx, o, PreflightRemove)
			if err != nil {
				return ucp.CreateSpec{}, err
			}
			existing, _ := obs.anchor(o.ExistingReplicaID, o.ReplicaID)
			version := obs.CurrentVersion()
			if err := r.bootstrapperImage(ctx, existing.Node, version); err != nil {
				return ucp.CreateSpec{}, err
			}
			login, err := r.login(ctx)
			if err != nil {
				return ucp.CreateSpec{}, err
			}
			args, env := bootstrap.RemoveCommand(version, bootstrap.RemoveOptions{
				ExistingReplicaID: existing.ID, ReplicaID: o.ReplicaID, UCP: login,
			})
			return ucp.CreateSpec{
				Image: bootstrap.Image(o.Repository, version), Args: args, Env: env, Node: existing.Node,
				Labels: map[string]string{labelCommand: commandRemove, labelReplica: o.ReplicaID, labelTo: version.String()},
			}, nil
		},
		mine: func(s containerState) bool {
			return s.Labels[labelCommand] == commandRemove && s.Labels[labelReplica] == o.ReplicaID
		},
		busy: r.unlessScaling(stepRemove),
		due: func(ctx context.Context, _ bool) (bool, error) {
			obs, err := r.judge(ctx, o, PreflightRemove)
			if err == nil {
				err = obs.othersAtWork()
			}
			return err == nil && obs.has(o.ReplicaID), err
		},
		problems: func(_ containerState, i *Inventory) []Problem { return notRemoved(i, o.ReplicaID) },
		once:     true,
	}
}

// othersAtWork is the error of a bootstrapper that has begun to run since the
// checks were made. The one that is about to be started does not run yet.
func (obs *Observation) othersAtWork() error {
	for _, c := range obs.Bootstrappers {
		if running(c) {
			return fmt.Errorf("another bootstrapper is at work meanwhile: container %s (%s, %s)", c.Name, c.Image, c.Status)
		}
	}
	return nil
}

// unlessScaling lets a join or a removal wait for another one. An upgrade, be it
// at work or unfinished, is nothing that it could wait for or clear away.
func (r *run) unlessScaling(step string) func(containerState) error {
	return func(s containerState) error {
		if !isUpgrade(s.Labels) {
			return nil
		}
		return &UnfinishedUpgradeError{Step: step, Container: s.Name, From: s.Labels[labelFrom], To: s.Labels[labelTo], Running: s.live()}
	}
}

// notJoined is what keeps a replica from being a whole member of the cluster.
func notJoined(i *Inventory, id, node string) []Problem {
	replica, ok := i.replica(id)
	switch {
	case !ok:
		return []Problem{{id, "", "is not to be seen"}}
	case !replica.Listed:
		return []Problem{{id, "", "is not listed by DTR"}}
	case replica.Node != node:
		return []Problem{{id, "", "is on node " + replica.Node + " by DTR's account"}}
	}
	alone := &Inventory{Replicas: []Replica{replica}}
	return alone.Problems(i.CurrentVersion())
}

// notRemoved is what is left of a replica.
func notRemoved(i *Inventory, id string) []Problem {
	replica, ok := i.replica(id)
	if !ok {
		return nil
	}
	var problems []Problem
	if replica.Listed {
		problems = append(problems, Problem{id, "", "is still listed by DTR"})
	}
	if n := len(replica.Containers); n > 0 {
		problems = append(problems, Problem{id, "", fmt.Sprintf("still has %d containers", n)})
	}
	return problems
}

// undoJoin removes what a join that failed has left of its replica, before
// another one is tried. The container that tells of it is kept until that is done.
func (r *run) undoJoin(ctx context.Context, s containerState, o ReplicaOptions) error {
	id := s.Labels[labelReplica]
	inventory, err := Inspect(ctx, r.cluster)
	if err != nil || !inventory.has(id) {
		return err
	}
	tflog.Warn(ctx, "A replica that was left half done is removed", map[string]any{"replica_id": id, "node": o.Node})
	if _, err := r.setAside(ctx, s); err != nil {
		return err
	}
	o.ReplicaID = id
	t := r.removeTask(o)
	if _, err := r.perform(ctx, t); err != nil {
		return err
	}
	if err := r.verifyRemoved(ctx, id); err != nil {
		return err
	}
	return r.tidyReplica(ctx, t.mine)
}

// setAside gives the container of a join that has ended another name, so that it
// goes on telling whose replica it made. It returns false when it was gone.
func (r *run) setAside(ctx context.Context, s containerState) (bool, error) {
	name := r.containerName + "-" + s.Labels[labelReplica]
	switch err := s.engine.Rename(ctx, s.ID, name); {
	case errdefs.IsNotFound(err), errdefs.IsConflict(err): // another apply was faster
		return false, nil
	case err != nil:
		return false, fmt.Errorf("rename container %s to %s: %w", s.Name, name, err)
	}
	return true, nil
}

// takeUp finds the container of an earlier join for the same task that was set
// aside, and gives it the lock's name again.
func (r *run) takeUp(ctx context.Context, t task) (bool, error) {
	if t.undo == nil {
		return false, nil // no join: only those are set aside
	}
	aside, err := r.aside(ctx)
	if err != nil {
		return false, err
	}
	for _, s := range aside {
		if !t.mine(s) {
			continue
		}
		err := s.engine.Rename(ctx, s.ID, r.containerName)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return false, fmt.Errorf("rename container %s to %s: %w", s.Name, r.containerName, err)
		}
		return true, nil // whoever has the name now
	}
	return false, nil
}

// aside are the containers that were set aside.
func (r *run) aside(ctx context.Context) ([]containerState, error) {
	engines, err := r.engines(ctx)
	if err != nil {
		return nil, err
	}
	var found []containerState
	for _, engine := range engines {
		list, err := engine.Containers(ctx, map[string]string{labelCluster: r.host, labelCommand: commandJoin})
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if baseName(c.Name) != r.containerName && !running(c) {
				found = append(found, containerState{ucp.ContainerState{ID: c.ID, Name: c.Name, Image: c.Image, Status: c.State, Labels: c.Labels}, engine})
			}
		}
	}
	return found, nil
}

// tidyReplica removes the containers that are about a finished task.
func (r *run) tidyReplica(ctx context.Context, about func(containerState) bool) error {
	left, err := r.aside(ctx)
	if err != nil {
		return err
	}
	state, found, err := r.findContainer(ctx)
	if err != nil {
		return err
	}
	if found {
		left = append(left, state)
	}
	for _, s := range left {
		if s.live() || !about(s) {
			continue
		}
		if _, err := r.remove(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
