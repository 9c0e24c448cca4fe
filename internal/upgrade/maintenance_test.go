package upgrade

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/window"
)

func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// Two times by the watch, of which one lies in the window of nightly, and the
// other so short before it that a run may wait.
var (
	closedAt  = instant("2020-01-04T21:59:30Z")
	openAt    = instant("2020-01-04T22:30:00Z")
	opensNext = "2020-01-04T22:00:00Z"
)

// watch is a clock that is set by hand.
type watch struct {
	mu    sync.Mutex
	now   time.Time
	asked int
	// onAsked is called each time, before the answer.
	onAsked func(w *watch, asked int)
}

func (w *watch) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.onAsked != nil {
		w.onAsked(w, w.asked)
	}
	return w.now
}

func (w *watch) set(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = t
}

// nightly are the options with a window from 22:00 to 23:00 and a watch that shows
// the time.
func nightly(t *testing.T, o Options, now time.Time) (Options, *watch) {
	t.Helper()
	w := &watch{now: now}
	o.Window, o.Now = clustertest.Must[*window.Window](t)(window.New("0 22 * * *", time.Hour, "")), w.Now
	return o, w
}

func wantClosed(t *testing.T, err error, hop string) {
	t.Helper()
	closed := clustertest.AsError[*ClosedWindowError](t, err)
	if got := closed.Opens.Format(time.RFC3339); got != opensNext || hopName(closed.Hop) != hop {
		t.Errorf("hop %s is refused until %s, want %s until %s", hopName(closed.Hop), got, hop, opensNext)
	}
}

func TestRunOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	o, clock := nightly(t, to("2.6.15"), closedAt)
	report, err := runUpgrade(t, c, o)
	wantClosed(t, err, "2.5.6 -> 2.6.15")
	if did := clustertest.Changes(sim); len(did) > 0 {
		t.Errorf("something was touched: %v", did)
	}
	if v := report.Inventory.CurrentVersion(); !v.Equal(clustertest.Version("2.5.6")) {
		t.Errorf("the report says that %s runs", v)
	}

	clock.set(openAt)
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")

	// Where nothing is due, no window matters.
	clock.set(closedAt)
	report, err = runUpgrade(t, c, o)
	if err != nil || report.Worked() || len(report.Warnings) > 0 {
		t.Errorf("got report %+v and error %v", report, err)
	}
}

// TestRunStopsBetweenHops closes the window at several points of the first hop,
// which is finished all the same.
func TestRunStopsBetweenHops(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.BootstrapperStarted, simulator.ReplicaReplaced(2), simulator.MigrationStarted, simulator.MigrationFinished} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			o, clock := nightly(t, to("2.7.8", "2.6.15"), openAt)
			sim.At(point, sync.OnceFunc(func() { clock.set(closedAt) }))
			report, err := runUpgrade(t, c, o)
			wantClosed(t, err, "2.6.15 -> 2.7.8")
			clustertest.WantAt(t, sim, "2.6.15")
			clustertest.WantNoBootstrapper(t, sim)
			if report.BootstrapperRuns != 1 || report.MigrationAttempts != 1 {
				t.Errorf("got report %+v", report)
			}
			clock.set(openAt)
			finish(t, sim, c, o, 2)
		})
	}
}

// TestRunStopsWhenImagesTakeTooLong lets the window close between the beginning
// of a hop and the start of its bootstrapper.
func TestRunStopsWhenImagesTakeTooLong(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	o, clock := nightly(t, to("2.6.15"), openAt)
	clock.onAsked = func(w *watch, asked int) {
		if asked == 2 {
			w.now = closedAt
		}
	}
	_, err := runUpgrade(t, c, o)
	wantClosed(t, err, "2.5.6 -> 2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
	if sim.BootstrapperRuns() > 0 {
		t.Error("a bootstrapper ran")
	}
	if !strings.Contains(strings.Join(clustertest.Changes(sim), " "), "/images/create") {
		t.Error("no image was pulled before")
	}

	// With wait the same run goes on in the next window.
	clock.asked, o.Window.Wait = 0, true
	clock.onAsked = func(w *watch, asked int) {
		w.now = closedAt
		if asked == 1 || asked > 5 {
			w.now = openAt
		}
	}
	finish(t, sim, c, o, 1)
}

func TestRunWaitsForTheWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, point string // after which the window is closed; "" is from the beginning
		target      Options
		runs        int
	}{
		"before the first hop":  {"2.5.6", "", to("2.6.15"), 1},
		"before the second hop": {"2.5.6", simulator.MigrationFinished, to("2.7.8", "2.6.15"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, cluster := clustertest.Start(t, c.from)
			o, clock := nightly(t, c.target, closedAt)
			o.Window.Wait = true
			looks := 0
			clock.onAsked = func(w *watch, _ int) {
				if w.now.Equal(closedAt) {
					if looks++; looks == 5 {
						sim.ResetRequests()
					}
					if looks == 10 {
						if did := clustertest.Changes(sim); len(did) > 0 {
							t.Errorf("something was touched in the wait: %v", did)
						}
						w.now = openAt
					}
				}
			}
			if c.point != "" {
				clock.now = openAt
				sim.At(c.point, sync.OnceFunc(func() { clock.set(closedAt) }))
			}
			began := time.Now()
			report, err := runUpgrade(t, cluster, o)
			if err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, c.target.Target.String())
			if got := sim.BootstrapperRuns(); got != c.runs || looks < 10 {
				t.Errorf("%d bootstrapper runs after %d looks at the watch, want %d", got, looks, c.runs)
			}
			if report.StartedAt.Before(began) {
				t.Errorf("the report begins at %s, before the run at %s", report.StartedAt, began)
			}
		})
	}
}

