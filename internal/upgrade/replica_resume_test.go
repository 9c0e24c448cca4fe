package upgrade

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestReplicaWorkIsResumed interrupts a join and a removal at each point that they
// come by, and runs them again.
func TestReplicaWorkIsResumed(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.BootstrapperStarted, simulator.JoinStarted, simulator.RemoveStarted, simulator.BootstrapperFinished} {
		for _, command := range []string{commandJoin, commandRemove} {
			if point == simulator.JoinStarted && command != commandJoin || point == simulator.RemoveStarted && command != commandRemove {
				continue
			}
			t.Run(command+" "+point, func(t *testing.T) {
				t.Parallel()
				sim, c := roomy(t, 3)
				work, want := func(ctx context.Context) error { return second(Join(ctx, c, on("worker4"))) }, 4
				if command == commandRemove {
					id := sim.ReplicaIDs()[0]
					work, want = func(ctx context.Context) error { return Remove(ctx, c, without(id)) }, 2
				}
				ctx, cancel := context.WithCancel(limited(t))
				release := sim.Hold(point)
				go func() {
					<-sim.Reached(point)
					cancel()
				}()
				err := work(ctx)
				if detached := asError[*DetachedError](t, err); detached.Container == "" || !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want it to tell of the container and the cancellation", err)
				}
				release()
				if err := work(limited(t)); err != nil {
					t.Fatal(err)
				}
				wantMembers(t, sim, want)
				if got := sim.Runs(command); got != 1 {
					t.Errorf("%d runs", got)
				}
			})
		}
	}
}

// interruptedJoin leaves the container of a join that went well behind, as a
// Terraform does that is killed before it has saved the state.
func interruptedJoin(t *testing.T, sim *simulator.Cluster, c Cluster, node string) (id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(limited(t))
	release := sim.Hold(simulator.BootstrapperFinished)
	go func() {
		<-sim.Reached(simulator.BootstrapperFinished)
		cancel()
	}()
	_ = asError[*DetachedError](t, second(Join(ctx, c, on(node))))
	release()
	for _, ct := range sim.Containers() {
		if ct.Labels[labelCommand] == commandJoin {
			id = ct.Labels[labelReplica]
		}
	}
	return id
}

// TestJoinThatWasForgottenIsTakenUp holds that what else is done on the cluster
// does not lose track of a replica that a join has made and nobody has saved.
func TestJoinThatWasForgottenIsTakenUp(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(c Cluster) error{
		"after nothing":    func(Cluster) error { return nil },
		"after a join":     func(c Cluster) error { return second(Join(context.Background(), c, on("worker5"))) }, //nolint:usetesting // it is limited by the test
		"after an upgrade": func(c Cluster) error { return second(Run(context.Background(), c, to("2.6.9"))) },    //nolint:usetesting // likewise
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := roomy(t, 3)
			id := interruptedJoin(t, sim, c, "worker4")
			if err := meanwhile(c); err != nil {
				t.Fatal(err)
			}
			if err := hosted(t, c).tidy(t.Context(), *newHop(version("2.6.7"), version("2.6.8"))); err != nil { // as an upgrade does that ends
				t.Fatal(err)
			}
			before := sim.Runs(commandJoin)
			m, err := Join(limited(t), c, on("worker4"))
			if err != nil {
				t.Fatal(err)
			}
			if m.ID != id || sim.Runs(commandJoin) != before || sim.Runs(commandRemove) != 0 {
				t.Errorf("it is replica %s and not %s, after %d more joins and %d removals", m.ID, id, sim.Runs(commandJoin)-before, sim.Runs(commandRemove))
			}
			wantNoBootstrapper(t, sim)
		})
	}
}

// TestJoinDoesNotTakeWhatIsNotItsOwn holds that a replica that somebody else has
// put on the node is not taken for the one that was to join.
func TestJoinDoesNotTakeWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	sim, c := roomy(t, 3)
	err := second(Join(limited(t), c, on("worker2")))
	found := asError[*PreflightError](t, err).Findings.Errors()
	wantChecks(t, found, CheckNode)
	if !strings.Contains(found[0].Detail, "import it with the id "+sim.ReplicaIDs()[1]) {
		t.Errorf("got %+v", found)
	}
	if len(changes(sim)) > 0 {
		t.Errorf("it did %v", changes(sim))
	}
}

