package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
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

// soon is a limit for runs that wait for no grace time of a minute.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// orphaned performs the upgrade until its second phase runs, whose first phase is
// killed. release lets the second phase go on.
func orphaned(t *testing.T, sim *simulator.Cluster, r *Runner) (release func()) {
	t.Helper()
	release = sim.Hold(simulator.ReplicaStarted(1))
	t.Cleanup(release)
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(1))
		sim.KillContainer(r.ContainerName())
	}()
	_, err := r.Perform(soon(t), upgrade(sim, r))
	_ = clustertest.AsError[*BootstrapperError](t, err)
	return release
}

// failing refuses so many requests of a service, more than the clients repeat by
// themselves, and returns a channel that is closed with the last one.
func failing(sim *simulator.Cluster, service string) <-chan struct{} {
	over := make(chan struct{})
	left, mu := 20, sync.Mutex{}
	sim.Inject(simulator.Fault{Service: service, Status: http.StatusServiceUnavailable, Times: left, Matches: func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			close(over)
		}
		return true
	}})
	return over
}

// TestPerformOutlastsAnOutage has a service be out of reach for a while, from the first
// request on, after the container was created, and while a second phase is waited for.
func TestPerformOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	for _, service := range []string{simulator.ServiceDTR, simulator.ServiceEngine} {
		t.Run(service+" at first", func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			failing(sim, service)
			if _, err := r.Perform(soon(t), upgrade(sim, r)); err != nil {
				t.Fatal(err)
			}
			wantRuns(t, sim, 1)
		})
		t.Run(service+" before the start", func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			task := upgrade(sim, r)
			begin := sync.OnceFunc(func() { failing(sim, service) })
			task.StillNeeded = func(ctx context.Context, _ Earlier) (bool, error) {
				begin()
				_, err := cluster.Inspect(ctx, r.Cluster)
				return true, err
			}
			if _, err := r.Perform(soon(t), task); err != nil {
				t.Fatal(err)
			}
			wantRuns(t, sim, 1)
		})
		t.Run(service+" in the second phase", func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			release := orphaned(t, sim, r)
			go func() {
				<-failing(sim, service)
				release()
			}()
			if _, err := r.Perform(soon(t), upgrade(sim, r)); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, target)
		})
	}
}

// TestPerformBoundsItsWaits has a container in the way that does not go away.
func TestPerformBoundsItsWaits(t *testing.T) {
	t.Parallel()
	inspect := func(path string) simulator.Fault {
		return simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodGet, Path: path}
	}
	for name, tt := range map[string]struct {
		left   bool // an ended container of an earlier run
		fault  func(name string) simulator.Fault
		status string
		says   string
		tries  int // at most, of the request that is refused
	}{
		"a name that is taken by nothing": {false, func(string) simulator.Fault {
			return simulator.Fault{Method: http.MethodPost, Path: "/containers/create", Status: http.StatusConflict, Body: `{"message":"already in use by container abc"}`}
		}, "", "already in use by container abc", 2}, // the other may have been removed between the refusal and the look
		"a container that stays in removal": {true, func(name string) simulator.Fault {
			f := inspect("/containers/" + name + "/json")
			f.Rewrite = func(status int, body []byte) (int, []byte) {
				return status, bytes.Replace(body, []byte(`"Status":"exited"`), []byte(`"Status":"removing"`), 1)
			}
			return f
		}, cluster.StateRemoving, "removing", 1000},
		"a container that is not removed": {true, func(string) simulator.Fault {
			return simulator.Fault{Method: http.MethodDelete, Path: "/containers/*", Status: http.StatusConflict, Body: `{"message":"removal is already in progress"}`}
		}, "exited", "removal is already in progress", 100},
		"a record that cannot be renamed": {true, func(string) simulator.Fault {
			return simulator.Fault{Method: http.MethodPost, Path: "/containers/*/rename", Status: http.StatusConflict, Body: `{"message":"already in use"}`}
		}, "exited", "cannot be renamed", 100},
		"a removal that is refused": {true, func(string) simulator.Fault {
			return simulator.Fault{Method: http.MethodDelete, Path: "/containers/*", Status: http.StatusInternalServerError, Body: `{"message":"access denied"}`}
		}, "exited", "access denied", 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			if tt.left {
				sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
				task := upgrade(sim, r)
				if strings.Contains(name, "record") {
					task.Spec = func(context.Context) (ucp.CreateSpec, error) {
						spec := upgradeSpec(sim, r)
						spec.Args, spec.Image = []string{"join", "--replica-id", "0123456789ab"}, "docker/dtr:"+before
						sim.AddImage(spec.Image)
						spec.Labels = map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: "0123456789ab", cluster.LabelTo: before}
						return spec, nil
					}
				}
				_, err := r.Perform(soon(t), task)
				_ = clustertest.AsError[*BootstrapperError](t, err)
			}
			sim.ResetRequests()
			fault := tt.fault(r.ContainerName())
			sim.Inject(fault)
			_, err := r.Perform(soon(t), upgrade(sim, r))
			blocked := clustertest.AsError[*BlockedError](t, err)
			if cluster.BaseName(blocked.Container) != r.ContainerName() || blocked.Status != tt.status || !strings.Contains(blocked.Error(), tt.says) {
				t.Errorf("got %+v, want it to name the container, its status and %q", blocked, tt.says)
			}
			tries := 0
			for _, change := range clustertest.Changes(sim) {
				if strings.HasPrefix(change, fault.Method) {
					tries++
				}
			}
			if tries > tt.tries {
				t.Errorf("it tried %d times", tries)
			}
		})
	}
}

