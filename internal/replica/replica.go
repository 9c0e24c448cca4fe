// Package replica has replicas join a DTR cluster and leave it: what speaks against
// that, the bootstrapper's tasks for it, and the proof that it is done.
//
// It judges by a snapshot of the cluster and by nothing else. It must not import
// the upgrade or the contentcache package.
package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// The steps of a join and of a removal, besides the verification.
const (
	stepJoin   = "join"
	stepRemove = "remove"
	stepLook   = "look"
	stepTidy   = "tidy"
)

// Options is what a join or a removal is asked to do.
type Options struct {
	Node      string // that a replica is to join on
	ReplicaID string // of the replica that is to be removed
	Host      string // DTR's external host, when it must be this one

	// ExistingReplicaID is the replica that the bootstrapper connects to; "" is the
	// first healthy one by id.
	ExistingReplicaID   string
	HTTPPort, HTTPSPort int // of a replica that joins; 0 is DTR's default

	Images images.Source

	// Turn has room for one: the joins and removals that share it wait for each
	// other from beginning to end. What does not share it, in another process, is
	// kept apart by the name of the bootstrapper's container. nil is no such turn.
	Turn chan struct{}

	ProviderVersion string // written on the bootstrapper's container
	Pace            wait.Pace
}

// turn waits for the turn and returns what hands it on.
func (o Options) turn(ctx context.Context, step string) (done func(), err error) {
	if o.Turn == nil {
		return func() {}, nil
	}
	select {
	case o.Turn <- struct{}{}:
		return func() { <-o.Turn }, nil
	case <-ctx.Done():
		return nil, &wait.DetachedError{Step: step, Cause: context.Cause(ctx)}
	}
}

// change is one join or removal.
type change struct {
	o      Options
	runner *runner.Runner
}

func newChange(c cluster.Cluster, o Options) *change {
	c.Mirror = o.Images.Repository
	return &change{o, &runner.Runner{Cluster: c, ProviderVersion: o.ProviderVersion, Pace: o.Pace.OrDefault()}}
}

// Join has a replica join the cluster, at the version that the cluster runs, and
// returns it once it is verified. What an earlier join on the node has made is
// adopted, and nothing is made twice. The error is an *Error around those of
// the packages below.
func Join(ctx context.Context, c cluster.Cluster, o Options) (Member, error) {
	member, err := newChange(c, o).join(ctx)
	if err != nil {
		return Member{}, &Error{Step: stepJoin, Node: o.Node, Err: wait.Detached(ctx, stepJoin, err)}
	}
	return member, nil
}

func (c *change) join(ctx context.Context) (m Member, err error) {
	done, err := c.o.turn(ctx, stepJoin)
	if err != nil {
		return Member{}, err
	}
	defer done()
	if _, err := c.confirm(ctx, PreflightJoin); err != nil {
		return Member{}, err
	}
	t := c.joinTask()
	var id string // which the bootstrapper's container tells
	err = wait.Steps(ctx, t.Name, []wait.Step{
		{Name: stepJoin, Run: func(ctx context.Context) error {
			container, err := c.runner.Perform(ctx, t)
			id = container.Labels[cluster.LabelReplica]
			return err
		}},
		{Name: cluster.StepVerify, Run: func(ctx context.Context) error {
			return c.verify(ctx, func(i *cluster.Inventory) []cluster.Problem { return notJoined(i, id, c.o.Node) })
		}},
		{Name: stepLook, Run: func(ctx context.Context) error {
			return c.outlast(ctx, func(ctx context.Context) (err error) {
				m, err = Find(ctx, c.runner.Cluster, c.runner.Pace, id)
				return err
			})
		}},
		// Last of all: without the container nobody knows whose replica it is until
		// the caller has written it down.
		{Name: stepTidy, Run: func(ctx context.Context) error { return c.tidy(ctx, t.Owns) }},
	})
	return m, err
}

// Remove removes a replica from the cluster, which goes on without it. A replica
// that is proved to be gone is no error. The error is like that of Join.
func Remove(ctx context.Context, c cluster.Cluster, o Options) error {
	if err := newChange(c, o).remove(ctx); err != nil {
		return &Error{Step: stepRemove, ReplicaID: o.ReplicaID, Err: wait.Detached(ctx, stepRemove, err)}
	}
	return nil
}

func (c *change) remove(ctx context.Context) error {
	done, err := c.o.turn(ctx, stepRemove)
	if err != nil {
		return err
	}
	defer done()
	if _, err := c.confirm(ctx, PreflightRemove); err != nil {
		return err
	}
	t := c.removeTask(c.o.ReplicaID)
	ofReplica := func(s runner.Container) bool { return s.Labels[cluster.LabelReplica] == c.o.ReplicaID }
	if removed, err := c.removed(ctx, t); err != nil {
		return err
	} else if removed {
		return c.tidy(ctx, ofReplica)
	}
	return wait.Steps(ctx, t.Name, []wait.Step{
		{Name: stepRemove, Run: func(ctx context.Context) error { return c.runRemoval(ctx, t) }},
		{Name: cluster.StepVerify, Run: func(ctx context.Context) error { return c.verifyRemoved(ctx, c.o.ReplicaID) }},
		{Name: stepTidy, Run: func(ctx context.Context) error { return c.tidy(ctx, ofReplica) }},
	})
}

