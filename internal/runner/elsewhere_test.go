package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// onEngine is a runner whose bootstrappers run on an engine that UCP knows nothing of.
func onEngine(t *testing.T, r *Runner) (elsewhere *simulator.Cluster, other *Runner) {
	t.Helper()
	elsewhere, _ = start(t)
	c := r.Cluster
	c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	return elsewhere, &Runner{Cluster: c, Host: r.Host, ProviderVersion: r.ProviderVersion, Pace: r.Pace}
}

// due is the task that brings the cluster to the target, unless it is there.
func due(sim *simulator.Cluster, r *Runner) Task {
	task := upgrade(sim, r)
	task.StillNeeded = func(ctx context.Context, _ Earlier) (bool, error) {
		i, err := cluster.Inspect(ctx, r.Cluster)
		return err == nil && !i.At(clustertest.Version(target)), err
	}
	return task
}

// perform performs the task meanwhile.
func perform(t *testing.T, r *Runner, task Task) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- clustertest.Second(r.Perform(clustertest.Limited(t), task)) }()
	return done
}

// runs are the bootstrappers that were started on all engines together.
func runs(engines []*simulator.Cluster) (n int) {
	for _, engine := range engines {
		n += engine.BootstrapperRuns()
	}
	return n
}

// wantOneRun fails unless one bootstrapper was started on all engines together, and the
// cluster is at the target, with no name held in UCP.
func wantOneRun(t *testing.T, sim *simulator.Cluster, others ...*simulator.Cluster) {
	t.Helper()
	clustertest.WantAt(t, sim, target)
	if n := runs(append(others, sim)); n != 1 {
		t.Errorf("%d bootstrapper runs, want 1", n)
	}
	for _, c := range sim.Containers() {
		if strings.HasSuffix(c.Name, "-elsewhere") {
			t.Errorf("container %s is left over", c.Name)
		}
	}
}

// TestBootstrapperOnAnotherEngineIsWaitedFor has one run find a bootstrapper at work on
// an engine that it does not reach.
func TestBootstrapperOnAnotherEngineIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, third := range []bool{false, true} {
		sim, r := start(t)
		elsewhere, other := onEngine(t, r)
		engines := []*simulator.Cluster{elsewhere}
		release := elsewhere.Hold(simulator.BootstrapperStarted)
		first := perform(t, other, due(sim, other))
		<-elsewhere.Reached(simulator.BootstrapperStarted)
		if third {
			var engine *simulator.Cluster
			engine, r = onEngine(t, r)
			engines = append(engines, engine)
		}
		sim.ResetRequests()
		second := perform(t, r, due(sim, r))
		looks := func() (n int) {
			for _, made := range sim.Requests() {
				if strings.HasSuffix(made.Path, "/containers/"+r.ContainerName()+"/json") {
					n++
				}
			}
			return n
		}
		for limit := clustertest.Limited(t); looks() < 3 && runs(append(engines, sim)) == 1 && limit.Err() == nil; {
			runtime.Gosched()
		}
		release()
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		wantOneRun(t, sim, engines...)
	}
}

// TestTwoEnginesAtOnce has one run find no bootstrapper, and then another run start one
// on another engine before it creates its own.
func TestTwoEnginesAtOnce(t *testing.T) {
	t.Parallel()
	for _, throughUCP := range []bool{false, true} {
		t.Run(fmt.Sprintf("the late one through UCP: %t", throughUCP), func(t *testing.T) {
			t.Parallel()
			sim, late := start(t)
			elsewhere, early := onEngine(t, late)
			engine := elsewhere // of the early one
			if !throughUCP {
				late, early, engine = early, late, sim
			}
			release := engine.Hold(simulator.BootstrapperStarted)
			defer release()
			task := due(sim, late)
			spec := task.Spec
			var first <-chan error
			begin := sync.OnceFunc(func() {
				first = perform(t, early, due(sim, early))
				<-engine.Reached(simulator.BootstrapperStarted)
				sim.ResetRequests()
				go func() { // once the late one has seen it, or has started its own
					saw := func(r simulator.Request) bool { return r.Method == http.MethodDelete }
					for limit := clustertest.Limited(t); !slices.ContainsFunc(sim.Requests(), saw) && runs([]*simulator.Cluster{sim, elsewhere}) == 1 && limit.Err() == nil; {
						runtime.Gosched()
					}
					release()
				}()
			})
			task.Spec = func(ctx context.Context) (ucp.CreateSpec, error) { begin(); return spec(ctx) }
			second := perform(t, late, task)
			if err := errors.Join(<-second, <-first); err != nil {
				t.Error(err)
			}
			wantOneRun(t, sim, elsewhere)
		})
	}
}