// TestRunLooksAgainAfterTheWait puts something in the way while the window is
// waited for, and has somebody else do the upgrade meanwhile.
func TestRunLooksAgainAfterTheWait(t *testing.T) {
	t.Parallel()
	wait := func(t *testing.T, meanwhile func(*simulator.Cluster)) (*simulator.Cluster, *Report, error) {
		t.Helper()
		sim, c := clustertest.Start(t, "2.5.6")
		o, clock := nightly(t, to("2.6.15"), closedAt)
		o.Window.Wait = true
		clock.onAsked = func(w *watch, asked int) {
			if asked == 6 {
				meanwhile(sim)
				w.now = openAt
			}
		}
		report, err := runUpgrade(t, c, o)
		return sim, report, err
	}
	t.Run("garbage collection", func(t *testing.T) {
		t.Parallel()
		sim, _, err := wait(t, func(sim *simulator.Cluster) { sim.SetGCLock("onlinegc") })
		clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.GarbageCollection)
		if did := clustertest.Changes(sim); len(did) > 0 {
			t.Errorf("something was touched: %v", did)
		}
	})
	t.Run("upgraded by somebody else", func(t *testing.T) {
		t.Parallel()
		sim, report, err := wait(t, func(sim *simulator.Cluster) {
			for _, id := range sim.ReplicaIDs() {
				sim.SetReplicaVersion(id, "2.6.15")
			}
			sim.SetMigration(simulator.MigrationFaults{AlreadyDone: true})
		})
		if err != nil || report.Worked() {
			t.Errorf("got report %+v and error %v", report, err)
		}
		if did := clustertest.Changes(sim); len(did) > 0 {
			t.Errorf("something was touched: %v", did)
		}
	})
}

// TestRunFollowsABootstrapperOutsideOfTheWindow closes the window on a rollout
// that goes on without Terraform.
func TestRunFollowsABootstrapperOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	o, clock := nightly(t, to("2.6.15"), openAt)
	ctx, cancel := context.WithCancel(t.Context())
	release := sim.Hold(simulator.ReplicaStarted(2))
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(2))
		cancel()
	}()
	_, err := Run(ctx, c, o)
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	clock.set(closedAt)
	release()
	finish(t, sim, c, o, 1)
}

// TestRunSeesAHopThroughOutsideOfTheWindow closes the window on a migration that
// goes on without Terraform, with another hop to come.
func TestRunSeesAHopThroughOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	o, clock := nightly(t, twoHops(), openAt)
	ctx, cancel := context.WithCancel(t.Context())
	reached, release := sim.HoldNth(simulator.MigrationStarted, 1)
	go func() {
		<-reached
		cancel()
	}()
	_, err := Run(ctx, c, o)
	_ = clustertest.AsError[*wait.DetachedError](t, err)
	clock.set(closedAt)
	release()
	report, err := runUpgrade(t, c, o)
	wantClosed(t, err, "2.6.15 -> 2.7.8")
	clustertest.WantNoBootstrapper(t, sim)
	if report.MigrationAttempts != 1 {
		t.Errorf("%d migration attempts were seen through", report.MigrationAttempts)
	}
	clock.set(openAt)
	finish(t, sim, c, o, 2)
}

