package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// wantRuns fails unless so many bootstrappers were started.
func wantRuns(t *testing.T, sim *simulator.Cluster, n int) {
	t.Helper()
	if got := sim.BootstrapperRuns(); got != n {
		t.Errorf("%d bootstrapper runs, want %d", got, n)
	}
}

// named is the container of a name, without its node.
func named(sim *simulator.Cluster, name string) (simulator.Container, bool) {
	list := sim.Containers()
	i := slices.IndexFunc(list, func(c simulator.Container) bool { return c.Name == name })
	if i < 0 {
		return simulator.Container{}, false
	}
	return list[i], true
}

// TestPerformStartsOneBootstrapper performs a task twice. The container stays as the
// lock and as the record of the first time, until it is tidied away.
func TestPerformStartsOneBootstrapper(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	first := clustertest.Must[Container](t)(r.Perform(clustertest.Limited(t), upgrade(sim, r)))
	clustertest.WantAt(t, sim, target)
	left, found := named(sim, r.ContainerName())
	if !found || left.State != "exited" || left.ID != first.ID || left.Node != "worker1" {
		t.Errorf("left is %+v, want the container of the task, ended", left)
	}
	for label, want := range map[string]string{cluster.LabelCluster: r.Host, cluster.LabelProvider: "1.2.3", cluster.LabelTo: target} {
		if got := left.Labels[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	again := clustertest.Must[Container](t)(r.Perform(clustertest.Limited(t), upgrade(sim, r)))
	if again.ID != first.ID {
		t.Error("the second time, the container is another one")
	}
	wantRuns(t, sim, 1)

	for _, finished := range []bool{false, true} {
		if err := r.Tidy(t.Context(), func(Container) bool { return finished }); err != nil {
			t.Fatal(err)
		}
		if _, found := named(sim, r.ContainerName()); found == finished {
			t.Errorf("finished: %t, and the container is there: %t", finished, found)
		}
	}
}

func TestTidyKeepsABootstrapperAtWork(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	defer sim.Hold(simulator.BootstrapperStarted)()
	ctx, cancel := context.WithCancel(clustertest.Limited(t))
	go func() {
		<-sim.Reached(simulator.BootstrapperStarted)
		cancel()
	}()
	_, err := r.Perform(ctx, upgrade(sim, r))
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	if err := r.Tidy(t.Context(), func(Container) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if c, _ := named(sim, r.ContainerName()); !c.Running() {
		t.Errorf("the container is %+v, want it to run", c)
	}
}

// TestPerformDetachesAndAdopts ends the context while a bootstrapper runs: it goes on,
// and the next run waits for it instead of starting another.
func TestPerformDetachesAndAdopts(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	release := sim.Hold(simulator.ReplicaStarted(1))
	ctx, cancel := context.WithCancelCause(clustertest.Limited(t))
	stopped := errors.New("the user has stopped it")
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(1))
		cancel(stopped)
	}()
	first, err := r.Perform(ctx, upgrade(sim, r))
	detached := clustertest.AsError[*wait.DetachedError](t, err)
	if cluster.BaseName(detached.Container) != r.ContainerName() || detached.Step != "upgrade" || !errors.Is(err, stopped) {
		t.Errorf("got %+v, want it to name the container, the step and the cause", detached)
	}
	if c, _ := named(sim, r.ContainerName()); !c.Running() || r.Runs != 1 {
		t.Errorf("container %+v after %d runs, want it to run", c, r.Runs)
	}

	later := &Runner{Cluster: r.Cluster, Host: r.Host, Pace: r.Pace}
	limited, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	done := make(chan error, 1)
	var adopted Container
	go func() {
		var err error
		adopted, err = later.Perform(limited, upgrade(sim, later))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("the container that runs was not adopted: %v", err)
	case <-clustertest.Requested(t, sim, 2, "/containers/"+first.ID+"/logs"):
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if adopted.ID != first.ID || later.Runs != 1 {
		t.Errorf("container %s after %d runs, want %s to be adopted", adopted.ID, later.Runs, first.ID)
	}
	clustertest.WantAt(t, sim, target)
	wantRuns(t, sim, 1)
}

// TestPerformTwiceAtOnceStartsOneBootstrapper has two runs find no container, and then
// create theirs at the same time.
func TestPerformTwiceAtOnceStartsOneBootstrapper(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	r.Pace.Consistent = time.Minute // a slow one is not taken for one that was killed
	errs := make([]error, 2)
	var group, met sync.WaitGroup
	met.Add(len(errs))
	for i := range errs {
		one := *r
		task := upgrade(sim, &one)
		meet := sync.OnceFunc(func() { met.Done(); met.Wait() })
		task.Spec = func(context.Context) (ucp.CreateSpec, error) { meet(); return upgradeSpec(sim, &one), nil }
		group.Go(func() { _, errs[i] = one.Perform(clustertest.Limited(t), task) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	clustertest.WantAt(t, sim, target)
	wantRuns(t, sim, 1)
}

func TestPerformRefusesAForeignContainer(t *testing.T) {
	t.Parallel()
	const id = "0123456789ab"
	for name, tt := range map[string]struct {
		labels map[string]string
		image  string // "" is the bootstrapper's
		args   []string
		starts bool
		status string
	}{
		"without labels":     {status: cluster.StateCreated},
		"of another cluster": {labels: map[string]string{cluster.LabelCluster: "dtr.other.example.com", cluster.LabelTo: target}, status: cluster.StateCreated},
		"at work":            {starts: true, status: cluster.StateRunning},
		// Labels that are as good as any, on what was not made for what they say.
		"of another image":     {labels: map[string]string{cluster.LabelTo: target}, image: "docker/dtr-nginx:" + before, status: cluster.StateCreated},
		"of another command":   {labels: map[string]string{cluster.LabelTo: target}, args: []string{"images"}, status: cluster.StateCreated},
		"of no command":        {labels: map[string]string{cluster.LabelTo: target}, args: []string{}, status: cluster.StateCreated},
		"of no join":           {labels: map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: id}, status: cluster.StateCreated},
		"of another replica":   {labels: map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: id}, args: []string{"join", "--replica-id", "0123456789ac"}, status: cluster.StateCreated},
		"on another node":      {labels: map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: id, cluster.LabelNode: "worker1"}, args: []string{"join", "--replica-id", id, "--ucp-node", "worker2"}, status: cluster.StateCreated},
		"of another's removal": {labels: map[string]string{cluster.LabelCommand: cluster.CommandRemove, cluster.LabelReplica: id}, args: []string{"remove", "--replica-ids", "0123456789ac"}, status: cluster.StateCreated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			spec := upgradeSpec(sim, r)
			spec.Name, spec.Labels = r.ContainerName(), tt.labels
			if tt.labels != nil && tt.labels[cluster.LabelCluster] == "" {
				spec.Labels[cluster.LabelCluster] = r.Host
			}
			if tt.image != "" {
				spec.Image = tt.image
			}
			if tt.args != nil {
				spec.Args = tt.args
			}
			id := create(t, r.Cluster, spec)
			if tt.starts {
				defer sim.Hold(simulator.BootstrapperStarted)()
				engine := clustertest.Must[*ucp.Engine](t)(r.Cluster.UCP.Engine(t.Context()))
				if err := engine.Start(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				<-sim.Reached(simulator.BootstrapperStarted)
			}
			sim.ResetRequests()
			_, err := r.Perform(clustertest.Limited(t), upgrade(sim, r))
			refused := clustertest.AsError[*ForeignContainerError](t, err)
			if refused.Container != r.ContainerName() || refused.Image != spec.Image || refused.Status != tt.status {
				t.Errorf("got %+v", refused)
			}
			if did := clustertest.Changes(sim); len(did) > 0 {
				t.Errorf("something was touched: %v", did)
			}
		})
	}
}

// TestPerformReportsAFailure has a bootstrapper go wrong. Either of its exit status
// and its log is enough, and its container stays for the next run to read.
func TestPerformReportsAFailure(t *testing.T) {
	t.Parallel()
	three := 3
	for name, tt := range map[string]struct {
		faults simulator.BootstrapperFaults
		exit   int
		fatal  string
		known  bool
	}{
		"an exit status alone":        {faults: simulator.BootstrapperFaults{ExitStatus: &three}, exit: 3},
		"an exit status without log":  {faults: simulator.BootstrapperFaults{ExitStatus: &three, Silent: true}, exit: 3},
		"a fatal record alone":        {faults: simulator.BootstrapperFaults{FatalRecord: "it went wrong"}, fatal: "it went wrong"},
		"both":                        {faults: simulator.BootstrapperFaults{DieAtReplica: -1, FatalRecord: "it went wrong"}, exit: 1, fatal: "it went wrong"},
		"a failure of a known reason": {faults: simulator.BootstrapperFaults{FatalRecord: "no valid trust data for 2.5.17"}, fatal: "no valid trust data for 2.5.17", known: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			sim.SetBootstrapper(tt.faults)
			c, err := r.Perform(clustertest.Limited(t), upgrade(sim, r))
			failure := clustertest.AsError[*BootstrapperError](t, err)
			if failure.Fatal != tt.fatal || failure.Missing || failure.ExitCode != tt.exit {
				t.Errorf("got %+v, want exit status %d and fatal record %q", failure, tt.exit, tt.fatal)
			}
			if !strings.HasPrefix(failure.Image, "docker/dtr:") || cluster.BaseName(failure.Container) != r.ContainerName() || (failure.Failure != nil) != tt.known {
				t.Errorf("got %+v", failure)
			}
			if logged := len(failure.Log) > 0; logged == tt.faults.Silent || len(failure.Log) > tailLines {
				t.Errorf("%d lines of its log", len(failure.Log))
			}
			if left, found := named(sim, r.ContainerName()); !found || left.ID != c.ID || left.Running() {
				t.Errorf("left is %+v, want the container that failed", left)
			}
			wantRuns(t, sim, 1)
		})
	}
}

// TestPerformRunsAFailedBootstrapperAgain performs a task whose bootstrapper failed,
// with the cluster at the target or not.
func TestPerformRunsAFailedBootstrapperAgain(t *testing.T) {
	t.Parallel()
	three := 3
	for name, tt := range map[string]struct {
		faults     simulator.BootstrapperFaults
		skipIfDone bool
		refuse     error
		runs       int
		calls      string
	}{
		"not done":                             {faults: simulator.BootstrapperFaults{DieAtReplica: -1}, runs: 2, calls: "check, roll back, needed (retry, undone)"},
		"done, as it seems":                    {faults: simulator.BootstrapperFaults{ExitStatus: &three}, runs: 2, calls: "check, roll back, needed (retry)"},
		"done, and that is believed":           {faults: simulator.BootstrapperFaults{ExitStatus: &three}, skipIfDone: true, runs: 1},
		"not done, and that would be believed": {faults: simulator.BootstrapperFaults{DieAtReplica: -1}, skipIfDone: true, runs: 2, calls: "check, roll back, needed (retry, undone)"},
		"not to be started now":                {faults: simulator.BootstrapperFaults{DieAtReplica: -1}, refuse: errors.New("not now"), runs: 1, calls: "check"},
		"it said that it had done it":          {faults: simulator.BootstrapperFaults{DieAtReplica: -1, ClaimSuccess: true}, runs: 2, calls: "check, roll back, needed (retry, undone)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			r.Pace.Consistent = 50 * time.Millisecond
			sim.SetBootstrapper(tt.faults)
			if _, err := r.Perform(clustertest.Limited(t), upgrade(sim, r)); err == nil != tt.faults.ClaimSuccess {
				t.Fatalf("the first time: %v", err)
			}
			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			task := upgrade(sim, r)
			task.SkipIfDone = tt.skipIfDone
			var calls []string
			task.BeforeStart = func(context.Context) error { calls = append(calls, "check"); return tt.refuse }
			task.RollBack = func(context.Context, Container) (bool, error) { calls = append(calls, "roll back"); return false, nil }
			task.StillNeeded = func(_ context.Context, earlier Earlier) (bool, error) {
				calls = append(calls, map[Earlier]string{{}: "needed", {Failed: true}: "needed (retry)", {true, true}: "needed (retry, undone)"}[earlier])
				return true, nil
			}
			_, err := r.Perform(clustertest.Limited(t), task)
			if !errors.Is(err, tt.refuse) {
				t.Errorf("error %v, want %v", err, tt.refuse)
			}
			if got := strings.Join(calls, ", "); got != tt.calls {
				t.Errorf("calls %q, want %q", got, tt.calls)
			}
			if tt.refuse == nil {
				clustertest.WantAt(t, sim, target)
			}
			wantRuns(t, sim, tt.runs)
		})
	}
}