// down has UCP list the containers of a name as those of a node that it does not reach,
// with their last state.
func down(name string) simulator.Fault {
	return simulator.Fault{
		Service: simulator.ServiceEngine, Path: "/containers/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var list []map[string]any
			if err := json.Unmarshal(body, &list); err != nil {
				return status, body
			}
			for _, c := range list {
				if strings.HasSuffix(c["Names"].([]any)[0].(string), "/"+name) {
					c["State"], c["Status"] = "running", "Host Down"
				}
			}
			changed, _ := json.Marshal(list)
			return status, changed
		},
	}
}

// TestNodeOfABootstrapperIsDown waits for a bootstrapper, and for a second phase, on a
// node that UCP does not reach any more.
func TestNodeOfABootstrapperIsDown(t *testing.T) {
	t.Parallel()
	t.Run("second phase", func(t *testing.T) {
		t.Parallel()
		sim, r := start(t)
		orphaned(t, sim, r)
		sim.Inject(down(cluster.Phase2Name))
		r.Pace.Outage = 100 * time.Millisecond
		_, err := r.Perform(soon(t), upgrade(sim, r))
		if lost := clustertest.AsError[*NodeDownError](t, err); lost.Container != cluster.Phase2Name || lost.Node != "worker1" {
			t.Errorf("got %+v", lost)
		}
		wantRuns(t, sim, 1)
	})
	t.Run("bootstrapper", func(t *testing.T) {
		t.Parallel()
		sim, r := start(t)
		defer sim.Hold(simulator.ReplicaStarted(1))()
		sim.At(simulator.ReplicaStarted(1), func() {
			sim.Inject(down(r.ContainerName()))
			sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json", Status: http.StatusInternalServerError})
		})
		r.Pace.Outage = 100 * time.Millisecond
		_, err := r.Perform(soon(t), upgrade(sim, r))
		if lost := clustertest.AsError[*NodeDownError](t, err); lost.Container != r.ContainerName() || lost.Node != "worker1" {
			t.Errorf("got %+v", lost)
		}
		_, err = r.Perform(soon(t), upgrade(sim, r)) // it is looked for by its name
		if lost := clustertest.AsError[*NodeDownError](t, err); lost.Container != r.ContainerName() || lost.Node != "worker1" {
			t.Errorf("the next run: got %+v", lost)
		}
	})
}

// TestOneAnswerIsNotBelieved has UCP say once that there is no container, while it runs.
func TestOneAnswerIsNotBelieved(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	r.Pace.Consistent = time.Minute // three answers on a busy machine take less
	sim.At(simulator.ReplicaStarted(1), func() {
		sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json", Status: http.StatusNotFound, Times: 3})
	})
	reached, release := sim.HoldNth(simulator.ReplicaReplaced(1), 1)
	go func() {
		<-reached
		<-clustertest.Requested(t, sim, 8, "/json")
		release()
	}()
	if _, err := r.Perform(soon(t), upgrade(sim, r)); err != nil {
		t.Fatal(err)
	}
	wantRuns(t, sim, 1)
}

