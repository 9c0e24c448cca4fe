package upgrade

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

func TestRunSeesTheMigrationThrough(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		faults   simulator.MigrationFaults
		attempts int
		posts    int
	}{
		{"fails twice", simulator.MigrationFaults{Fail: 2}, 3, 0},
		{"fails three times", simulator.MigrationFaults{Fail: 3}, 4, 1},
		{"done on 2.5 already", simulator.MigrationFaults{AlreadyDone: true}, 0, 0},
		{"never started by DTR", simulator.MigrationFaults{NeverStart: true}, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.SetMigration(tt.faults)
			o := to("2.6.15")
			if tt.faults.NeverStart {
				o.Pace.MigrationStart = 50 * time.Millisecond
			}
			report, err := runUpgrade(t, c, o)
			if err != nil {
				t.Fatal(err)
			}
			if report.MigrationAttempts != tt.attempts || clustertest.Posts(sim) != tt.posts {
				t.Errorf("%d attempts, %d posted; want %d and %d", report.MigrationAttempts, clustertest.Posts(sim), tt.attempts, tt.posts)
			}
		})
	}
}

func TestRunFailsWithTheMigration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		faults     simulator.MigrationFaults
		retriggers int
		attempts   int
		posts      int
	}{
		{"fails for good", simulator.MigrationFaults{Fail: -1}, 1, 4, 1},
		{"fails for good, started again twice", simulator.MigrationFaults{Fail: -1}, 2, 5, 2},
		{"fails for good, not started again", simulator.MigrationFaults{Fail: -1}, 0, 3, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.SetMigration(tt.faults)
			o := to("2.7.8", "2.6.15")
			o.Retriggers = tt.retriggers
			_, err := runUpgrade(t, c, o)
			failure := clustertest.AsError[*MigrationError](t, err)
			if failure.Attempts != tt.attempts || clustertest.Posts(sim) != tt.posts {
				t.Errorf("%d attempts, %d posted; want %d and %d", failure.Attempts, clustertest.Posts(sim), tt.attempts, tt.posts)
			}
			if len(failure.Log) == 0 || failure.URL == "" {
				t.Errorf("the error has no log, or no place to look: %+v", failure)
			}
			clustertest.WantAt(t, sim, "2.6.15") // the next hop has not begun

			// Whatever was wrong is mended: the next run starts the job again and goes on.
			sim.SetMigration(simulator.MigrationFaults{})
			o.Retriggers = 1
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.7.8")
			if got := sim.BootstrapperRuns(); got != 2 {
				t.Errorf("%d bootstrapper runs, want one for each hop", got)
			}
		})
	}
}

// TestRunFailsWithAMigrationThatNobodyWorksOn holds that it is neither waited for nor
// started twice, and that it is started again once somebody has canceled it.
func TestRunFailsWithAMigrationThatNobodyWorksOn(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{Status: "worker_dead"})
	o := to("2.6.15")
	o.Retriggers, o.Pace.MigrationStart = 1, 50*time.Millisecond
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*MigrationError](t, err); !errors.Is(failure.Cause, job.ErrOrphaned) || failure.Job.Status != "worker_dead" || clustertest.Posts(sim) != 0 {
		t.Errorf("%+v after %d POSTs", failure, clustertest.Posts(sim))
	}
	sim.SetMigration(simulator.MigrationFaults{})
	sim.DeleteJobs()
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	if n := sim.BootstrapperRuns(); n != 1 || clustertest.Posts(sim) != 1 {
		t.Errorf("%d bootstrapper runs, %d POSTs", n, clustertest.Posts(sim))
	}
}

func TestRunQuotesAnUnknownMigrationStatus(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{Status: "hibernating"})
	_, err := runUpgrade(t, c, to("2.6.15"))
	_ = clustertest.AsError[*MigrationError](t, err)
	if unknown := clustertest.AsError[*dtr.UnknownStatusError](t, err); unknown.Word != "hibernating" || !strings.Contains(err.Error(), "hibernating") {
		t.Errorf("got %v, want the word quoted", err)
	}
	if clustertest.Posts(sim) > 0 {
		t.Error("the job was started again, where nobody knows whether it runs")
	}
}

// TestRunKilledInTheMigrationIsNotTheEnd loses the run while the migration is at
// work, and everything that it left behind with it: the versions are equal then.
func TestRunKilledInTheMigrationIsNotTheEnd(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{Fail: -1})
	ctx, cancel := context.WithCancel(t.Context())
	release := sim.Hold(simulator.MigrationStarted)
	go func() {
		<-sim.Reached(simulator.MigrationStarted)
		cancel()
	}()
	_, err := Run(ctx, c, to("2.6.15"))
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	if err := engine.Remove(t.Context(), cluster.ContainerName(inventory.Host)); err != nil {
		t.Fatal(err)
	}
	release()

	_, err = runUpgrade(t, c, to("2.6.15"))
	_ = clustertest.AsError[*MigrationError](t, err)
	sim.SetMigration(simulator.MigrationFaults{})
	report, err := runUpgrade(t, c, to("2.6.15"))
	if err != nil {
		t.Fatal(err)
	}
	if !report.Resumed || len(report.Hops) > 0 {
		t.Errorf("got report %+v, want a hop that was resumed", report)
	}
	if sim.BootstrapperRuns() != 1 {
		t.Errorf("%d bootstrapper runs, want 1", sim.BootstrapperRuns())
	}
}

// TestRetriggerLosesNoAnswer loses the answer to the POST of the job: the job is
// there all the same, and is not posted twice.
func TestRetriggerLosesNoAnswer(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{Fail: 3})
	sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Method: "POST", Path: "/api/v0/jobs", AfterEffect: true, Times: 1})
	report, err := runUpgrade(t, c, to("2.6.15"))
	if err != nil {
		t.Fatal(err)
	}
	if clustertest.Posts(sim) != 1 || report.MigrationAttempts != 4 {
		t.Errorf("%d posts and %d attempts, want 1 and 4", clustertest.Posts(sim), report.MigrationAttempts)
	}
}

// TestRunRemembersAMigratedStore has a store that was migrated so long ago that DTR
// lists no job of it, and a bootstrapper that dies once a replica runs 2.6.
func TestRunRemembersAMigratedStore(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{AlreadyDone: true})
	sim.DeleteJobs()
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2})
	_, err := runUpgrade(t, c, to("2.6.15"))
	_ = clustertest.AsError[*runner.BootstrapperError](t, err)
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	if n := clustertest.Posts(sim); n > 0 || len(sim.Jobs()) > 0 {
		t.Errorf("%d POSTs, jobs %+v", n, sim.Jobs())
	}
}

// TestRetriggerOfALaggingList has DTR show the failed attempt for a while after its
// job was started again.
func TestRetriggerOfALaggingList(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	failed := job.State{Phase: job.GaveUp, Job: migrationJob("a", "error", 0, time.Hour), Attempts: 3}
	reads := 0
	m := &migration{retriggers: 2, Waiter: &job.Waiter{
		Step: stepMigration, Action: metadataStoreMigration, Client: c.DTR, Pace: clustertest.Pace,
		Read: func(context.Context) (job.State, error) {
			if reads++; reads > 4 {
				return job.State{Phase: job.Done, Job: migrationJob("b", "done", 0, time.Hour), Attempts: 4}, nil
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