// TestNameHeldByNobody finds the name held in UCP by a run that was killed.
func TestNameHeldByNobody(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	elsewhere, other := onEngine(t, r)
	ctx, kill := context.WithCancel(clustertest.Limited(t))
	release := elsewhere.Hold(simulator.BootstrapperStarted)
	go func() {
		<-elsewhere.Reached(simulator.BootstrapperStarted)
		kill()
	}()
	_, err := other.Perform(ctx, due(sim, other))
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	release()
	clustertest.AwaitEnd(t, elsewhere)

	r.Pace.Outage = 100 * time.Millisecond
	_, err = r.Perform(clustertest.Limited(t), due(sim, r))
	held := clustertest.AsError[*ElsewhereError](t, err)
	if held.Container != cluster.ElsewhereName(r.Host) || held.Purpose != target {
		t.Errorf("got %+v", held)
	}
	wantRuns(t, sim, 0)

	if _, err := other.Perform(clustertest.Limited(t), due(sim, other)); err != nil {
		t.Fatal(err)
	}
	if err := other.Tidy(t.Context(), func(Container) bool { return true }); err != nil {
		t.Fatal(err)
	}
	wantOneRun(t, sim, elsewhere)
}

// TestNameIsFreeAfterAFailure has a bootstrapper on another engine fail: its container
// stays there, and keeps nobody out.
func TestNameIsFreeAfterAFailure(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	elsewhere, other := onEngine(t, r)
	elsewhere.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
	_, err := other.Perform(clustertest.Limited(t), due(sim, other))
	_ = clustertest.AsError[*BootstrapperError](t, err)
	if left, found := named(elsewhere, r.ContainerName()); !found || left.State != "exited" {
		t.Errorf("left is %+v, want the container that failed", left)
	}
	clustertest.WantNoBootstrapper(t, sim)
	if _, err := r.Perform(clustertest.Limited(t), due(sim, r)); err != nil {
		t.Error(err)
	}
	wantRuns(t, sim, 1)
}

// TestRunKilledAtARequest has a run on another engine end after each of the requests that
// create, start or remove something. The next one with the same engine goes on by itself.
func TestRunKilledAtARequest(t *testing.T) {
	t.Parallel()
	for _, killed := range []struct {
		method, path string
		lock         bool
	}{
		{http.MethodPost, "/containers/create", true},
		{http.MethodPost, "/containers/create", false},
		{http.MethodPost, "/containers/*/start", false},
		{http.MethodDelete, "/containers/*", true},
	} {
		t.Run(fmt.Sprintf("%s %s of the lock: %t", killed.method, killed.path, killed.lock), func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			elsewhere, other := onEngine(t, r)
			reached, released := make(chan struct{}), make(chan struct{})
			defer close(released)
			engine := elsewhere
			if killed.lock {
				engine = sim
			}
			engine.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Method: killed.method, Path: killed.path, Times: 1,
				Rewrite: func(status int, body []byte) (int, []byte) { close(reached); <-released; return status, body },
			})
			_ = perform(t, other, due(sim, other))
			<-reached

			again := *other
			again.Pace.Outage = 2 * time.Second
			if _, err := again.Perform(clustertest.Limited(t), due(sim, &again)); err != nil {
				t.Fatal(err)
			}
			if err := again.Tidy(t.Context(), func(Container) bool { return true }); err != nil {
				t.Fatal(err)
			}
			wantOneRun(t, sim, elsewhere)
		})
	}
}

