package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// The steps of a join and of a removal, besides those that they share with an
// upgrade.
const (
	stepJoin   = "join"
	stepRemove = "remove"
	stepLook   = "look"
)

// ReplicaOptions is what a join or a removal is asked to do.
type ReplicaOptions struct {
	Node      string // that a replica is to join on
	ReplicaID string // of the replica that is to be removed
	Host      string // DTR's external host, when it must be this one

	// ExistingReplicaID is the replica that the bootstrapper connects to; "" is the
	// first healthy one by id.
	ExistingReplicaID   string
	HTTPPort, HTTPSPort int // of a replica that joins; 0 is DTR's default

	Repository string     // of the bootstrapper's image; "" is the vendor's for the version
	Pull       PullPolicy // "" is PullMissing

	// Turn has room for one: the joins and removals that share it wait for each
	// other from beginning to end. What does not share it, in another process, is
	// kept apart by the name of the bootstrapper's container. nil is no such turn.
	Turn chan struct{}

	ProviderVersion string // written on the bootstrapper's container
	Pace            Pace
}

// turn waits for the turn and returns what hands it on.
func (o ReplicaOptions) turn(ctx context.Context, step string) (done func(), err error) {
	if o.Turn == nil {
		return func() {}, nil
	}
	select {
	case o.Turn <- struct{}{}:
		return func() { <-o.Turn }, nil
	case <-ctx.Done():
		return nil, &DetachedError{Step: step, Cause: context.Cause(ctx)}
	}
}

func newReplicaRun(c Cluster, o ReplicaOptions) *run {
	return newRun(c, Options{Repository: o.Repository, Pull: o.Pull, ProviderVersion: o.ProviderVersion, Pace: o.Pace})
}

// Join has a replica join the cluster, at the version that the cluster runs, and
// returns it once it has proved itself. What an earlier join on the node has made
// is taken over, and nothing is made twice. The error is a *ReplicaError around
// those of Run, or an *UnfinishedUpgradeError.
func Join(ctx context.Context, c Cluster, o ReplicaOptions) (Member, error) {
	r := newReplicaRun(c, o)
	member, err := r.join(ctx, o)
	if err != nil {
		return Member{}, &ReplicaError{Step: stepJoin, Node: o.Node, Err: stoppedBy(ctx, stepJoin, err)}
	}
	return member, nil
}

func (r *run) join(ctx context.Context, o ReplicaOptions) (m Member, err error) {
	done, err := o.turn(ctx, stepJoin)
	if err != nil {
		return Member{}, err
	}
	defer done()
	if _, err := r.judge(ctx, o, PreflightJoin); err != nil {
		return Member{}, err
	}
	t := r.joinTask(o)
	var id string // which the bootstrapper's container tells
	err = runSteps(ctx, t.name, []Step{
		{stepJoin, nil, func(ctx context.Context) error {
			state, err := r.perform(ctx, t)
			id = state.Labels[labelReplica]
			return err
		}},
		{stepVerify, nil, func(ctx context.Context) error {
			return r.verifyMembers(ctx, func(i *Inventory) []Problem { return notJoined(i, id, o.Node) })
		}},
		{stepLook, nil, func(ctx context.Context) (err error) { m, err = FindReplica(ctx, r.cluster, id); return err }},
		// Last of all: without the container nobody knows whose replica it is until
		// the caller has written it down.
		{stepTidy, nil, func(ctx context.Context) error { return r.tidyReplica(ctx, t.mine) }},
	})
	return m, err
}

// verifyMembers waits until the whole cluster is well, with or without a replica:
// the next join or removal must find it so.
func (r *run) verifyMembers(ctx context.Context, problems func(*Inventory) []Problem) error {
	inventory, err := Inspect(ctx, r.cluster)
	if err != nil {
		return err
	}
	return r.verify(ctx, inventory.CurrentVersion(), problems)
}

// Remove removes a replica from the cluster, which goes on without it. A replica
// that is proved to be gone is no error. The error is like that of Join.
func Remove(ctx context.Context, c Cluster, o ReplicaOptions) error {
	r := newReplicaRun(c, o)
	if err := r.leave(ctx, o); err != nil {
		return &ReplicaError{Step: stepRemove, ReplicaID: o.ReplicaID, Err: stoppedBy(ctx, stepRemove, err)}
	}
	return nil
}