// TestUpgradeAndReplicasExcludeEachOther holds that neither begins beside the
// other.
func TestUpgradeAndReplicasExcludeEachOther(t *testing.T) {
	t.Parallel()
	t.Run("an upgrade beside a join", func(t *testing.T) {
		t.Parallel()
		sim, c := roomy(t, 3)
		late, obs, plan := looked(t, c, to("2.6.9"))
		if err := late.images(t.Context(), obs, plan.next()); err != nil {
			t.Fatal(err)
		}
		release := sim.Hold(simulator.JoinStarted)
		joined := make(chan error, 1)
		go func() { joined <- second(Join(limited(t), c, on("worker4"))) }()
		<-sim.Reached(simulator.JoinStarted)
		_, err := runUpgrade(t, c, to("2.6.9"))
		wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckForeignUpgrade)
		moved := asError[*MovedError](t, late.upgrade(t.Context(), obs, plan.next()))
		if !strings.Contains(moved.Bootstrapper, "joins on node worker4") {
			t.Errorf("got %v", moved)
		}
		release()
		if err := <-joined; err != nil {
			t.Error(err)
		}
		wantMembers(t, sim, 4)
	})
	t.Run("a join and a removal beside an upgrade", func(t *testing.T) {
		t.Parallel()
		sim, c := roomy(t, 3)
		ctx, cancel := context.WithCancel(limited(t))
		release := sim.Hold(simulator.ReplicaReplaced(3))
		go func() {
			<-sim.Reached(simulator.ReplicaReplaced(3))
			cancel()
		}()
		_, err := Run(ctx, c, to("2.6.9"))
		_ = asError[*DetachedError](t, err)
		refused := func(what string) {
			t.Helper()
			for _, err := range []error{second(Join(limited(t), c, on("worker4"))), Remove(limited(t), c, without(sim.ReplicaIDs()[0]))} {
				wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckForeignUpgrade)
				if !strings.Contains(err.Error(), what) {
					t.Errorf("got %v, want %q", err, what)
				}
			}
			r := hosted(t, c)
			_, err := r.perform(limited(t), r.joinTask(on("worker4")))
			_ = asError[*UnfinishedUpgradeError](t, err)
		}
		refused("is running")
		release()
		awaitEnd(t, sim, c)
		refused("is not finished")
		if _, err := runUpgrade(t, c, to("2.6.9")); err != nil {
			t.Fatal(err)
		}
		if err := second(Join(limited(t), c, on("worker4"))); err != nil {
			t.Fatal(err)
		}
		wantAt(t, sim, "2.6.9")
		if sim.BootstrapperRuns() != 1 {
			t.Errorf("%d upgrades", sim.BootstrapperRuns())
		}
	})
}

func hostOf(t *testing.T, c Cluster) string {
	t.Helper()
	return must[*Inventory](t)(Inspect(t.Context(), c)).Host
}

// hosted is a run that knows whose container it is about.
func hosted(t *testing.T, c Cluster) *run {
	t.Helper()
	r := newReplicaRun(c, on("worker4"))
	r.host, r.containerName = hostOf(t, c), containerName(hostOf(t, c))
	return r
}

// TestReplicaWorkLooksAgain holds that what has changed between the look and the
// moment in which the container's name is ours keeps the bootstrapper from being
// started.
func TestReplicaWorkLooksAgain(t *testing.T) {
	t.Parallel()
	for _, command := range []string{commandJoin, commandRemove} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			sim, c := roomy(t, 3)
			r := hosted(t, c)
			task := r.joinTask(on("worker4"))
			if command == commandRemove {
				task = r.removeTask(without(sim.ReplicaIDs()[0]))
			}
			made := must[containerState](t)(r.create(t.Context(), task))
			sim.SetReplicaHealth(sim.ReplicaIDs()[1], "ill")
			_, err := r.start(t.Context(), made, task, false)
			wantChecks(t, asError[*PreflightError](t, err).Findings.Errors(), CheckReplicaHealth)
			wantNoBootstrapper(t, sim)

			if command == commandRemove {
				return
			}
			sim.SetReplicaHealth(sim.ReplicaIDs()[1], "")
			made = must[containerState](t)(r.create(t.Context(), task))
			for _, id := range sim.ReplicaIDs() {
				sim.SetReplicaVersion(id, "2.6.9")
			}
			if _, err := r.start(t.Context(), made, task, false); err == nil {
				t.Error("a join was started with another version than the cluster's")
			}
		})
	}
}

// awaitEnd waits until the bootstrapper's container has ended.
func awaitEnd(t *testing.T, _ *simulator.Cluster, c Cluster) {
	t.Helper()
	engine := must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	if _, err := engine.Wait(limited(t), containerName(hostOf(t, c))); err != nil {
		t.Fatal(err)
	}
}
