package runner

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// SetAside renames a record: a container that has ended and must be kept. The
// fixed name is the lock, and another container needs it. SetAside returns false if
// the container was gone, or renamed already.
func (r *Runner) SetAside(ctx context.Context, c Container) (bool, error) {
	name := r.EarlierName()
	if replica := c.Labels[cluster.LabelReplica]; replica != "" {
		name = cluster.RecordName(r.Host, replica)
	}
	return r.Rename(ctx, c, name)
}

// Rename gives a container another name. It returns false if the container was
// gone, or another one has the name.
func (r *Runner) Rename(ctx context.Context, c Container, name string) (bool, error) {
	err := c.engine.Rename(ctx, c.ID, name)
	if err != nil && !answered(err) {
		err = r.renamed(ctx, c, name, err)
	}
	switch {
	case errdefs.IsNotFound(err), errdefs.IsConflict(err): // another apply was faster
		return false, nil
	case err != nil:
		return false, fmt.Errorf("rename container %s to %s: %w", c.Name, name, err)
	}
	r.letGo(ctx, c.Labels)
	return true, nil
}

// renamed looks whether a container was renamed although the answer to that was lost. If it
// was not, the error is that of the request.
func (r *Runner) renamed(ctx context.Context, c Container, name string, failure error) error {
	err := wait.Until(ctx, r.Pace, func(ctx context.Context) (bool, error) {
		now, err := c.Look(ctx)
		if errdefs.IsNotFound(err) || err == nil && cluster.BaseName(now.Name) != name {
			err = wait.Fail(failure)
		}
		return err == nil, err
	})
	return err
}

// EarlierName is the name of a container that is kept for its labels.
func (r *Runner) EarlierName() string { return cluster.EarlierName(r.Host) }

// takeUp gives the record of an earlier run of the task, which was set aside, the
// fixed name again. It returns false if there is none. Only a task that can be rolled
// back has records.
func (r *Runner) takeUp(ctx context.Context, t Task) (bool, error) {
	if t.RollBack == nil {
		return false, nil
	}
	records, err := r.joins(ctx)
	if err != nil {
		return false, err
	}
	records = slices.DeleteFunc(records, func(c Container) bool { return !r.isAside(c) || !t.Owns(c) })
	if len(records) == 0 {
		return false, nil
	}
	inventory, err := cluster.Inspect(ctx, r.Cluster)
	if err != nil {
		return false, err
	}
	for _, c := range records {
		if inventory.Disowned(c.ID) {
			continue
		}
		err := c.engine.Rename(ctx, c.ID, r.ContainerName())
		if errdefs.IsConflict(err) { // another apply was faster, and the next look finds its container
			return false, &blockedError{&BlockedError{Container: r.ContainerName(), Err: err}, "rename"}
		}
		if err != nil && !errdefs.IsNotFound(err) {
			return false, fmt.Errorf("rename container %s to %s: %w", c.Name, r.ContainerName(), err)
		}
		return true, nil
	}
	return false, nil
}

// joins returns the containers of joins that have ended, be they set aside or not.
func (r *Runner) joins(ctx context.Context) ([]Container, error) {
	return r.labelled(ctx, map[string]string{cluster.LabelCommand: cluster.CommandJoin})
}

// Backups returns the containers that have written a backup and were renamed after
// it.
func (r *Runner) Backups(ctx context.Context) ([]Container, error) {
	all, err := r.labelled(ctx, map[string]string{cluster.LabelCommand: cluster.CommandBackup})
	return slices.DeleteFunc(all, func(c Container) bool { return !r.isAside(c) }), err
}

// isAside reports whether a container has another name than the fixed one.
func (r *Runner) isAside(c Container) bool { return cluster.BaseName(c.Name) != r.ContainerName() }

// labelled returns the containers with the labels that have ended.
func (r *Runner) labelled(ctx context.Context, labels map[string]string) ([]Container, error) {
	labels[cluster.LabelCluster] = r.Host
	engines, err := r.engines(ctx)
	if err != nil {
		return nil, err
	}
	var found []Container
	for _, engine := range engines {
		list, err := engine.Containers(ctx, labels)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if !c.Running() && cluster.Holds(c, r.Host, r.Cluster.Mirror) {
				found = append(found, Container{ucp.ContainerState{ID: c.ID, Name: c.Name, Image: c.Image, Status: c.State, Labels: c.Labels}, engine})
			}
		}
	}
	return found, nil
}

// Tidy removes the containers that have ended, records among them, if finished
// reports that their task is verified and nothing needs them any more. Those of joins are
// found whatever their names are: another apply may be about to set one aside.
func (r *Runner) Tidy(ctx context.Context, finished func(Container) bool) error {
	left, err := r.joins(ctx)
	if err != nil {
		return err
	}
	c, found, err := r.Find(ctx)
	if err != nil {
		return err
	}
	if found && !slices.ContainsFunc(left, func(other Container) bool { return other.ID == c.ID }) {
		left = append(left, c)
	}
	for _, c := range left {
		if c.Running() || !finished(c) {
			continue
		}
		if _, err := r.Remove(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