// TestContainerOnAnotherEngineIsRemovedByHand has somebody remove the container of a run
// that was interrupted, so that only the name in UCP is left.
func TestContainerOnAnotherEngineIsRemovedByHand(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	elsewhere, other := onEngine(t, r)
	ctx, kill := context.WithCancel(clustertest.Limited(t))
	release := elsewhere.Hold(simulator.BootstrapperStarted)
	go func() {
		<-elsewhere.Reached(simulator.BootstrapperStarted)
		kill()
	}()
	_, err := other.Perform(ctx, due(sim, other))
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	release()
	clustertest.AwaitEnd(t, elsewhere)
	engine := clustertest.Must[*ucp.Engine](t)(other.Cluster.Docker.Engine(t.Context()))
	if err := engine.Discard(t.Context(), other.ContainerName()); err != nil {
		t.Fatal(err)
	}

	_, third := onEngine(t, r)
	third.Pace.Outage = 100 * time.Millisecond
	_, err = third.Perform(clustertest.Limited(t), due(sim, third))
	_ = clustertest.AsError[*ElsewhereError](t, err)

	other.Pace.Outage = 2 * time.Second
	if _, err := other.Perform(clustertest.Limited(t), due(sim, other)); err != nil {
		t.Fatal(err)
	}
	wantOneRun(t, sim, elsewhere)
}

// TestNameIsNotGivenBackAtOnce has UCP refuse to remove what holds the name, for a while.
func TestNameIsNotGivenBackAtOnce(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	elsewhere, other := onEngine(t, r)
	other.Pace.Consistent = time.Minute // five refusals on a busy machine take less
	refused := errors.New("the task is not to be done yet")
	sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodDelete, Status: http.StatusInternalServerError, Body: `{"message":"busy"}`, Times: 5})
	task := due(sim, other)
	task.StillNeeded = func(context.Context, Earlier) (bool, error) { return false, wait.Fail(refused) }
	if _, err := other.Perform(clustertest.Limited(t), task); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	r.Pace.Outage = 2 * time.Second
	if _, err := r.Perform(clustertest.Limited(t), due(sim, r)); err != nil {
		t.Fatal(err)
	}
	wantOneRun(t, sim, elsewhere)
}

// TestEngineOfAnotherIsOneOfUCPsNodes has UCP show the bootstrapper's container as well.
func TestEngineOfAnotherIsOneOfUCPsNodes(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	other := &Runner{Cluster: r.Cluster, Host: r.Host, ProviderVersion: r.ProviderVersion, Pace: r.Pace}
	other.Cluster.Docker = cluster.NewDocker(ucp.DockerConfig{Host: sim.DockerHost()})
	for range 2 {
		if _, err := other.Perform(clustertest.Limited(t), due(sim, other)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Perform(clustertest.Limited(t), due(sim, r)); err != nil {
			t.Fatal(err)
		}
	}
	wantOneRun(t, sim)
}

// leaveName has the name in UCP held as by a run on the runner's engine that was killed.
func leaveName(t *testing.T, r *Runner, node string) {
	t.Helper()
	engine := clustertest.Must[*ucp.Engine](t)(r.Cluster.Docker.Engine(t.Context()))
	create(t, r.Cluster, ucp.CreateSpec{Name: cluster.ElsewhereName(r.Host), Image: "docker/dtr-nginx:" + before, Node: node, Labels: map[string]string{
		cluster.LabelCluster: r.Host, cluster.LabelCommand: cluster.CommandLock, cluster.LabelPurpose: target, cluster.LabelHolds: "ABC",
		cluster.LabelEngine: clustertest.Must[string](t)(engine.ID(t.Context())),
	}})
}

// TestNameCannotBeGivenBack has UCP not let this run remove what holds the name.
func TestNameCannotBeGivenBack(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	elsewhere, other := onEngine(t, r)
	leaveName(t, other, "worker1")
	sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodDelete, Status: http.StatusForbidden, Body: `{"message":"access denied"}`})
	ctx, cancel := context.WithTimeout(t.Context(), 20*clustertest.Pace.Consistent)
	defer cancel()
	_, err := other.Perform(ctx, due(sim, other))
	_ = clustertest.AsError[*ElsewhereError](t, err)
	wantRuns(t, elsewhere, 0)
}