// TestFailedContainerIsClearedByAnotherApply has another apply remove the container of a
// bootstrapper that failed, and so repeat the task: what is left to do is looked at as if
// none had failed.
func TestFailedContainerIsClearedByAnotherApply(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
	failed, err := r.Perform(clustertest.Limited(t), upgrade(sim, r))
	_ = clustertest.AsError[*BootstrapperError](t, err)
	task := upgrade(sim, r)
	checks := 0
	task.BeforeStart = func(ctx context.Context) error {
		if checks++; checks == 1 {
			return clustertest.Second(r.Remove(ctx, failed))
		}
		return nil
	}
	task.StillNeeded = func(_ context.Context, earlier Earlier) (bool, error) {
		if earlier != (Earlier{}) {
			t.Errorf("%+v is known of a bootstrapper that another apply has cleared away", earlier)
		}
		return false, nil
	}
	if _, err := r.Perform(clustertest.Limited(t), task); err != nil {
		t.Fatal(err)
	}
	if checks != 2 {
		t.Errorf("it was checked %d times whether one may start, want once before the removal and once before the creation", checks)
	}
}

// TestPerformStartsNothing has a task turn out not to be startable: at the latest once
// its container is there, which is then removed.
func TestPerformStartsNothing(t *testing.T) {
	t.Parallel()
	refused := errors.New("not now")
	for name, tt := range map[string]struct {
		change func(*Task)
		want   error
		makes  bool
	}{
		"not needed any more":     {func(t *Task) { t.StillNeeded = func(context.Context, Earlier) (bool, error) { return false, nil } }, nil, true},
		"the cluster has changed": {func(t *Task) { t.StillNeeded = func(context.Context, Earlier) (bool, error) { return true, refused } }, refused, true},
		"it must not start now":   {func(t *Task) { t.BeforeStart = func(context.Context) error { return refused } }, refused, false},
		"it has no specification": {func(t *Task) {
			t.Spec = func(context.Context) (ucp.CreateSpec, error) { return ucp.CreateSpec{}, refused }
		}, refused, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			task := upgrade(sim, r)
			tt.change(&task)
			c, err := r.Perform(clustertest.Limited(t), task)
			if !errors.Is(err, tt.want) || c.ID != "" {
				t.Errorf("container %q, error %v; want none, and %v", c.ID, err, tt.want)
			}
			if made := len(clustertest.Changes(sim)) > 0; made != tt.makes {
				t.Errorf("changes %v", clustertest.Changes(sim))
			}
			clustertest.WantNoBootstrapper(t, sim)
			wantRuns(t, sim, 0)
		})
	}
}