// removed reports whether the replica is gone, and no bootstrapper's container tells of
// a removal that is to be seen to its end: that is believed only if every look has shown
// it for as long as UCP's answers may be incomplete.
func (c *change) removed(ctx context.Context, t runner.Task) (removed bool, err error) {
	gone := wait.Lasting{Limit: c.runner.Pace.Consistent}
	err = wait.Until(ctx, c.runner.Pace, func(ctx context.Context) (bool, error) {
		container, found, err := c.runner.Find(ctx)
		var seen *cluster.Inventory
		if err == nil {
			seen, err = cluster.Inspect(ctx, c.runner.Cluster)
		}
		if err != nil {
			if !runner.MayPass(err) {
				err = wait.Fail(err)
			}
			return false, err
		}
		_, there := seen.Replica(c.o.ReplicaID)
		absent := !there && (!found || !t.Owns(container)) && !seen.HiddenElsewhere()
		removed = gone.Seen(absent)
		return removed || !absent, nil
	})
	return removed, err
}

// runRemoval has the bootstrapper remove the replica. If it fails and the replica's node
// is down, that is why: the error is a *NodeDownError.
func (c *change) runRemoval(ctx context.Context, t runner.Task) error {
	_, err := c.runner.Perform(ctx, t)
	failed, ok := errors.AsType[*runner.BootstrapperError](err)
	if !ok {
		return err
	}
	seen, lookErr := cluster.Look(ctx, c.runner.Cluster)
	if lookErr != nil {
		return err
	}
	replica, there := seen.Replica(c.o.ReplicaID)
	state := nodeState(seen, replica.Node)
	if !there || state == nodeReady {
		return err
	}
	existing, _ := existingReplicaFor(seen, c.o.ExistingReplicaID, c.o.ReplicaID)
	down := &NodeDownError{ReplicaID: c.o.ReplicaID, Node: replica.Node, State: state, Bootstrapper: failed}
	if bootstrap.CanForceRemoval(seen.CurrentVersion()) {
		down.Forced, _ = bootstrap.RemoveCommand(bootstrap.RemoveOptions{
			ExistingReplicaID: existing.ID, ReplicaID: c.o.ReplicaID, Force: true, UCP: c.runner.Cluster.Login,
		})
	}
	return down
}

// nodeState is UCP's word for the state of a node, "" for a node that it does not list.
func nodeState(seen *cluster.Snapshot, name string) string {
	for _, n := range seen.Nodes {
		if n.Hostname == name {
			return n.State
		}
	}
	return ""
}

// confirm is check that believes findings only if every look has had them for as long
// as UCP's answers may be incomplete.
func (c *change) confirm(ctx context.Context, checks func(*cluster.Snapshot, Options) preflight.Findings) (seen *cluster.Snapshot, err error) {
	err = wait.Confirm(ctx, c.runner.Pace, func(ctx context.Context) (err error) {
		seen, err = c.check(ctx, checks)
		return err
	}, runner.MayPass)
	return seen, err
}

// check looks at the cluster. Errors among the findings are a
// *preflight.FailedError.
func (c *change) check(ctx context.Context, checks func(*cluster.Snapshot, Options) preflight.Findings) (*cluster.Snapshot, error) {
	seen, err := cluster.Look(ctx, c.runner.Cluster)
	if err != nil {
		return nil, err
	}
	if err := cluster.CheckHost(c.o.Host, seen.Host); err != nil {
		return nil, err
	}
	c.runner.Host = seen.Host
	if findings := checks(seen, c.o); len(findings.Errors()) > 0 {
		return nil, &preflight.FailedError{Findings: findings}
	}
	return seen, nil
}

func (c *change) outlast(ctx context.Context, do func(context.Context) error) error {
	return runner.Outlast(ctx, c.runner.Pace, do)
}

func (c *change) tidy(ctx context.Context, finished func(runner.Container) bool) error {
	return c.outlast(ctx, func(ctx context.Context) error { return c.runner.Tidy(ctx, finished) })
}

// verify waits until the whole cluster is well, with or without a replica: the
// next join or removal must find it so.
func (c *change) verify(ctx context.Context, own func(*cluster.Inventory) []cluster.Problem) error {
	var inventory *cluster.Inventory
	err := c.outlast(ctx, func(ctx context.Context) (err error) {
		inventory, err = cluster.Inspect(ctx, c.runner.Cluster)
		return err
	})
	if err != nil {
		return err
	}
	return cluster.Verification{
		Cluster: c.runner.Cluster, Pace: c.runner.Pace, Progress: &c.runner.Progress, Target: inventory.CurrentVersion(), Own: own,
	}.Run(ctx)
}

func (c *change) verifyRemoved(ctx context.Context, id string) error {
	return c.verify(ctx, func(i *cluster.Inventory) []cluster.Problem { return notRemoved(i, id) })
}