// TestNodeOfTheNameIsDown has the node of what holds the name go down before that could be
// removed.
func TestNodeOfTheNameIsDown(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Connect(t, simulator.Options{Version: before, Replicas: 3, Speed: clustertest.Speed})
	sim.AddBundle(target)
	inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	r := &Runner{Cluster: c, Host: inventory.Host, ProviderVersion: "1.2.3", Pace: clustertest.Pace}
	elsewhere, other := onEngine(t, r)
	leaveName(t, other, "worker3")
	sim.StopEngine("worker3")
	r.Pace.Outage, other.Pace.Outage = time.Second, time.Second
	_ = clustertest.AsError[*ElsewhereError](t, clustertest.Second(r.Perform(clustertest.Limited(t), upgrade(sim, r))))
	down := clustertest.AsError[*NodeDownError](t, clustertest.Second(other.Perform(clustertest.Limited(t), upgrade(sim, other))))
	if down.Container != cluster.ElsewhereName(r.Host) || down.Node != "worker3" {
		t.Errorf("got %+v", down)
	}
	wantRuns(t, sim, 0)
	wantRuns(t, elsewhere, 0)
	sim.StartEngine("worker3")
	if _, err := other.Perform(clustertest.Limited(t), due(sim, other)); err != nil {
		t.Fatal(err)
	}
	wantOneRun(t, sim, elsewhere)
}

// TestNameWasTakenForAMoment has an engine refuse the name for a container that another
// run has removed by the time that it is looked for.
func TestNameWasTakenForAMoment(t *testing.T) {
	t.Parallel()
	for _, docker := range []bool{false, true} {
		sim, r := start(t)
		engines := []*simulator.Cluster{sim}
		if docker {
			elsewhere, other := onEngine(t, r)
			engines, r = append(engines, elsewhere), other
		}
		engines[len(engines)-1].Inject(simulator.Fault{
			Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Times: 1,
			Status: http.StatusConflict, Body: `{"message":"Conflict. The container name is already in use"}`,
		})
		if _, err := r.Perform(clustertest.Limited(t), due(sim, r)); err != nil {
			t.Error(err)
		}
		wantOneRun(t, sim, engines[1:]...)
	}
}

// TestNameIsTakenTwice has the name taken, then waited for as long as answers may lag, and
// then taken once more, as where several runs want it.
func TestNameIsTakenTwice(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	_, third := onEngine(t, r)
	elsewhere, other := onEngine(t, r)
	name := cluster.ElsewhereName(r.Host)
	leaveName(t, third, "worker1")
	var mu sync.Mutex
	var refused time.Time
	second := false
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		mu.Lock()
		defer mu.Unlock()
		if shown := time.Since(refused) < 2*clustertest.Pace.Consistent; shown && !second {
			return list
		}
		return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), name) })
	}))
	engine := clustertest.Must[*ucp.Engine](t)(r.Cluster.UCP.Engine(t.Context()))
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Times: 2,
		Matches: func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "-elsewhere") },
		Rewrite: func(status int, body []byte) (int, []byte) {
			mu.Lock()
			defer mu.Unlock()
			second = !refused.IsZero()
			refused = time.Now()
			return status, body
		},
	})
	elsewhere.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodDelete, Skip: 1, Times: 1,
		Rewrite: func(status int, body []byte) (int, []byte) {
			if err := engine.Discard(t.Context(), name); err != nil {
				t.Error(err)
			}
			return status, body
		},
	})
	if _, err := other.Perform(clustertest.Limited(t), due(sim, other)); err != nil {
		t.Fatal(err)
	}
	wantOneRun(t, sim, elsewhere)
}

// TestNameIsGivenBackMeanwhile has another run give the name back just after UCP has
// refused it to this one.
func TestNameIsGivenBackMeanwhile(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	elsewhere, other := onEngine(t, r)
	name := cluster.ElsewhereName(r.Host)
	leaveName(t, other, "worker1")
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), name) })
	}))
	engine := clustertest.Must[*ucp.Engine](t)(r.Cluster.UCP.Engine(t.Context()))
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/" + name + "/json", Times: 1,
		Rewrite: func(status int, body []byte) (int, []byte) {
			if err := engine.Discard(t.Context(), name); err != nil {
				t.Error(err)
			}
			return status, body
		},
	})
	task := due(sim, other)
	stillNeeded := task.StillNeeded
	task.StillNeeded = func(ctx context.Context, e Earlier) (bool, error) {
		if _, held := named(sim, name); !held {
			t.Error("the name is not held")
		}
		return stillNeeded(ctx, e)
	}
	if _, err := other.Perform(clustertest.Limited(t), task); err != nil {
		t.Fatal(err)
	}
	wantOneRun(t, sim, elsewhere)
}

