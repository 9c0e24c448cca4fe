package migration

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// newRun is a run whose cluster was looked at, with one retrigger.
func newRun(c cluster.Cluster, pace wait.Pace) *Run {
	return &Run{Runner: &runner.Runner{Cluster: c, Host: clustertest.Host, Pace: pace}, Retriggers: 1}
}

// TestPostLockOfSomebodyElse finds a container of the lock's name that another cluster,
// or nobody, has labelled: it is left alone, however long it is there.
func TestPostLockOfSomebodyElse(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	pace := clustertest.Pace
	pace.MigrationStart, pace.Consistent = time.Millisecond, time.Millisecond
	r := newRun(c, pace)
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	name := LockName(r.Host)
	id := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
		Name: name, Image: "docker/dtr-nginx:2.5.6", Node: "worker1", Labels: map[string]string{cluster.LabelCluster: "other.example.com"},
	}))
	taken, err := (&postLock{run: r}).take(t.Context())
	if foreign := clustertest.AsError[*runner.ForeignContainerError](t, err); taken || foreign.Container != name {
		t.Errorf("taken: %t, error %v", taken, err)
	}
	if !slices.ContainsFunc(sim.Containers(), func(c simulator.Container) bool { return c.ID == id }) {
		t.Error("it was removed")
	}
}

// TestPostIsLookedForUnderTheLock has another apply start the job between the look that
// finds it given up and the lock.
func TestPostIsLookedForUnderTheLock(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	pace := clustertest.Pace
	pace.Consistent = time.Nanosecond // the one look is believed, so that the lock is come to
	r := newRun(c, pace)
	m := &migration{Waiter: r.waiter(MetadataStore), retriggers: 1, lock: &postLock{run: r}}
	states := []job.State{
		{Phase: job.GaveUp, Job: clustertest.MigrationJob("first", "error", 0, time.Hour)},
		{Phase: job.Running, Job: clustertest.MigrationJob("second", "running", 2, 2*time.Hour)},
		{Phase: job.Done, Job: clustertest.MigrationJob("second", "done", 2, 2*time.Hour)},
	}
	m.Read = func(context.Context) (job.State, error) {
		state := states[0]
		states = states[min(1, len(states)-1):]
		return state, nil
	}
	if err := m.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := clustertest.Posts(sim); n > 0 {
		t.Errorf("%d POSTs of a job that another apply has started", n)
	}
	for _, container := range sim.Containers() {
		if container.Name == LockName(r.Host) {
			t.Error("the lock is not given back")
		}
	}
}

// TestRetriggerOfALaggingList has DTR show the failed attempt for a while after its
// job was started again.
func TestRetriggerOfALaggingList(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	failed := job.State{Phase: job.GaveUp, Job: clustertest.MigrationJob("a", "error", 0, time.Hour), Attempts: 3}
	reads := 0
	r := newRun(c, clustertest.Pace)
	m := &migration{retriggers: 2, lock: &postLock{run: r}, Waiter: &job.Waiter{
		Step: Step, Action: MetadataStore, Client: c.DTR, Pace: clustertest.Pace,
		Read: func(context.Context) (job.State, error) {
			if clustertest.Posts(sim) > 0 {
				reads++
			}
			if reads > 4 {
				return job.State{Phase: job.Done, Job: clustertest.MigrationJob("b", "done", 0, time.Hour), Attempts: 4}, nil
			}
			return failed, nil
		},
	}}
	if err := m.wait(clustertest.Limited(t)); err != nil {
		t.Fatal(err)
	}
	if n := clustertest.Posts(sim); n != 1 {
		t.Errorf("the job was posted %d times", n)
	}
}