// TestRunOfADeadBootstrapperOutsideOfTheWindow closes the window after a
// bootstrapper died. One that left a replica half done is followed by another at
// once; whole replicas wait.
func TestRunOfADeadBootstrapperOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	one := 1
	tests := []struct {
		name   string
		faults simulator.BootstrapperFaults
		goesOn bool
	}{
		{"in the middle of the second replica", simulator.BootstrapperFaults{DieAtReplica: 2}, true},
		{"before the first replica", simulator.BootstrapperFaults{DieAtReplica: -1}, false},
		{"with a whole replica left", simulator.BootstrapperFaults{SkipReplica: 3, ExitStatus: &one}, false},
		{"with all replicas at the target", simulator.BootstrapperFaults{ExitStatus: &one}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			o, clock := nightly(t, to("2.6.15"), openAt)
			sim.SetBootstrapper(tt.faults)
			_, err := runUpgrade(t, c, o)
			_ = clustertest.AsError[*runner.BootstrapperError](t, err)
			sim.SetBootstrapper(simulator.BootstrapperFaults{})

			clock.set(closedAt)
			_, err = runUpgrade(t, c, o)
			if tt.goesOn != (err == nil) {
				t.Fatalf("outside of the window: %v", err)
			}
			if !tt.goesOn {
				wantClosed(t, err, "2.5.6 -> 2.6.15")
				if got := sim.BootstrapperRuns(); got != 1 {
					t.Errorf("%d bootstrapper runs outside of the window", got-1)
				}
				clock.set(openAt)
				if _, err := runUpgrade(t, c, o); err != nil {
					t.Fatal(err)
				}
			}
			clustertest.WantAt(t, sim, "2.6.15")
			clustertest.WantNoBootstrapper(t, sim)
			if got := sim.BootstrapperRuns(); got != 2 {
				t.Errorf("%d bootstrapper runs, want 2", got)
			}
		})
	}
}

// TestWindowHoldsBackAHopThatIsNotBegun has a container missing on a cluster on
// which no upgrade was begun: that is no reason to begin one.
func TestWindowHoldsBackAHopThatIsNotBegun(t *testing.T) {
	t.Parallel()
	o, _ := nightly(t, options("2.6.15"), closedAt)
	obs := observation("2.5.6", "2.5.6", "2.5.6")
	delete(obs.Replicas[0].Containers, "api")
	obs.At = closedAt
	plan, _ := check(obs, o)
	if obs.blockedByWindow(plan, o) == nil {
		t.Error("the hop may be begun")
	}
	obs.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}
	if closed := obs.blockedByWindow(plan, o); closed != nil {
		t.Errorf("the hop that was begun may not be finished: %v", closed)
	}
}

func TestWaitForWindow(t *testing.T) {
	t.Parallel()
	passed := errors.New("timeouts.update of 6h0m0s passed")
	synctest.Test(t, func(t *testing.T) { // begins at midnight of 2000-01-01, UTC
		o := options("2.6.15")
		o.Window = clustertest.Must[*window.Window](t)(window.New("0 22 * * *", time.Hour, "Europe/Berlin"))
		o.Window.Wait = true
		r := newRun(cluster.Cluster{}, o)
		hop := *newHop(clustertest.Version("2.5.6"), clustertest.Version("2.6.15"))
		await := func(ctx context.Context) error { return r.waitForWindow(ctx, r.o.windowError(time.Now(), hop)) }

		limited, cancel := context.WithTimeoutCause(t.Context(), 6*time.Hour, passed)
		defer cancel()
		began := time.Now()
		if closed := clustertest.AsError[*ClosedWindowError](t, await(limited)); !closed.TooLate || !time.Now().Equal(began) {
			t.Errorf("got %+v after %s, want a refusal at once", closed, time.Since(began))
		}

		interrupted, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, interrupt)
		detached := clustertest.AsError[*wait.DetachedError](t, await(interrupted))
		if !errors.Is(detached, context.Canceled) || detached.Step != stepWindow || detached.Opens.Format(time.RFC3339) != "2000-01-01T22:00:00+01:00" {
			t.Errorf("got %+v", detached)
		}

		began = time.Now()
		var out clustertest.Log
		if err := await(tflogtest.RootLogger(t.Context(), &out)); err != nil {
			t.Fatal(err)
		}
		line := `"The wait for the maintenance window of 2000-01-01T22:00:00+01:00 goes on, since ` + began.Format(time.TimeOnly) + `"`
		if n, minutes := strings.Count(out.String(), line), int(time.Since(began).Minutes()); n != minutes || n < 60 {
			t.Errorf("%d minutes were waited for the window, and %d lines said so", minutes, n)
		}
		if late := time.Since(instant("2000-01-01T21:00:00Z")); late < 0 || late > wait.DefaultPace.Poll {
			t.Errorf("the wait ended %s after the opening", late)
		}
	})
}