func (r *run) leave(ctx context.Context, o ReplicaOptions) error {
	done, err := o.turn(ctx, stepRemove)
	if err != nil {
		return err
	}
	defer done()
	obs, err := r.judge(ctx, o, PreflightRemove)
	if err != nil {
		return err
	}
	t := r.removeTask(o)
	about := func(s containerState) bool { return s.Labels[labelReplica] == o.ReplicaID }
	state, found, err := r.findContainer(ctx)
	if err != nil {
		return err
	}
	if !obs.has(o.ReplicaID) && (!found || !t.mine(state)) {
		return r.tidyReplica(ctx, about)
	}
	return runSteps(ctx, t.name, []Step{
		{stepRemove, nil, func(ctx context.Context) error { _, err := r.perform(ctx, t); return err }},
		{stepVerify, nil, func(ctx context.Context) error { return r.verifyRemoved(ctx, o.ReplicaID) }},
		{stepTidy, nil, func(ctx context.Context) error { return r.tidyReplica(ctx, about) }},
	})
}

func (r *run) verifyRemoved(ctx context.Context, id string) error {
	return r.verifyMembers(ctx, func(i *Inventory) []Problem { return notRemoved(i, id) })
}

// judge looks at the cluster. Errors among what is found are a *PreflightError.
func (r *run) judge(ctx context.Context, o ReplicaOptions, preflight func(*Observation, ReplicaOptions) Findings) (*Observation, error) {
	obs, err := Observe(ctx, r.cluster, r.o)
	if err != nil {
		return nil, err
	}
	if err := isMeant(o.Host, obs.Host); err != nil {
		return nil, err
	}
	r.host, r.containerName = obs.Host, containerName(obs.Host)
	if findings := preflight(obs, o); len(findings.Errors()) > 0 {
		return nil, &PreflightError{Findings: findings}
	}
	return obs, nil
}

// Member is what the cluster shows of one replica.
type Member struct {
	Replica
	Host   string          // DTR's external host
	Runs   *semver.Version // the lowest version of its containers; nil when UCP shows none
	Health string          // dtr.HealthOK or a reason
}

// FindReplica looks for a replica. A *NoSuchReplicaError is proof that there is
// none of that id: DTR lists others, and UCP shows no container of it.
func FindReplica(ctx context.Context, c Cluster, id string) (Member, error) {
	obs := &Observation{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { obs.Inventory, err = Inspect(groupCtx, c); return err })
	group.Go(func() (err error) { obs.Status, err = c.DTR.ClusterStatus(groupCtx); return err })
	if err := group.Wait(); err != nil {
		return Member{}, err
	}
	replica, ok := obs.replica(id)
	if !ok {
		return Member{}, &NoSuchReplicaError{ID: id, Host: obs.Host, Replicas: obs.ids()}
	}
	m := Member{Replica: replica, Host: obs.Host, Runs: replica.Version(), Health: obs.Status.Health[id]}
	switch {
	case !replica.Listed:
		m.Health = "DTR does not list it among its replicas"
	case m.Health == "":
		m.Health = "not reported"
	case m.Health == dtr.HealthOK:
		if summary, _ := obs.ailment(replica); summary != "" {
			m.Health = "last reported at " + obs.Status.Timestamp[id].UTC().Format(time.RFC3339)
		}
	}
	return m, nil
}

// has says whether anything is to be seen of a replica.
func (i *Inventory) has(id string) bool {
	_, ok := i.replica(id)
	return ok
}

func (i *Inventory) ids() []string {
	var ids []string
	for _, r := range i.Replicas {
		ids = append(ids, r.ID)
	}
	return ids
}

// listed are the replicas that DTR lists, but for one.
func (i *Inventory) listed(except string) []Replica {
	return slices.DeleteFunc(slices.Clone(i.Replicas), func(r Replica) bool { return !r.Listed || r.ID == except })
}

// NoSuchReplicaError is proof that the cluster has no replica of the id.
type NoSuchReplicaError struct {
	ID, Host string
	Replicas []string // that it has
}

func (e *NoSuchReplicaError) Error() string {
	return fmt.Sprintf("DTR at %s has no replica %s; its replicas are %s", e.Host, e.ID, strings.Join(e.Replicas, ", "))
}

// ReplicaError says what failed: a join on a node, or the removal of a replica.
type ReplicaError struct {
	Step      string
	ReplicaID string // that was to be removed
	Node      string // that was to be joined on
	Err       error
}

// Join says whether it was a join.
func (e *ReplicaError) Join() bool { return e.Step == stepJoin }

func (e *ReplicaError) Error() string {
	if e.Join() {
		return fmt.Sprintf("join of a replica on node %s: %v", e.Node, e.Err)
	}
	return fmt.Sprintf("removal of replica %s: %v", e.ReplicaID, e.Err)
}

func (e *ReplicaError) Unwrap() error { return e.Err }

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