// TestPerformBesideAnotherTask finds the container of another task of this provider.
func TestPerformBesideAnotherTask(t *testing.T) {
	t.Parallel()
	conflict := errors.New("another task is unfinished")
	for name, tt := range map[string]struct {
		labels   map[string]string
		conflict error
		aside    bool
		runs     int
	}{
		"that must be finished first": {map[string]string{cluster.LabelTo: "2.5.16"}, conflict, false, 1},
		"that is no more of interest": {map[string]string{cluster.LabelTo: "2.5.16"}, nil, false, 2},
		"that is a record of a join":  {map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: "0123456789ab", cluster.LabelTo: before}, nil, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
			other := upgrade(sim, r)
			other.Spec = func(context.Context) (ucp.CreateSpec, error) {
				spec := upgradeSpec(sim, r)
				spec.Labels, spec.Image = tt.labels, "docker/dtr:"+tt.labels[cluster.LabelTo]
				sim.AddImage(spec.Image)
				if tt.aside {
					spec.Args = []string{"join", "--replica-id", "0123456789ab"}
				}
				return spec, nil
			}
			left, err := r.Perform(clustertest.Limited(t), other)
			_ = clustertest.AsError[*BootstrapperError](t, err)
			sim.SetBootstrapper(simulator.BootstrapperFaults{})

			task := upgrade(sim, r)
			task.Conflict = func(Container) error { return tt.conflict }
			if _, err := r.Perform(clustertest.Limited(t), task); !errors.Is(err, tt.conflict) {
				t.Errorf("error %v, want %v", err, tt.conflict)
			}
			wantRuns(t, sim, tt.runs)
			record, found := named(sim, r.ContainerName()+"-0123456789ab")
			if found != tt.aside || found && record.ID != left.ID {
				t.Errorf("the other container is set aside: %t, want %t", found, tt.aside)
			}
		})
	}
}

