package replica

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestReplicaWorkIsResumed interrupts a join and a removal at each point that they
// come by, and runs them again.
func TestReplicaWorkIsResumed(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.BootstrapperStarted, simulator.JoinStarted, simulator.RemoveStarted, simulator.BootstrapperFinished} {
		for _, command := range []string{cluster.CommandJoin, cluster.CommandRemove} {
			if point == simulator.JoinStarted && command != cluster.CommandJoin || point == simulator.RemoveStarted && command != cluster.CommandRemove {
				continue
			}
			t.Run(command+" "+point, func(t *testing.T) {
				t.Parallel()
				sim, c := clustertest.Roomy(t, 3)
				work, want := func(ctx context.Context) error { return clustertest.Second(Join(ctx, c, on("worker4"))) }, 4
				if command == cluster.CommandRemove {
					id := sim.ReplicaIDs()[0]
					work, want = func(ctx context.Context) error { return Remove(ctx, c, without(id)) }, 2
				}
				ctx, cancel := context.WithCancel(clustertest.Limited(t))
				release := sim.Hold(point)
				go func() {
					<-sim.Reached(point)
					cancel()
				}()
				err := work(ctx)
				if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Container == "" || !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want it to tell of the container and the cancellation", err)
				}
				release()
				if err := work(clustertest.Limited(t)); err != nil {
					t.Fatal(err)
				}
				clustertest.WantMembers(t, sim, want)
				if got := sim.Runs(command); got != 1 {
					t.Errorf("%d runs", got)
				}
			})
		}
	}
}

// interruptedJoin leaves the container of a join that went well behind, as a
// Terraform does that is killed before it has saved the state.
func interruptedJoin(t *testing.T, sim *simulator.Cluster, c cluster.Cluster, node string) (id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(clustertest.Limited(t))
	release := sim.Hold(simulator.BootstrapperFinished)
	go func() {
		<-sim.Reached(simulator.BootstrapperFinished)
		cancel()
	}()
	_ = clustertest.AsError[*wait.DetachedError](t, clustertest.Second(Join(ctx, c, on(node))))
	release()
	for _, ct := range sim.Containers() {
		if ct.Labels[cluster.LabelCommand] == cluster.CommandJoin {
			id = ct.Labels[cluster.LabelReplica]
		}
	}
	return id
}

// TestJoinThatWasForgottenIsTakenUp holds that what else is done on the cluster
// does not lose track of a replica that a join has made and nobody has saved.
func TestJoinThatWasForgottenIsTakenUp(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(context.Context, cluster.Cluster) error{
		"after nothing": func(context.Context, cluster.Cluster) error { return nil },
		"after a join": func(ctx context.Context, c cluster.Cluster) error {
			return clustertest.Second(Join(ctx, c, on("worker5")))
		},
		"after an upgrade": func(ctx context.Context, c cluster.Cluster) error {
			return clustertest.Second(upgrade.Run(ctx, c, to("2.6.9")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Roomy(t, 3)
			id := interruptedJoin(t, sim, c, "worker4")
			if err := meanwhile(clustertest.Limited(t), c); err != nil {
				t.Fatal(err)
			}
			before := sim.Runs(cluster.CommandJoin)
			m, err := Join(clustertest.Limited(t), c, on("worker4"))
			if err != nil {
				t.Fatal(err)
			}
			if m.ID != id || sim.Runs(cluster.CommandJoin) != before || sim.Runs(cluster.CommandRemove) != 0 {
				t.Errorf("it is replica %s and not %s, after %d more joins and %d removals", m.ID, id, sim.Runs(cluster.CommandJoin)-before, sim.Runs(cluster.CommandRemove))
			}
			clustertest.WantNoBootstrapper(t, sim)
		})
	}
}

// TestJoinDoesNotTakeWhatIsNotItsOwn holds that a replica that somebody else has
// put on the node is not taken for the one that was to join.
func TestJoinDoesNotTakeWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	err := clustertest.Second(Join(clustertest.Limited(t), c, on("worker2")))
	found := clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors()
	clustertest.WantChecks(t, found, preflight.Node)
	if !strings.Contains(found[0].Seen, sim.ReplicaIDs()[1]) {
		t.Errorf("got %+v", found)
	}
	if len(clustertest.Changes(sim)) > 0 {
		t.Errorf("it did %v", clustertest.Changes(sim))
	}
}

