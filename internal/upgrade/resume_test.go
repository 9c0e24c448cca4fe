package upgrade

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestRunIsResumedAfterACancel interrupts a run at each point that it comes by.
// Whatever the point, running it again ends at the target, and the bootstrapper
// runs once in all.
func TestRunIsResumedAfterACancel(t *testing.T) {
	t.Parallel()
	points := []string{
		simulator.BootstrapperStarted,
		simulator.ReplicaStarted(1), simulator.ReplicaReplaced(1),
		simulator.ReplicaStarted(2), simulator.ReplicaReplaced(2),
		simulator.ReplicaStarted(3), simulator.ReplicaReplaced(3),
		simulator.BootstrapperFinished,
		simulator.MigrationStarted, simulator.MigrationFinished,
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			ctx, cancel := context.WithCancel(t.Context())
			release := sim.Hold(point) // the cluster stands still while the run ends
			go func() {
				<-sim.Reached(point)
				cancel()
			}()
			_, err := Run(ctx, c, to("2.6.15"))
			_ = clustertest.AsError[*wait.DetachedError](t, err)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want it to tell of the cancellation", err)
			}
			release()

			report, err := runUpgrade(t, c, to("2.6.15"))
			if err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			clustertest.WantNoBootstrapper(t, sim)
			if got := sim.BootstrapperRuns(); got != 1 {
				t.Errorf("%d bootstrapper runs, want 1", got)
			}
			if len(sim.Jobs()) != 1 || sim.Jobs()[0].Status != "done" || clustertest.Posts(sim) > 0 {
				t.Errorf("jobs %+v, %d of them posted; want the one that DTR made, done", sim.Jobs(), clustertest.Posts(sim))
			}
			if report.MigrationAttempts != 1 {
				t.Errorf("%d migration attempts reported", report.MigrationAttempts)
			}
		})
	}
}

// TestRunIsResumedAfterTheClusterWentOn interrupts a run and continues it only
// when the bootstrapper has long ended by itself.
func TestRunIsResumedAfterTheClusterWentOn(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	ctx, cancel := context.WithCancel(t.Context())
	release := sim.Hold(simulator.ReplicaStarted(2))
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(2))
		cancel()
	}()
	_, err := Run(ctx, c, to("2.7.8", "2.6.15"))
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	release()
	<-sim.Reached(simulator.MigrationFinished)

	if _, err := runUpgrade(t, c, to("2.7.8", "2.6.15")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.7.8")
	if got := sim.BootstrapperRuns(); got != 2 {
		t.Errorf("%d bootstrapper runs, want one for each hop", got)
	}
}

func TestRunIsResumedAfterADeadBootstrapper(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	release := sim.Hold(simulator.ReplicaStarted(2))
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(2))
		sim.KillContainer(cluster.ContainerName(inventory.Host))
	}()
	_, err := runUpgrade(t, c, to("2.6.15"))
	if failure := clustertest.AsError[*runner.BootstrapperError](t, err); failure.ExitCode != 137 {
		t.Errorf("exit status %d, want that of a kill", failure.ExitCode)
	}

	// The second phase is still at work: the next run waits for it.
	done := make(chan error, 1)
	go func() {
		_, err := runUpgrade(t, c, to("2.6.15"))
		done <- err
	}()
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
}

func TestRunIsResumedAfterBothPhasesDied(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	release := sim.Hold(simulator.ReplicaStarted(2))
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(2))
		sim.KillContainer(cluster.ContainerName(inventory.Host))
		sim.KillContainer(cluster.Phase2Name)
		release()
	}()
	_, err := runUpgrade(t, c, to("2.6.15"))
	_ = clustertest.AsError[*runner.BootstrapperError](t, err)
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
}

func TestTwoRunsAtOnceStartOneBootstrapper(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		group.Go(func() { _, errs[i] = runUpgrade(t, c, to("2.6.15")) })
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("run %d: %v", i, err)
		}
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
	if got := sim.BootstrapperRuns(); got != 1 {
		t.Errorf("%d bootstrapper runs, want 1", got)
	}
}

func TestRunFinishesAMixedCluster(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetReplicaVersion(sim.ReplicaIDs()[0], "2.6.15")
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")

	other, c := clustertest.Start(t, "2.5.6")
	other.SetReplicaVersion(other.ReplicaIDs()[0], "2.6.14")
	_, err := runUpgrade(t, c, to("2.6.15"))
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.MixedVersions)
	if other.BootstrapperRuns() > 0 {
		t.Error("a bootstrapper ran all the same")
	}
}

// TestRunWaitsForASecondPhaseThatIsNotShown has UCP leave the second phase of a dead
// bootstrapper out of its lists for a while: no other one is started beside it.
func TestRunWaitsForASecondPhaseThatIsNotShown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		at     string // where the first phase dies
		pruned bool
	}{
		"in a replica":                {simulator.ReplicaStarted(2), false},
		"before the first replica":    {simulator.ReplicaStarted(1), false},
		"its bootstrapper was pruned": {simulator.ReplicaStarted(2), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
			release := sim.Hold(tt.at)
			go func() {
				<-sim.Reached(tt.at)
				sim.KillContainer(cluster.ContainerName(inventory.Host))
			}()
			o := to("2.6.15")
			_, err := runUpgrade(t, c, o)
			_ = clustertest.AsError[*runner.BootstrapperError](t, err)
			if tt.pruned {
				engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
				if err := engine.Remove(t.Context(), cluster.ContainerName(inventory.Host)); err != nil {
					t.Fatal(err)
				}
			}
			o.Pace.Consistent = 5 * time.Second // ten lists on a busy machine take less
			var created atomic.Bool
			looks, often := 0, make(chan struct{})
			show := sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
				if created.Load() {
					if looks++; looks == 10 {
						close(often)
					}
				}
				return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return cluster.BaseName(l.Name()) == cluster.Phase2Name })
			}))
			r, obs, plan := looked(t, c, o)
			if err := r.bringImages(t.Context(), obs, plan.next()); err != nil {
				t.Fatal(err)
			}
			sim.ResetRequests()
			another := clustertest.Requested(t, sim, 1, "/containers/create")
			done := make(chan error, 1)
			go func() { done <- r.upgrade(clustertest.Limited(t), obs, plan.next()) }()
			select {
			case <-another: // which has the name, and is not started yet
				created.Store(true)
			case err := <-done:
				t.Fatalf("ended with %v before there was a container", err)
			}
			select {
			case <-often:
			case err := <-done:
				t.Fatalf("not waited for: %v after %d bootstrapper runs", err, sim.BootstrapperRuns())
			}
			if n := sim.BootstrapperRuns(); n != 1 {
				t.Errorf("%d bootstrapper runs while the second phase of the first is at work", n)
			}
			show()
			if tt.pruned {
				_ = clustertest.AsError[*ClusterChangedError](t, <-done)
				release()
				return
			}
			release()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
