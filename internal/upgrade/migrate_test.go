package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
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
			failure := clustertest.AsError[*migration.Error](t, err)
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
	if failure := clustertest.AsError[*migration.Error](t, err); !errors.Is(failure.Cause, job.ErrOrphaned) || failure.Job.Status != "worker_dead" || clustertest.Posts(sim) != 0 {
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
	_ = clustertest.AsError[*migration.Error](t, err)
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
	_ = clustertest.AsError[*migration.Error](t, err)
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

// TestLostPostIsNotRepeated has a load balancer give up on the POST of the job, which is
// carried out late, or never.
func TestLostPostIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{"late": {Status: 504}, "reset": {Reset: true}, "never": {Status: 504}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.SetMigration(simulator.MigrationFaults{Fail: 3})
			o := to("2.6.15")
			fault.Service, fault.Method, fault.Path, fault.Times = simulator.ServiceDTR, "POST", "/api/v0/jobs", 1
			if name == "never" {
				o.Pace.MigrationStart = 100 * time.Millisecond
				fault.Times = 0
			} else {
				looks := 0 // once the POST was lost
				sim.Inject(simulator.Fault{Method: "GET", Path: "/api/v0/jobs", Matches: func(*http.Request) bool {
					if clustertest.Posts(sim) > 0 {
						if looks++; looks == 8 {
							go sim.ScheduleMigration()
						}
					}
					return false
				}})
			}
			sim.Inject(fault)
			_, err := runUpgrade(t, c, o)
			if n := clustertest.Posts(sim); n != 1 {
				t.Errorf("%d POSTs", n)
			}
			if name == "never" {
				failure := clustertest.AsError[*migration.Error](t, err)
				if _, lost := errors.AsType[*dtr.LostJobError](failure.Cause); !lost {
					t.Errorf("got %v, want it to say that the answer was lost", err)
				}
			} else if err != nil {
				t.Error(err)
			}
			for _, c := range sim.Containers() {
				if strings.HasPrefix(c.Name, "dtr-migration-") {
					t.Errorf("container %s is left over", c.Name)
				}
			}
		})
	}
}

// TestTwoAppliesPostAMigrationOnce has two applies see that DTR has given the job up,
// and DTR take its time over the first POST.
func TestTwoAppliesPostAMigrationOnce(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{Fail: 3})
	sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Method: "POST", Path: "/api/v0/jobs", Delay: 200 * time.Millisecond, Times: 1})
	errs := make(chan error)
	for range 2 {
		go func() {
			_, err := Run(clustertest.Limited(t), c, to("2.6.15"))
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := clustertest.Posts(sim); n != 1 || sim.Jobs()[0].Status != "done" {
		t.Errorf("%d POSTs, jobs %+v", n, sim.Jobs())
	}
	clustertest.WantNoBootstrapper(t, sim)
}

// TestPatchUpgradeMigratesNothing is on 2.6 with online garbage collection off, and
// no job in DTR's history: such a cluster was installed as 2.6, for all that is known.
func TestPatchUpgradeMigratesNothing(t *testing.T) {
	t.Parallel()
	for _, retriggers := range []int{0, 1} {
		t.Run(strconv.Itoa(retriggers), func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.3")
			sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/api/v0/meta/features", Rewrite: func(status int, body []byte) (int, []byte) {
				return status, bytes.ReplaceAll(body, []byte(`"onlineGCEnabled":true`), []byte(`"onlineGCEnabled":false`))
			}})
			o := to("2.6.15")
			o.Retriggers, o.Pace.MigrationStart = retriggers, 20*time.Millisecond
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Error(err)
			}
			o.Applied = clustertest.Version("2.6.3") // the state of an apply that was killed at its very end
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Error(err)
			}
			if n := clustertest.Posts(sim); n > 0 || len(sim.Jobs()) > 0 {
				t.Errorf("%d POSTs, jobs %+v", n, sim.Jobs())
			}
		})
	}
}

// TestMigrationWithClocksApart has the nodes' clocks ahead of DTR's.
func TestMigrationWithClocksApart(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	created := regexp.MustCompile(`"Created":\d+`)
	sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: "GET", Path: "/containers/json", Rewrite: func(status int, body []byte) (int, []byte) {
		return status, created.ReplaceAllFunc(body, func(b []byte) []byte {
			at := clustertest.Must[int64](t)(strconv.ParseInt(string(b[len(`"Created":`):]), 10, 64))
			return fmt.Appendf(nil, `"Created":%d`, at+3600)
		})
	}})
	// The replicas' reports are by the nodes' clocks as well.
	stamp := regexp.MustCompile(`"(replica_timestamp)":\{[^}]*\}`)
	sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/api/v0/meta/cluster_status", Rewrite: func(status int, body []byte) (int, []byte) {
		return status, stamp.ReplaceAllFunc(body, func(b []byte) []byte {
			return bytes.ReplaceAll(b, fmt.Appendf(nil, `:"%d-`, time.Now().Year()), fmt.Appendf(nil, `:"%d-`, time.Now().Year()+1))
		})
	}})
	sim.SetMigration(simulator.MigrationFaults{Fail: -1})
	o := to("2.6.15")
	o.Retriggers, o.Pace.MigrationStart = 0, 100*time.Millisecond
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*migration.Error](t, err); failure.Attempts != 3 || failure.Job.Status != "errored" {
		t.Errorf("got %v, want the last of three attempts", err)
	}
}