// TestLostAnswersToCreateAndStart loses the answer to a request that was carried out. The
// run goes on with its container, without waiting for one that somebody else may start.
func TestLostAnswersToCreateAndStart(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"creation: no answer":        {Path: "/containers/create", AfterEffect: true},
		"creation: a gateway's":      {Path: "/containers/create", AfterEffect: true, Status: http.StatusGatewayTimeout},
		"creation: a second attempt": {Path: "/containers/create", AfterEffect: true, Status: http.StatusConflict},
		"creation: not carried out":  {Path: "/containers/create", Reset: true},
		"start: no answer":           {Path: "/containers/*/start", AfterEffect: true},
		"start: a gateway's":         {Path: "/containers/*/start", AfterEffect: true, Status: http.StatusBadGateway},
		"start: not carried out":     {Path: "/containers/*/start", Reset: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			r.Pace.Consistent = time.Minute
			if strings.HasSuffix(name, "not carried out") { // which nothing but time tells
				r.Pace.Consistent = 100 * time.Millisecond
			}
			fault.Method, fault.Times = http.MethodPost, 1
			sim.Inject(fault)
			c, err := r.Perform(soon(t), upgrade(sim, r))
			if err != nil {
				t.Fatal(err)
			}
			asked, want := 0, 1
			for _, q := range sim.Requests() {
				if strings.HasSuffix(q.Path, "/containers/create") && !q.Bootstrapper() {
					asked++
				}
			}
			if name == "creation: not carried out" {
				want = 2
			}
			if asked != want { // its own container, which does not run, is started and not made anew
				t.Errorf("%d requests to create a container, want %d", asked, want)
			}
			if left, _ := named(sim, r.ContainerName()); left.ID != c.ID || left.Labels[cluster.LabelNonce] == "" || r.Runs != 1 {
				t.Errorf("container %s after %d runs, left is %+v", c.ID, r.Runs, left)
			}
			clustertest.WantAt(t, sim, target)
			wantRuns(t, sim, 1)
		})
	}
}