// TestForgedLock has a user of UCP, who may run no image of DTR, create a container with
// the name and labels of what stands in for a bootstrapper on another engine, and start it.
func TestForgedLock(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	sim.AddImage("alpine:3.20")
	engine := clustertest.Must[*ucp.Engine](t)(r.Cluster.UCP.Engine(t.Context()))
	id := create(t, r.Cluster, ucp.CreateSpec{
		Name: cluster.ElsewhereName(r.Host), Image: "alpine:3.20", Args: []string{"sleep", "infinity"}, Node: "worker1",
		Labels: map[string]string{cluster.LabelCluster: r.Host, cluster.LabelCommand: cluster.CommandLock, cluster.LabelNonce: "X", cluster.LabelPurpose: "replica 1a2b3c4d5e6f joins on node worker4"},
	})
	_ = engine.Start(t.Context(), id)
	r.Pace.Outage = 2 * time.Second
	_, err := r.Perform(clustertest.Limited(t), due(sim, r))
	if failure := clustertest.AsError[*ForeignContainerError](t, err); failure.Image != "alpine:3.20" {
		t.Errorf("got %+v", failure)
	}
}

// TestOneAnswerDoesNotFreeTheName has a bootstrapper at work on an engine of its own, and a
// second run on that engine that is told once that there is no such container. A third run,
// through UCP, must be kept out all the same.
func TestOneAnswerDoesNotFreeTheName(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	engine, other := onEngine(t, r)
	again := &Runner{Cluster: other.Cluster, Host: r.Host, ProviderVersion: r.ProviderVersion, Pace: r.Pace}
	release := engine.Hold(simulator.BootstrapperStarted)
	defer release()
	first := perform(t, other, due(sim, other))
	<-engine.Reached(simulator.BootstrapperStarted)
	if _, found := named(sim, cluster.ElsewhereName(r.Host)); !found {
		t.Fatal("the name is not held")
	}
	engine.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/" + r.ContainerName() + "/json", Times: 1,
		Status: http.StatusNotFound, Body: `{"message":"No such container: ` + r.ContainerName() + `"}`,
	})
	engine.ResetRequests()
	second := perform(t, again, due(sim, again))
	<-clustertest.Requested(t, engine, 6, "/json") // it follows the bootstrapper
	if _, found := named(sim, cluster.ElsewhereName(r.Host)); !found {
		t.Error("the name in UCP is free while the bootstrapper runs")
	}
	r.Pace.Outage = 3 * time.Second
	third := perform(t, r, due(sim, r))
	select {
	case err := <-third:
		_ = clustertest.AsError[*ElsewhereError](t, err)
	case <-clustertest.Requested(t, sim, 1, "/start"):
		t.Error("a second bootstrapper is started")
	}
	release()
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
	if n := runs([]*simulator.Cluster{sim, engine}); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
}

// TestNameIsGivenBackWithItsContainer gives up a container on another engine in each of
// the ways that there are, beside the name that another one holds.
func TestNameIsGivenBackWithItsContainer(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]func(context.Context, *Runner, Container) error{
		"renamed": func(ctx context.Context, r *Runner, c Container) error {
			return clustertest.Second(r.Rename(ctx, c, r.EarlierName()))
		},
		"discarded": func(ctx context.Context, r *Runner, c Container) error { return r.Discard(ctx, c) },
		"removed":   func(ctx context.Context, r *Runner, c Container) error { return clustertest.Second(r.Remove(ctx, c)) },
	} {
		for holder, free := range map[string]bool{"its own": true, "of another container": false} {
			t.Run(name+", "+holder, func(t *testing.T) {
				t.Parallel()
				sim, r := start(t)
				_, other := onEngine(t, r)
				spec := upgradeSpec(sim, other)
				spec.Name = other.ContainerName()
				c := clustertest.Must[Container](t)(other.Create(t.Context(), spec))
				holds := c.Labels[cluster.LabelHolds]
				if holds == "" {
					t.Fatal("the container has no label that tells whose the name is")
				}
				if !free {
					holds = "another"
				}
				if _, err := other.CreateLock(t.Context(), cluster.ElsewhereName(r.Host), map[string]string{cluster.LabelHolds: holds}); err != nil {
					t.Fatal(err)
				}
				if err := giveUp(t.Context(), other, c); err != nil {
					t.Fatal(err)
				}
				if _, held := named(sim, cluster.ElsewhereName(r.Host)); held == free {
					t.Errorf("the name is held: %t", held)
				}
			})
		}
	}
}
