package upgrade

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// looked is a run that has looked at the cluster, and begins its hop only later.
func looked(t *testing.T, c cluster.Cluster, o Options) (r *run, obs *Observation, plan Plan) {
	t.Helper()
	r = newRun(c, o)
	obs, plan, err := r.preflight(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, obs, plan
}

func TestHopIsNotBegunOnAClusterThatHasMoved(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	slow, obs, plan := looked(t, c, to("2.6.8"))
	if err := slow.bringImages(t.Context(), obs, plan.next()); err != nil {
		t.Fatal(err)
	}
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	err := slow.upgrade(t.Context(), obs, plan.next())
	if moved := clustertest.AsError[*ClusterChangedError](t, err); len(moved.Versions) != 1 || moved.Versions[0].String() != "2.6.15" {
		t.Errorf("got %v, want it to say what runs", moved)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
	if got := sim.BootstrapperRuns(); got != 1 {
		t.Errorf("%d bootstrapper runs: a downgrade was started", got)
	}
}

func TestHopIsNotBegunBesideAForeignBootstrapper(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	late, obs, plan := looked(t, c, to("2.6.15"))
	if err := late.bringImages(t.Context(), obs, plan.next()); err != nil {
		t.Fatal(err)
	}
	release := sim.Hold(simulator.BootstrapperStarted)
	defer release()
	sim.StartForeignBootstrapper("2.6.15")
	<-sim.Reached(simulator.BootstrapperStarted)
	err := late.upgrade(t.Context(), obs, plan.next())
	if moved := clustertest.AsError[*ClusterChangedError](t, err); moved.Bootstrapper == "" {
		t.Errorf("got %v, want it to name the container", moved)
	}
	if got := sim.BootstrapperRuns(); got != 1 {
		t.Errorf("%d bootstrapper runs, one of them foreign", got)
	}
	if _, found, err := late.runner.Find(t.Context()); found || err != nil {
		t.Errorf("a container was left behind (%v)", err)
	}
}

func TestHopThatAnotherApplyHasDoneIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	late, obs, plan := looked(t, c, to("2.6.15"))
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	if err := late.upgrade(t.Context(), obs, plan.next()); err != nil {
		t.Fatal(err)
	}
	clustertest.WantNoBootstrapper(t, sim)
	if got := sim.BootstrapperRuns(); got != 1 {
		t.Errorf("%d bootstrapper runs, want 1", got)
	}
}

// TestContainerThatWasNeverStartedIsMadeAnew finds what an apply leaves that is
// killed between making the container and starting it.
func TestContainerThatWasNeverStartedIsMadeAnew(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	killed, obs, plan := looked(t, c, to("2.6.15"))
	if err := killed.bringImages(t.Context(), obs, plan.next()); err != nil {
		t.Fatal(err)
	}
	spec := clustertest.Must[ucp.CreateSpec](t)(killed.upgradeSpec(t.Context(), obs, plan.next()))
	spec.Name = killed.runner.ContainerName()
	left := clustertest.Must[runner.Container](t)(killed.runner.Create(t.Context(), spec))
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
	if got := sim.BootstrapperRuns(); got != 1 {
		t.Errorf("%d bootstrapper runs, want 1", got)
	}
	if _, err := left.Look(t.Context()); err == nil {
		t.Error("the left-over was started, or is still there")
	}
}

// TestRepetitionThatAnotherApplyHasMadeIsNotMadeAgain keeps an apply waiting, as a
// suspended machine would, between the removal of the bootstrapper that has failed and the
// creation of the next one. Meanwhile another apply finishes the work.
func TestRepetitionThatAnotherApplyHasMadeIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.8")
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2})
	_, err := runUpgrade(t, c, to("2.6.15"))
	_ = clustertest.AsError[*runner.BootstrapperError](t, err)
	sim.SetBootstrapper(simulator.BootstrapperFaults{})

	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodDelete, Path: "/containers/*", Times: 1,
		Rewrite: func(status int, body []byte) (int, []byte) {
			if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
				t.Error(err)
			}
			return status, body
		},
	})
	finish(t, sim, c, to("2.6.15"), 2)
}

// TestBootstrapperThatAnotherApplyRepeatsIsFollowed has another apply see a bootstrapper
// fail, remove it and start the next one before the apply that has started it looks again.
func TestBootstrapperThatAnotherApplyRepeatsIsFollowed(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.8")
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2})
	begun, release := sim.HoldNth(simulator.BootstrapperStarted, 2)
	defer release()
	other := make(chan error, 1)
	failed := func() bool {
		return slices.ContainsFunc(sim.Containers(), func(c simulator.Container) bool { return c.State == "exited" && c.ExitCode == 1 })
	}
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json", Times: 1,
		Matches: func(*http.Request) bool { return failed() },
		Rewrite: func(int, []byte) (int, []byte) {
			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			go func() {
				_, err := runUpgrade(t, c, to("2.6.15"))
				other <- err
			}()
			<-begun
			all := sim.Containers()
			second := all[slices.IndexFunc(all, func(c simulator.Container) bool { return strings.HasPrefix(c.Name, "dtr-upgrade-") })].ID
			go func() { // until both follow the second one
				for followers := 0; followers < 2 && t.Context().Err() == nil; runtime.Gosched() {
					followers = 0
					for _, r := range sim.Requests() {
						if strings.HasSuffix(r.Path, second+"/logs") {
							followers++
						}
					}
				}
				release()
			}()
			return http.StatusNotFound, []byte(`{"message":"No such container"}`)
		},
	})
	finish(t, sim, c, to("2.6.15"), 2)
	if err := <-other; err != nil {
		t.Error(err)
	}
}