// TestRefusedRequestsLeaveNothing has an engine refuse to create, or to start, the
// container.
func TestRefusedRequestsLeaveNothing(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/containers/create", "/containers/*/start"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			r.Pace.Consistent = 50 * time.Millisecond
			sim.Inject(simulator.Fault{Method: http.MethodPost, Path: path, Status: http.StatusInternalServerError, Body: `{"message":"no space left on device"}`})
			_, err := r.Perform(soon(t), upgrade(sim, r))
			if err == nil || !strings.Contains(err.Error(), "no space left on device") {
				t.Errorf("got %v, want the engine's answer", err)
			}
			clustertest.WantNoBootstrapper(t, sim)
			wantRuns(t, sim, 0)
		})
	}
}

// TestEarlierBootstrapperIsNotWaitedFor finds a bootstrapper that has not done its work:
// one that said it had, and one that failed. That UCP's list may lag behind it counts only
// for the first, and only if it ended just now, by the engine's clock. The container is
// then removed at once.
func TestEarlierBootstrapperIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]simulator.BootstrapperFaults{
		"said that it had done it, an hour ago": {DieAtReplica: -1, ClaimSuccess: true},
		"failed just now":                       {DieAtReplica: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			sim.SetBootstrapper(faults)
			c, err := r.Perform(soon(t), upgrade(sim, r))
			if (err == nil) != faults.ClaimSuccess {
				t.Fatal(err)
			}
			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			r.Pace.Consistent = time.Minute
			if faults.ClaimSuccess {
				sim.Inject(anHourAgo(r))
			}
			task := upgrade(sim, r)
			task.SkipIfDone = true
			ctx, cancel := context.WithCancel(soon(t))
			removed := clustertest.Requested(t, sim, 1, "/containers/"+c.ID)
			go func() { <-removed; cancel() }()
			_, _ = r.Perform(ctx, task)
			isRemoval := func(change string) bool {
				return strings.HasPrefix(change, "DELETE ") && strings.HasSuffix(change, "/containers/"+c.ID)
			}
			if !slices.ContainsFunc(clustertest.Changes(sim), isRemoval) {
				t.Error("the one that did not do its work is not removed within half a minute")
			}
		})
	}
}

// anHourAgo has the bootstrapper's container have ended an hour before it did.
func anHourAgo(r *Runner) simulator.Fault {
	return simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/" + r.ContainerName() + "/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var state struct{ State struct{ FinishedAt string } }
			_ = json.Unmarshal(body, &state)
			ended, err := time.Parse(time.RFC3339Nano, state.State.FinishedAt)
			if err != nil || ended.Year() < 2000 {
				return status, body
			}
			return status, bytes.ReplaceAll(body, []byte(state.State.FinishedAt), []byte(ended.Add(-time.Hour).Format(time.RFC3339Nano)))
		},
	}
}

// TestJustEndedIsJudgedByTheNodesClock has UCP's list lag behind a bootstrapper that has
// ended just now, on a node whose clock is minutes behind that of UCP's manager; or whose
// log, which tells that clock, cannot be read. A list that is incomplete is not believed
// whenever it ended.
func TestJustEndedIsJudgedByTheNodesClock(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		incomplete bool // UCP does not show a container, rather than the one of before
		noLog      bool
	}{
		"just now":                  {},
		"at a time that is unknown": {noLog: true},
		"an hour ago":               {incomplete: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			first := clustertest.Must[Container](t)(r.Perform(soon(t), upgrade(sim, r)))
			r.Pace.Consistent = 30 * time.Second
			isNginx := func(c clustertest.Listed) bool {
				return strings.Contains(c.Name(), "dtr-nginx-") && strings.HasSuffix(c["Image"].(string), ":"+target)
			}
			if tt.incomplete {
				sim.Inject(anHourAgo(r))
			}
			if tt.noLog {
				sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/*/logs", Status: http.StatusNotImplemented})
			}
			lists := 0
			sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
				if lists++; lists > 4 {
					return list
				}
				if tt.incomplete {
					return slices.DeleteFunc(list, isNginx)
				}
				for _, c := range list {
					if isNginx(c) {
						c["Image"] = "docker/dtr-nginx:" + before
					}
				}
				return list
			}))
			again := clustertest.Must[Container](t)(r.Perform(soon(t), upgrade(sim, r)))
			if again.ID != first.ID {
				t.Error("it was run again")
			}
			wantRuns(t, sim, 1)
		})
	}
}

// TestWaitForAnotherTaskIsNamed ends the context while the bootstrapper of another task
// runs.
func TestWaitForAnotherTaskIsNamed(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	defer sim.Hold(simulator.BootstrapperStarted)()
	other := upgrade(sim, r)
	ctx, cancel := context.WithCancel(soon(t))
	go func() {
		<-sim.Reached(simulator.BootstrapperStarted)
		cancel()
	}()
	_, err := r.Perform(ctx, other)
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	task := upgrade(sim, r)
	task.Owns = func(Container) bool { return false }
	sim.ResetRequests()
	ctx, cancel = context.WithCancel(soon(t))
	go func() {
		<-clustertest.Requested(t, sim, 6, "/containers/"+r.ContainerName()+"/json")
		cancel()
	}()
	_, err = r.Perform(ctx, task)
	detached := clustertest.AsError[*wait.DetachedError](t, err)
	if len(detached.Seen) != 1 || !strings.Contains(detached.Seen[0], r.ContainerName()) || !strings.Contains(detached.Seen[0], target) {
		t.Errorf("got %+v, want it to name the container that was waited for", detached)
	}
}

// beforeItsStart has so many looks at the container that the bootstrapper runs in, once
// it is started, show what was before that.
func beforeItsStart(sim *simulator.Cluster, looks int) {
	started := make(chan struct{})
	sim.At(simulator.ReplicaStarted(1), sync.OnceFunc(func() { close(started) }))
	var mu sync.Mutex
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			mu.Lock()
			defer mu.Unlock()
			var shown map[string]any
			if err := json.Unmarshal(body, &shown); err != nil || looks == 0 || !strings.Contains(shown["Name"].(string), "dtr-upgrade-") {
				return status, body
			}
			select {
			case <-started:
				looks--
				maps.Copy(shown["State"].(map[string]any), map[string]any{
					"Status": "created", "Running": false, "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z",
				})
				changed, _ := json.Marshal(shown)
				return status, changed
			default:
				return status, body
			}
		},
	})
}