// TestUpgradeAndReplicasExcludeEachOther holds that neither begins beside the
// other.
func TestUpgradeAndReplicasExcludeEachOther(t *testing.T) {
	t.Parallel()
	t.Run("a join and a removal beside an upgrade", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Roomy(t, 3)
		ctx, cancel := context.WithCancel(clustertest.Limited(t))
		release := sim.Hold(simulator.ReplicaReplaced(3))
		go func() {
			<-sim.Reached(simulator.ReplicaReplaced(3))
			cancel()
		}()
		_, err := upgrade.Run(ctx, c, to("2.6.9"))
		_ = clustertest.AsError[*wait.DetachedError](t, err)
		refused := func(what string) {
			t.Helper()
			for _, err := range []error{clustertest.Second(Join(clustertest.Limited(t), c, on("worker4"))), Remove(clustertest.Limited(t), c, without(sim.ReplicaIDs()[0]))} {
				clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ForeignUpgrade)
				if !strings.Contains(err.Error(), what) {
					t.Errorf("got %v, want %q", err, what)
				}
			}
			join := hosted(t, c, on("worker4"))
			_, err := join.runner.Perform(clustertest.Limited(t), join.joinTask())
			_ = clustertest.AsError[*UnfinishedUpgradeError](t, err)
		}
		refused("is running")
		release()
		clustertest.AwaitEnd(t, sim)
		refused("is not finished")
		if _, err := upgrade.Run(clustertest.Limited(t), c, to("2.6.9")); err != nil {
			t.Fatal(err)
		}
		if err := clustertest.Second(Join(clustertest.Limited(t), c, on("worker4"))); err != nil {
			t.Fatal(err)
		}
		clustertest.WantAt(t, sim, "2.6.9")
		if sim.BootstrapperRuns() != 1 {
			t.Errorf("%d upgrades", sim.BootstrapperRuns())
		}
	})
}

// hosted is a change that knows whose container it is about.
func hosted(t *testing.T, c cluster.Cluster, o Options) *change {
	t.Helper()
	change := newChange(c, o)
	change.runner.Host = clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c)).Host
	return change
}

// to are the options of an upgrade.
func to(target string) upgrade.Options {
	return upgrade.Options{Target: clustertest.Version(target), Pace: clustertest.Pace}
}

// TestReplicaWorkLooksAgain holds that what has changed between the look and the
// moment in which the container's name is ours keeps the bootstrapper from being
// started.
func TestReplicaWorkLooksAgain(t *testing.T) {
	t.Parallel()
	for _, command := range []string{cluster.CommandJoin, cluster.CommandRemove} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Roomy(t, 3)
			join := hosted(t, c, on("worker4"))
			task := join.joinTask()
			if command == cluster.CommandRemove {
				task = join.removeTask(sim.ReplicaIDs()[0])
			}
			perform := func(meanwhile func()) error {
				changed := task
				changed.Spec = func(ctx context.Context) (ucp.CreateSpec, error) {
					spec, err := task.Spec(ctx)
					meanwhile()
					return spec, err
				}
				return clustertest.Second(join.runner.Perform(clustertest.Limited(t), changed))
			}
			err := perform(func() { sim.SetReplicaHealth(sim.ReplicaIDs()[1], "ill") })
			clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ReplicaHealth)
			clustertest.WantNoBootstrapper(t, sim)

			if command == cluster.CommandRemove {
				return
			}
			sim.SetReplicaHealth(sim.ReplicaIDs()[1], "")
			err = perform(func() {
				for _, id := range sim.ReplicaIDs() {
					sim.SetReplicaVersion(id, "2.6.9")
				}
			})
			if err == nil || sim.Runs(cluster.CommandJoin) > 0 {
				t.Errorf("error %v: a join was started with another version than the cluster's", err)
			}
		})
	}
}

// TestJoinIsAdoptedFromAnotherEngine has an engine that UCP knows nothing of hold the
// container of a join that went well, and refuses to begin beside a bootstrapper
// that runs there.
func TestJoinIsAdoptedFromAnotherEngine(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	elsewhere, _ := clustertest.Roomy(t, 3)
	m, err := Join(clustertest.Limited(t), c, on("worker4"))
	if err != nil {
		t.Fatal(err)
	}
	c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	elsewhere.AddImage("docker/dtr:2.6.8")
	join := hosted(t, c, on("worker4"))
	left := clustertest.Must[runner.Container](t)(join.runner.Create(t.Context(), ucp.CreateSpec{
		Name: join.runner.ContainerName(), Image: "docker/dtr:2.6.8", Args: []string{"join", "--replica-id", m.ID, "--ucp-node", "worker4", "--help"},
		Labels: map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: m.ID, cluster.LabelNode: "worker4"},
	}))
	if err := join.runner.Start(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	clustertest.AwaitEnd(t, elsewhere)
	again, err := Join(clustertest.Limited(t), c, on("worker4"))
	if err != nil || again.ID != m.ID || sim.Runs(cluster.CommandJoin) != 1 {
		t.Errorf("it is replica %s and not %s after %d joins, error %v", again.ID, m.ID, sim.Runs(cluster.CommandJoin), err)
	}

	release := elsewhere.Hold(simulator.BootstrapperStarted)
	defer release()
	elsewhere.StartForeignBootstrapper("2.6.9")
	<-elsewhere.Reached(simulator.BootstrapperStarted)
	err = clustertest.Second(Join(clustertest.Limited(t), c, on("worker5")))
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ForeignUpgrade)
}