// TestPerformSeesItsContainerRemoved has the container removed before its exit status
// is read: what the cluster shows decides.
func TestPerformSeesItsContainerRemoved(t *testing.T) {
	t.Parallel()
	for name, done := range map[string]bool{
		"after the task was done": true, "after that, and a list lags behind": true, "after that, for another task": true, "before that": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, r := start(t)
			lags := strings.Contains(name, "lags")
			if lags {
				r.Pace.Consistent = 3 * time.Second // five lists on a busy machine take less
			}
			release := sim.Hold(simulator.BootstrapperStarted)
			defer release()
			go func() {
				<-sim.Reached(simulator.BootstrapperStarted)
				if done {
					sim.SetReplicaVersion(sim.ReplicaIDs()[0], target)
				}
				c, _, err := r.Find(t.Context())
				if err := errors.Join(err, r.Discard(t.Context(), c)); err != nil {
					t.Error(err)
				}
				if strings.Contains(name, "another task") {
					spec := upgradeSpec(sim, r)
					spec.Image, spec.Labels = "docker/dtr:2.5.16", map[string]string{cluster.LabelTo: "2.5.16"}
					sim.AddImage(spec.Image)
					spec.Name = r.ContainerName()
					if _, err := r.Create(t.Context(), spec); err != nil {
						t.Error(err)
					}
				}
				if lags {
					<-clustertest.Requested(t, sim, 1, "/containers/"+c.ID+"/json")
					lists := 0
					sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
						if lists++; lists > 4 {
							return list
						}
						return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.Contains(l.Name(), "dtr-nginx-") })
					}))
				}
			}()
			task, begun := upgrade(sim, r), 0
			task.StillNeeded = func(context.Context, Earlier) (bool, error) {
				if begun++; begun > 1 {
					t.Error("the task is begun again")
				}
				return begun == 1, nil
			}
			_, err := r.Perform(clustertest.Limited(t), task)
			if done {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if failure := clustertest.AsError[*BootstrapperError](t, err); !failure.Missing {
				t.Errorf("got %+v, want it to say that the container is gone", failure)
			}
		})
	}
}