// TestLookOfBeforeTheStart has the engine's answers lag behind a start: a container that
// has not ended is not taken for one that has, with status 0. One that is shown so for
// longer than answers lag behind is named.
func TestLookOfBeforeTheStart(t *testing.T) {
	t.Parallel()
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		sim, r := start(t)
		r.Pace.Consistent = time.Minute
		reached, release := sim.HoldNth(simulator.ReplicaReplaced(1), 1)
		beforeItsStart(sim, 1)
		go func() {
			<-reached
			<-clustertest.Requested(t, sim, 4, "/json")
			release()
		}()
		if _, err := r.Perform(soon(t), upgrade(sim, r)); err != nil {
			t.Fatal(err)
		}
		clustertest.WantAt(t, sim, target)
		wantRuns(t, sim, 1)
	})
	t.Run("always", func(t *testing.T) {
		t.Parallel()
		sim, r := start(t)
		defer sim.Hold(simulator.ReplicaReplaced(1))()
		beforeItsStart(sim, -1)
		_, err := r.Perform(soon(t), upgrade(sim, r))
		if blocked := clustertest.AsError[*BlockedError](t, err); blocked.Status != cluster.StateCreated {
			t.Errorf("got %+v", blocked)
		}
	})
}

// TestBlocksAreCountedApart has two things be in the way one after the other, or one
// again after it was not: each has the whole time of grace.
func TestBlocksAreCountedApart(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]bool{"another reason": false, "the same again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
			_, err := r.Perform(soon(t), upgrade(sim, r))
			_ = clustertest.AsError[*BootstrapperError](t, err)
			stuck := simulator.Fault{
				Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/" + r.ContainerName() + "/json",
				Rewrite: func(status int, body []byte) (int, []byte) {
					return status, bytes.Replace(body, []byte(`"Status":"exited"`), []byte(`"Status":"removing"`), 1)
				},
			}
			mend := sim.Inject(stuck)
			const grace = 20 * time.Millisecond
			p := &taskRun{Runner: r, task: upgrade(sim, r), starting: r.NewStarting(), nonces: map[string]bool{}, blocked: wait.Lasting{Limit: grace}}
			p.blockedBy = "create"
			p.blocked.Seen(true)
			if outage {
				if done, err := p.next(soon(t)); done || err != nil {
					t.Fatalf("at first: done %t, error %v", done, err)
				}
				mend()
				restore := sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/*/json", Status: http.StatusServiceUnavailable})
				if _, err := p.next(soon(t)); err == nil {
					t.Fatal("no error of the outage")
				}
				restore()
				sim.Inject(stuck)
			}
			<-time.After(2 * grace)
			if done, err := p.next(soon(t)); done || err != nil {
				t.Errorf("done %t, error %v", done, err)
			}
		})
	}
}

// TestStartedAndEndedWhoseAnswerIsLost has a bootstrapper have ended by the time at which
// the run looks whether it was started.
func TestStartedAndEndedWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	ended := sim.Reached(simulator.BootstrapperFinished)
	sim.Inject(simulator.Fault{Method: http.MethodPost, Path: "/containers/*/start", Times: 1, Rewrite: func(int, []byte) (int, []byte) {
		<-ended
		clustertest.AwaitEnd(t, sim)
		return http.StatusBadGateway, nil
	}})
	if _, err := r.Perform(soon(t), upgrade(sim, r)); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, target)
	wantRuns(t, sim, 1)
}

// TestContainerThatIsNotShownForAMoment has UCP not show a bootstrapper's container for
// some looks, when all replicas are at the target and the bootstrapper is about to fail.
func TestContainerThatIsNotShownForAMoment(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	r.Pace.Consistent = time.Minute
	one := 1
	sim.SetBootstrapper(simulator.BootstrapperFaults{ExitStatus: &one})
	reached, release := sim.HoldNth(simulator.BootstrapperFinished, 1)
	go func() {
		<-reached
		sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json", Status: http.StatusNotFound, Times: 6})
		<-clustertest.Requested(t, sim, 10, "/json")
		release()
	}()
	_, err := r.Perform(soon(t), upgrade(sim, r))
	if failure := clustertest.AsError[*BootstrapperError](t, err); failure.ExitCode != 1 || failure.Missing {
		t.Errorf("got %v", failure)
	}
}