// Member is what the cluster shows of one replica.
type Member struct {
	cluster.Replica
	Host   string          // DTR's external host
	Runs   *semver.Version // the lowest version of its containers; nil when UCP shows none
	Health string          // dtr.HealthOK or a reason
}

// Find looks for a replica. A *NotFoundError is proof that there is none of that
// id: for as long as UCP's answers may be incomplete, DTR has listed others in every
// look, and UCP has shown no container of it.
func Find(ctx context.Context, c cluster.Cluster, pace wait.Pace, id string) (m Member, err error) {
	pace = pace.OrDefault()
	gone := wait.Lasting{Limit: pace.Consistent}
	err = wait.Until(ctx, pace, func(ctx context.Context) (bool, error) {
		m, err = look(ctx, c, id)
		if _, missing := errors.AsType[*NotFoundError](err); missing && !gone.Seen(true) {
			return false, nil
		}
		return err == nil, wait.Fail(err)
	})
	return m, err
}

func look(ctx context.Context, c cluster.Cluster, id string) (Member, error) {
	seen := &cluster.Snapshot{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { seen.Inventory, err = cluster.Inspect(groupCtx, c); return err })
	group.Go(func() (err error) { seen.Status, err = c.DTR.ClusterStatus(groupCtx); return err })
	if err := group.Wait(); err != nil {
		return Member{}, err
	}
	replica, ok := seen.Replica(id)
	if !ok {
		return Member{}, &NotFoundError{ID: id, Host: seen.Host, Replicas: seen.IDs()}
	}
	m := Member{Replica: replica, Host: seen.Host, Runs: replica.Version(), Health: seen.Status.Health[id]}
	switch {
	case !replica.Listed:
		m.Health = "DTR does not list it among its replicas"
	case m.Health == "":
		m.Health = "not reported"
	case m.Health == dtr.HealthOK && cluster.Stale(seen.Status, id):
		m.Health = "last reported at " + seen.Status.Timestamp[id].UTC().Format(time.RFC3339)
	}
	return m, nil
}

// NotFoundError is proof that the cluster has no replica of the id.
type NotFoundError struct {
	ID, Host string
	Replicas []string // that it has
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("DTR at %s has no replica %s; its replicas are %s", e.Host, e.ID, strings.Join(e.Replicas, ", "))
}

// Error says what failed: a join on a node, or the removal of a replica.
type Error struct {
	Step      string
	ReplicaID string // that was to be removed
	Node      string // that was to be joined on
	Err       error
}

// Join reports whether it was a join.
func (e *Error) Join() bool { return e.Step == stepJoin }

func (e *Error) Error() string {
	if e.Join() {
		return fmt.Sprintf("join of a replica on node %s: %v", e.Node, e.Err)
	}
	return fmt.Sprintf("removal of replica %s: %v", e.ReplicaID, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// NodeDownError says that the bootstrapper could not remove a replica whose node is
// down.
type NodeDownError struct {
	ReplicaID    string
	Node         string
	State        string   // UCP's word for the node's, "" if UCP does not list it
	Forced       []string // the arguments of a forced removal, none if the version's bootstrapper knows none
	Bootstrapper *runner.BootstrapperError
}

func (e *NodeDownError) Error() string {
	state := e.State
	if state == "" {
		state = "not known to UCP"
	}
	return fmt.Sprintf("node %s of replica %s is %s: %v", e.Node, e.ReplicaID, state, e.Bootstrapper)
}

func (e *NodeDownError) Unwrap() error { return e.Bootstrapper }

// KeptReplicaError says that an earlier join has not ended as it should, and that its
// replica was not removed to try again, since DTR counts on it.
type KeptReplicaError struct {
	ReplicaID string
	Node      string // that it was to join on
	Health    string // as DTR reports it
	Problems  []cluster.Problem
}

func (e *KeptReplicaError) Error() string {
	return fmt.Sprintf("replica %s, which DTR reports as %s, is not as its join on node %s was to leave it: %s",
		e.ReplicaID, e.Health, e.Node, cluster.ProblemsText(e.Problems))
}

// LeftContainersError says that a join which failed has left containers of a replica
// that DTR does not list, and that the bootstrapper did not remove them.
type LeftContainersError struct {
	ReplicaID  string
	Node       string
	Containers []string
	Err        error // of the removal
}

func (e *LeftContainersError) Error() string {
	return fmt.Sprintf("containers %s on node %s are left of replica %s, which DTR does not list: %v",
		strings.Join(e.Containers, ", "), e.Node, e.ReplicaID, e.Err)
}

func (e *LeftContainersError) Unwrap() error { return e.Err }

// UnfinishedUpgradeError says that an upgrade of this provider is at work on the
// cluster, or was begun and has not been finished.
type UnfinishedUpgradeError struct {
	Step      string
	Container string
	From, To  string
	Running   bool
}

func (e *UnfinishedUpgradeError) Error() string {
	if e.Running {
		return fmt.Sprintf("container %s is upgrading the cluster from %s to %s", e.Container, e.From, e.To)
	}
	return fmt.Sprintf("container %s is left of an upgrade from %s to %s that is not finished", e.Container, e.From, e.To)
}