// TestPerformLooksAtReplicasInTurn holds that waiting for a bootstrapper costs a look at its container, and one at the
// replicas when its log has come to another of them.
func TestPerformLooksAtReplicasInTurn(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	r.Pace.Consistent = time.Minute // at least so often the replicas are looked at
	release := sim.Hold(simulator.BootstrapperStarted)
	go func() {
		defer release()
		<-sim.Reached(simulator.BootstrapperStarted)
		if c, found := named(sim, r.ContainerName()); found {
			sim.ResetRequests()
			<-clustertest.Requested(t, sim, 20, c.ID+"/json")
		}
	}()
	if _, err := r.Perform(clustertest.Limited(t), upgrade(sim, r)); err != nil {
		t.Fatal(err)
	}
	looks := 0
	for _, request := range sim.Requests() {
		if !request.Bootstrapper() && strings.HasSuffix(request.Path, "/containers/json") {
			looks++
		}
	}
	if most := len(sim.ReplicaIDs()) + 2; looks > most || looks == 0 {
		t.Errorf("%d looks at the replicas, at most %d are to be", looks, most)
	}
}

// TestTurns holds that a look is due when the log has come to another replica.
func TestTurns(t *testing.T) {
	t.Parallel()
	var turn turns
	for i, step := range []struct {
		message string
		due     bool
	}{
		{"Connecting to UCP", true}, // the first one
		{"Connecting to UCP", false},
		{"Recreating dtr-api-0123456789ab...", true},
		{"Recreating dtr-nginx-0123456789ab...", false},
		{"reconfigure replica 0123456789ac", true},
	} {
		turn.note(bootstrap.Record{Message: step.message})
		if due := turn.isOver(time.Hour); due != step.due {
			t.Errorf("%d, %s: due %t", i, step.message, due)
		}
	}
}