// TestRunIsAdoptedFromAnotherEngine is interrupted while the bootstrapper runs
// through UCP, and goes on with an engine of its own that UCP knows nothing of.
func TestRunIsAdoptedFromAnotherEngine(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.BootstrapperStarted, simulator.ReplicaStarted(2)} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			elsewhere, _ := clustertest.Start(t, "2.5.6")
			ctx, cancel := context.WithCancel(t.Context())
			release := sim.Hold(point)
			go func() {
				<-sim.Reached(point)
				cancel()
			}()
			_, err := Run(ctx, c, to("2.6.15"))
			_ = clustertest.AsError[*wait.DetachedError](t, err)

			c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
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
			if here, there := sim.BootstrapperRuns(), elsewhere.BootstrapperRuns(); here != 1 || there != 0 {
				t.Errorf("%d bootstrapper runs through UCP and %d on the other engine, want 1 and 0", here, there)
			}
			if again, err := runUpgrade(t, c, to("2.6.15")); err != nil || again.Worked() {
				t.Errorf("the next run has something to do, or fails: %+v, %v", again, err)
			}
		})
	}
}

// TestOwedMigrationIsNotForgotten loses a run after the rollout, with all that it
// left behind, before DTR has started its migration job.
func TestOwedMigrationIsNotForgotten(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{NeverStart: true})
	o := to("2.6.15")
	o.Retriggers, o.Pace.MigrationStart = 0, 50*time.Millisecond
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*migration.Error](t, err); failure.Job.ID != "" {
		t.Errorf("got %v, want a job that was never started", failure)
	}
	r, _, _ := looked(t, c, o)
	if err := r.tidy(t.Context(), *newHop(clustertest.Version("2.5.6"), clustertest.Version("2.6.15"))); err != nil {
		t.Fatal(err)
	}

	_, err = runUpgrade(t, c, o)
	_ = clustertest.AsError[*migration.Error](t, err)
	o.Retriggers = 1
	report, err := runUpgrade(t, c, o)
	if err != nil {
		t.Fatal(err)
	}
	if jobs := sim.Jobs(); len(jobs) != 1 || jobs[0].Status != "done" || report.MigrationAttempts != 1 {
		t.Errorf("jobs %+v, reported as %d attempts", jobs, report.MigrationAttempts)
	}
}

// TestBootstrapperIsNotStartedBesideOneElsewhere has a name be held in UCP that was not
// shown before.
func TestBootstrapperIsNotStartedBesideOneElsewhere(t *testing.T) {
	t.Parallel()
	_, c := small(t, "2.5.6")
	r, _, plan := looked(t, c, to("2.5.17"))
	held := clustertest.Must[runner.Container](t)(r.runner.CreateLock(t.Context(), cluster.ElsewhereName(r.runner.Host), map[string]string{cluster.LabelHolds: "ABC"}))
	_, err := r.stillNeeded(t.Context(), plan.Hops[0], runner.Earlier{})
	if changed := clustertest.AsError[*ClusterChangedError](t, err); cluster.BaseName(changed.Bootstrapper) != held.Name {
		t.Errorf("got %+v", changed)
	}
}

// TestRunWaitsForTheOneOnAnotherEngine has one run find the bootstrapper of another at
// work, on an engine that it does not reach.
func TestRunWaitsForTheOneOnAnotherEngine(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.ReplicaStarted(1), simulator.ReplicaStarted(2)} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			elsewhere, _ := clustertest.Start(t, "2.5.6")
			elsewhere.AddBundle("2.6.15")
			release := sim.Hold(point) // of the second phase, which is in UCP
			defer release()
			begin := func(c cluster.Cluster) <-chan error {
				done := make(chan error, 1)
				go func() { done <- clustertest.Second(Run(clustertest.Limited(t), c, to("2.6.15"))) }()
				return done
			}
			other := c
			other.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
			first := begin(other)
			<-sim.Reached(point)
			sim.ResetRequests()
			second := begin(c)
			select {
			case err := <-second:
				t.Fatalf("it has not waited: %v", err)
			case <-clustertest.Requested(t, sim, 12, cluster.ContainerName(strings.TrimPrefix(sim.DTRURL(), "https://"))+"/json"):
			}
			release()
			if err := errors.Join(<-first, <-second); err != nil {
				t.Error(err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			clustertest.WantNoBootstrapper(t, sim)
			if here, there := sim.BootstrapperRuns(), elsewhere.BootstrapperRuns(); here != 0 || there != 1 {
				t.Errorf("%d bootstrapper runs through UCP and %d on the other engine, want 0 and 1", here, there)
			}
		})
	}
}