// TestMigrationThatFailedBeforeTheHop has the metadata store's opt-in migration fail
// on 2.5: 2.6 makes it again by itself.
func TestMigrationThatFailedBeforeTheHop(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{Fail: 3})
	sim.ScheduleMigration() // the run waits for it, and its two retries
	report, err := runUpgrade(t, c, to("2.6.15"))
	if err != nil {
		t.Fatal(err)
	}
	if n := clustertest.Posts(sim); n > 0 || report.MigrationAttempts != 1 || len(sim.Jobs()) != 4 {
		t.Errorf("%d POSTs, %d attempts, jobs %+v", n, report.MigrationAttempts, sim.Jobs())
	}
}

// TestMigrationIsNotJudgedByOneAnswer has an engine deny the bootstrapper's container
// once, sooner or later after its end, and DTR list its own attempt late: which attempts
// are the hop's stands on that container.
func TestMigrationIsNotJudgedByOneAnswer(t *testing.T) {
	t.Parallel()
	for denied := range 3 {
		t.Run(strconv.Itoa(denied), func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			sim.SetMigration(simulator.MigrationFaults{Fail: 3})
			sim.ScheduleMigration() // the run waits for it, and its two retries
			var ended atomic.Bool
			var asked atomic.Int32
			sim.At(simulator.BootstrapperFinished, func() { ended.Store(true) })
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/dtr-upgrade-*/json",
				Status: http.StatusNotFound, Body: "No such container\n",
				Matches: func(*http.Request) bool { return ended.Load() && int(asked.Add(1)) == denied+1 },
			})
			var lists atomic.Int32
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/jobs",
				Matches: func(r *http.Request) bool {
					return ended.Load() && r.URL.Query().Get("action") == migration.MetadataStore && lists.Add(1) <= 3
				},
				Rewrite: func(status int, body []byte) (int, []byte) {
					var list struct {
						Jobs []map[string]any `json:"jobs"`
					}
					if err := json.Unmarshal(body, &list); err != nil {
						t.Error(err)
					}
					list.Jobs = list.Jobs[max(0, len(list.Jobs)-3):] // newest first
					changed, err := json.Marshal(list)
					if err != nil {
						t.Error(err)
					}
					return status, changed
				},
			})
			o := to("2.6.15")
			o.Retriggers = 0
			finish(t, sim, c, o, 1)
			if n := clustertest.Posts(sim); n > 0 {
				t.Errorf("%d POSTs", n)
			}
		})
	}
}

// TestRunWaitsForAMigrationOfDTR has DTR run another migration by itself after the
// first of two hops.
func TestRunWaitsForAMigrationOfDTR(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.4.14")
	var atWork atomic.Bool
	sim.At(simulator.BootstrapperFinished, sync.OnceFunc(func() { atWork.Store(true) }))
	looks := 0
	scanned := func(r *http.Request) bool {
		return r.URL.Query().Get("action") == "scannedlayermigration" && atWork.Load()
	}
	sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Method: "GET", Path: "/api/v0/jobs", Matches: scanned, Rewrite: func(status int, _ []byte) (int, []byte) {
		word := "running"
		if looks++; looks > 9 {
			word = "done"
		} else if n := sim.BootstrapperRuns(); n != 1 {
			t.Errorf("the second hop has begun after %d looks", looks)
		}
		return status, fmt.Appendf(nil, `{"jobs":[{"id":"s1","retryFromID":"s1","status":%q,"action":"scannedlayermigration"}]}`, word)
	}})
	if _, err := runUpgrade(t, c, to("2.6.15", "2.5.17")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	if looks < 9 {
		t.Errorf("the job was looked at %d times", looks)
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

// TestMigratedStoreIsNotForgottenBetweenContainers has a run end between the removal of
// a dead bootstrapper and the creation of the next.
func TestMigratedStoreIsNotForgottenBetweenContainers(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{AlreadyDone: true})
	sim.DeleteJobs()
	o := to("2.6.15")
	o.Pace.MigrationStart = 50 * time.Millisecond
	sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2})
	_, err := runUpgrade(t, c, o)
	_ = clustertest.AsError[*runner.BootstrapperError](t, err)
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	mend := sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: "POST", Path: "/containers/create", Status: http.StatusBadRequest, Body: `{"message":"killed"}`})
	if _, err := runUpgrade(t, c, o); err == nil {
		t.Fatal("a container was created")
	}
	mend()
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
	if n := clustertest.Posts(sim); n > 0 || len(sim.Jobs()) > 0 {
		t.Errorf("%d POSTs, jobs %+v", n, sim.Jobs())
	}
}

// TestRunEndsAfterAKillThatLeftTheLock is killed right after it has started the
// migration job again: the lock's container is no bootstrapper's, and must not be taken
// for somebody else's.
func TestRunEndsAfterAKillThatLeftTheLock(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{Fail: 3})
	ctx, cancel := context.WithCancel(clustertest.Limited(t))
	defer cancel()
	var killed atomic.Bool
	revive := sim.Inject(simulator.Fault{Matches: func(*http.Request) bool { return killed.Load() }, Reset: true})
	sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Method: http.MethodPost, Path: "/api/v0/jobs", Times: 1, Rewrite: func(status int, body []byte) (int, []byte) {
		killed.Store(true)
		cancel()
		return status, body
	}})
	if _, err := Run(ctx, c, to("2.6.15")); err == nil {
		t.Fatal("the run was not killed")
	}
	revive()
	lock := migration.LockName(strings.TrimPrefix(sim.DTRURL(), "https://"))
	left := func(c simulator.Container) bool { return c.Name == lock }
	if !slices.ContainsFunc(sim.Containers(), left) {
		t.Fatal("the lock is not left")
	}
	finish(t, sim, c, to("2.6.15"), 1)
	if slices.ContainsFunc(sim.Containers(), left) {
		t.Error("the lock is left over")
	}
	if n := clustertest.Posts(sim); n != 1 {
		t.Errorf("%d POSTs", n)
	}
}