// TestPostLockIsGivenBackMeanwhile has the lock's name be taken, and its container be gone
// when it is looked at. That is once no error, since another apply may have given it back.
func TestPostLockIsGivenBackMeanwhile(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	l := &postLock{run: newRun(c, clustertest.Pace)}
	taken := simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Times: 1,
		Status: http.StatusConflict, Body: `{"message":"Conflict: The name is already assigned"}`,
	}
	sim.Inject(taken)
	if held, err := l.take(t.Context()); held || err != nil {
		t.Fatalf("held: %t, error %v", held, err)
	}
	if held, err := l.take(t.Context()); !held || err != nil {
		t.Errorf("the next try: held: %t, error %v", held, err)
	}
	l.release(t.Context())
	taken.Times = 0
	sim.Inject(taken)
	_, _ = l.take(t.Context())
	_, err := l.take(t.Context())
	if blocked := clustertest.AsError[*runner.BlockedError](t, err); blocked.Container != LockName(l.run.Host) {
		t.Error(blocked)
	}
}

// TestPostLockOfAKilledApply finds the lock taken by an apply that does not come back.
func TestPostLockOfAKilledApply(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.SetMigration(simulator.MigrationFaults{NeverStart: true})
	pace := clustertest.Pace
	pace.MigrationStart, pace.Consistent = 100*time.Millisecond, 50*time.Millisecond
	killed := &postLock{run: newRun(c, pace)}
	if taken, err := killed.take(t.Context()); err != nil || !taken {
		t.Fatalf("taken: %t, error %v", taken, err)
	}
	other := &postLock{run: newRun(c, pace)}
	if taken, err := other.take(t.Context()); err != nil || taken {
		t.Fatalf("taken twice: %t, error %v", taken, err)
	}
	v := clustertest.Version("2.6.15")
	hop := transition.Hop{From: v, To: v, Rule: transition.Same, MigrationJobs: []string{MetadataStore}}
	if err := newRun(c, pace).Migrate(clustertest.Limited(t), hop); err != nil {
		t.Fatal(err)
	}
	if n := clustertest.Posts(sim); n != 1 {
		t.Errorf("%d POSTs", n)
	}
}

// TestPostLockIsEachAppliesOwn finds the lock taken by one apply after another: each has
// the whole time in which it may wait for its job.
func TestPostLockIsEachAppliesOwn(t *testing.T) {
	t.Parallel()
	_, c := clustertest.Start(t, "2.6.15")
	mine := &postLock{run: newRun(c, clustertest.Pace)}
	take := func(l *postLock) bool {
		return clustertest.Must[bool](t)(l.take(t.Context()))
	}
	for range 2 {
		other := &postLock{run: newRun(c, clustertest.Pace)}
		if !take(other) {
			t.Fatal("the lock is not to be had")
		}
		if take(mine) || !take(other) {
			t.Fatal("two have the lock")
		}
		mine.since = mine.since.Add(-time.Hour)
		engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
		if _, err := engine.Container(t.Context(), other.held.ID); err != nil {
			t.Fatalf("the lock was removed at once: %v", err)
		}
		other.release(t.Context())
	}
}

// TestMigrateBesideAJoin finds a join in place of the hop's container, which another apply
// has removed that saw the hop to its end: the join tells nothing of the hop, and is not
// in the way.
func TestMigrateBesideAJoin(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	pace := clustertest.Pace
	pace.Consistent = 50 * time.Millisecond
	r := newRun(c, pace)
	const image = "mirantis/dtr:2.6.15"
	sim.AddImage(image)
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	join := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
		Name: r.ContainerName(), Image: image, Node: "worker1", Args: []string{"join", "--replica-id", "0123456789ab", "--ucp-node", "worker2"},
		Labels: map[string]string{
			cluster.LabelCluster: r.Host, cluster.LabelCommand: cluster.CommandJoin, cluster.LabelTo: "2.6.15",
			cluster.LabelReplica: "0123456789ab", cluster.LabelNode: "worker2",
		},
	}))
	sim.ScheduleMigration()
	from, to := clustertest.Version("2.5.6"), clustertest.Version("2.6.15")
	hop := transition.Hop{From: from, To: to, Rule: transition.Classify(from, to), MigrationJobs: []string{MetadataStore}}
	if err := r.Migrate(clustertest.Limited(t), hop); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Container(t.Context(), join); err != nil {
		t.Errorf("the join's container: %v", err)
	}
}
