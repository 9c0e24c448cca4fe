package job

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

const updatePath = "/api/v0/imagescan/scan/update"

// updates counts the requests for another vulnerability database.
func updates(sim *simulator.Cluster) (n int) {
	for _, c := range clustertest.Changes(sim) {
		if c == "PUT "+updatePath {
			n++
		}
	}
	return n
}

func databaseFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "db.tar")
	if err := os.WriteFile(file, []byte(strings.Repeat("vulnerability ", 1<<17)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUpdateDatabase(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"", databaseFile(t)} {
		for _, tt := range []struct {
			name    string
			faults  simulator.DatabaseFaults
			fault   simulator.Fault
			updates int
			unsure  bool // whose job it is
		}{
			{name: "well", updates: 1},
			{name: "too early", faults: simulator.DatabaseFaults{NotReady: 2}, updates: 3},
			{name: "lost", fault: simulator.Fault{Method: http.MethodPut, Reset: true, Times: 1}, updates: 2},
			{name: "answer lost", fault: simulator.Fault{Method: http.MethodPut, AfterEffect: true, Times: 1}, updates: 1, unsure: source != ""},
			{name: "DTR away while it is waited for", fault: simulator.Fault{Path: "/api/v0/imagescan/status", Status: 502, Times: 9}, updates: 1},
		} {
			t.Run(tt.name+" "+filepath.Base(source), func(t *testing.T) {
				t.Parallel()
				sim, c := clustertest.Start(t, "2.6.15")
				sim.SetDatabase(tt.faults)
				before := clustertest.Must[dtr.ScanStatus](t)(c.DTR.Database().Status(t.Context()))
				if tt.fault.Status != 0 { // not before the update has begun
					sim.At(simulator.DatabaseUpdateStarted, func() { sim.Inject(tt.fault) })
				} else if tt.fault.Method != "" {
					sim.Inject(tt.fault)
				}
				status, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{File: source, Pace: clustertest.Pace})
				if tt.unsure {
					_ = clustertest.AsError[*dtr.LostJobError](t, err)
				} else if err != nil {
					t.Fatal(err)
				}
				if !tt.unsure && (!status.DBUpdatedAt.After(before.DBUpdatedAt) || status.DBVersion == before.DBVersion) {
					t.Errorf("before %+v, after %+v", before, status)
				}
				if n := updates(sim); n != tt.updates || len(sim.Jobs()) != 1 || len(sim.Uploads()) != min(len(source), 1) {
					t.Errorf("%d requests, jobs %+v, uploads %+v", n, sim.Jobs(), sim.Uploads())
				}
			})
		}
	}
}

func TestUpdateDatabaseFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		faults simulator.DatabaseFaults
		pace   func(*wait.Pace)
		want   func(*DatabaseError) bool
	}{
		{"fails", simulator.DatabaseFaults{Fail: 1}, nil, func(e *DatabaseError) bool {
			return e.Cause == nil && strings.Contains(strings.Join(e.Log, "\n"), "checksum mismatch")
		}},
		{"unknown status", simulator.DatabaseFaults{Status: "levitating"}, nil, func(e *DatabaseError) bool {
			var unknown *dtr.UnknownStatusError
			return errors.As(e, &unknown) && unknown.Word == "levitating"
		}},
		{"worker is gone", simulator.DatabaseFaults{Status: "worker_dead"}, func(p *wait.Pace) { p.MigrationStart = 50 * time.Millisecond }, func(e *DatabaseError) bool {
			return errors.Is(e, ErrOrphaned) && e.Job.Status == "worker_dead"
		}},
		{"canceled", simulator.DatabaseFaults{Status: "canceled"}, nil, func(e *DatabaseError) bool {
			return e.Cause == nil && e.Job.Status == "canceled"
		}},
		{"never ready", simulator.DatabaseFaults{NotReady: 1 << 20}, func(p *wait.Pace) { p.Healthy = time.Millisecond }, func(e *DatabaseError) bool {
			var api *dtr.APIError
			return errors.As(e, &api) && api.Code == dtr.CodeScanningNotReady && e.Job.ID == ""
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			sim.SetDatabase(tt.faults)
			pace := clustertest.Pace
			if tt.pace != nil {
				tt.pace(&pace)
			}
			_, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: pace})
			failure := clustertest.AsError[*DatabaseError](t, err)
			if !tt.want(failure) || failure.URL == "" {
				t.Errorf("failure %+v", failure)
			}
		})
	}
}

// TestUpdateDatabaseThatFindsNothingNewer is one after an update that brought the
// newest database, and whose apply was killed before it could note that.
func TestUpdateDatabaseThatFindsNothingNewer(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"online": "", "file": databaseFile(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			sim.SetDatabase(simulator.DatabaseFaults{Same: true})
			pace := clustertest.Pace
			pace.Consistent = time.Millisecond
			got, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{File: file, Pace: pace})
			if err != nil || !got.NotNewer || got.DBUpdatedAt.IsZero() || updates(sim) != 1 {
				t.Errorf("%+v, error %v, %d requests", got, err, updates(sim))
			}
		})
	}
}

// TestUpdateDatabaseThatIsBusy has DTR refuse to tell the database's state while that
// is being updated, as if the user were not allowed to ask.
func TestUpdateDatabaseThatIsBusy(t *testing.T) {
	t.Parallel()
	refusal := simulator.Fault{
		Service: simulator.ServiceDTR, Path: "/api/v0/imagescan/status", Status: http.StatusForbidden, Body: `{"errors":[{"code":"NOT_AUTHORIZED"}]}`,
	}
	t.Run("from the start of its own", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Start(t, "2.6.15")
		injected := make(chan func(), 1)
		sim.At(simulator.DatabaseUpdateStarted, func() { injected <- sim.Inject(refusal) })
		release := sim.Hold(simulator.DatabaseUpdateStarted)
		go func() {
			busy := <-injected
			waitFor(t, sim, refusal.Path, len(sim.Requests()))
			busy()
			release()
		}()
		if got, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: clustertest.Pace}); err != nil || got.NotNewer || got.Busy {
			t.Errorf("%+v, error %v", got, err)
		}
	})
	t.Run("with another one's", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Start(t, "2.6.15")
		release := sim.Hold(simulator.DatabaseUpdateStarted)
		if err := c.DTR.Database().Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-sim.Reached(simulator.DatabaseUpdateStarted)
		busy := sim.Inject(refusal)
		asked := len(sim.Requests())
		go func() {
			waitFor(t, sim, refusal.Path, asked)
			waitFor(t, sim, "/api/v0/jobs", asked) // else the other one's may have ended before it is seen
			busy()
			release()
		}()
		if got, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: clustertest.Pace}); err != nil || got.NotNewer || updates(sim) != 1 {
			t.Errorf("%+v, error %v, %d requests", got, err, updates(sim))
		}
	})
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Start(t, "2.6.15")
		sim.Inject(refusal)
		pace := clustertest.Pace
		pace.Outage = 50 * time.Millisecond
		_, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: pace})
		if failure := clustertest.AsError[*DatabaseError](t, err); !errors.Is(failure.Cause, ErrBusy) || updates(sim) > 0 {
			t.Errorf("%v after %d requests", err, updates(sim))
		}
	})
	t.Run("and the user is no admin", func(t *testing.T) {
		t.Parallel()
		sim, c := clustertest.Start(t, "2.6.15")
		sim.Inject(refusal)
		sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/api/v0/meta/settings", Status: http.StatusForbidden})
		_, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: clustertest.Pace})
		if api := clustertest.AsError[*dtr.APIError](t, err); !api.Forbidden() {
			t.Errorf("error %v", err)
		}
	})
}

// TestUpdateDatabaseAfterAFailure holds that the mark of an earlier failure is
// not taken for that of this update, and that it ends with it.
func TestUpdateDatabaseAfterAFailure(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.SetDatabase(simulator.DatabaseFaults{Fail: 1})
	if _, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: clustertest.Pace}); err == nil {
		t.Fatal("the first update did not fail")
	}
	status := clustertest.Must[Database](t)(UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: clustertest.Pace}))
	if status.LastDBUpdateFailed || updates(sim) != 2 {
		t.Errorf("status %+v after %d requests", status, updates(sim))
	}
}

func TestUpdateDatabaseRefused(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.SetDatabase(simulator.DatabaseFaults{Disabled: true})
	_, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{Pace: clustertest.Pace})
	if api := clustertest.AsError[*dtr.APIError](t, err); api.Code != dtr.CodeScanningNotEnabled {
		t.Errorf("error %v", err)
	}
	sim.SetDatabase(simulator.DatabaseFaults{})
	for name, file := range map[string]string{"missing": filepath.Join(t.TempDir(), "none"), "a directory": t.TempDir()} {
		var unread *dtr.FileError
		if _, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{File: file, Pace: clustertest.Pace}); !errors.As(err, &unread) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if n := updates(sim); n > 0 {
		t.Errorf("%d requests were made", n)
	}
}

// TestUpdateDatabaseIsResumed cuts an update short while DTR works on it. The next
// one waits for a download; for a file it cannot know whose content is on its way.
func TestUpdateDatabaseIsResumed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file    string
		updates int
	}{"online": {"", 1}, "file": {databaseFile(t), 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			release := sim.Hold(simulator.DatabaseUpdateStarted)
			defer release()
			ctx, cancel := context.WithCancel(clustertest.Limited(t))
			defer cancel()
			sim.At(simulator.DatabaseUpdateStarted, cancel)
			o := DatabaseOptions{File: tt.file, Pace: clustertest.Pace}
			_, err := UpdateDatabase(ctx, c.DTR, o)
			if detached := clustertest.AsError[*wait.DetachedError](t, err); !errors.Is(detached, context.Canceled) {
				t.Errorf("error %v", err)
			}

			again := make(chan error, 1)
			go func() {
				_, err := UpdateDatabase(clustertest.Limited(t), c.DTR, o)
				again <- err
			}()
			waitFor(t, sim, "/api/v0/jobs", len(sim.Requests()))
			release()
			if err := <-again; err != nil {
				t.Fatal(err)
			}
			if n := updates(sim); n != tt.updates || len(sim.Jobs()) != tt.updates {
				t.Errorf("%d requests, jobs %+v", n, sim.Jobs())
			}
		})
	}
}

// TestUpdateDatabaseBesideADeadJob has an earlier update stay without a worker.
func TestUpdateDatabaseBesideADeadJob(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"online": "", "file": databaseFile(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			sim.SetDatabase(simulator.DatabaseFaults{Status: "worker_dead"})
			if err := c.DTR.Database().Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			for ctx := clustertest.Limited(t); sim.Jobs()[0].Status != "worker_dead" && ctx.Err() == nil; runtime.Gosched() {
			}
			sim.SetDatabase(simulator.DatabaseFaults{})
			pace := clustertest.Pace
			pace.MigrationStart = 50 * time.Millisecond
			if _, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{File: file, Pace: pace}); err != nil {
				t.Fatal(err)
			}
			if n := updates(sim); n != 2 {
				t.Errorf("%d requests, jobs %+v", n, sim.Jobs())
			}
		})
	}
}

// TestUploadIsNotTakenForAnotherUpdate has a download begin, and end, while the file
// is being sent.
func TestUploadIsNotTakenForAnotherUpdate(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	loading, release := sim.HoldNth(simulator.DatabaseUpdateStarted, 2)
	defer release()
	sim.Inject(simulator.Fault{Method: http.MethodPut, Path: updatePath, Delay: 2 * time.Second, Times: 1})
	file, ended := databaseFile(t), make(chan error, 1)
	go func() {
		_, err := UpdateDatabase(clustertest.Limited(t), c.DTR, DatabaseOptions{File: file, Pace: clustertest.Pace})
		ended <- err
	}()
	for ctx := clustertest.Limited(t); updates(sim) == 0 && ctx.Err() == nil; runtime.Gosched() {
	}
	if err := c.DTR.Database().Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-loading
	select {
	case err := <-ended:
		t.Errorf("the file is not loaded yet, and its update ended with %v", err)
	case <-time.After(100 * time.Millisecond):
		release()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if len(sim.Jobs()) != 2 || len(sim.Uploads()) != 1 {
		t.Errorf("jobs %+v, uploads %+v", sim.Jobs(), sim.Uploads())
	}
}

// waitFor waits until the path has been asked for after the first so many requests.
func waitFor(t *testing.T, sim *simulator.Cluster, path string, after int) {
	t.Helper()
	for ctx := clustertest.Limited(t); ctx.Err() == nil; runtime.Gosched() {
		for _, r := range sim.Requests()[after:] {
			if r.Path == path && r.Status != 0 {
				return
			}
		}
	}
	t.Fatalf("%s was not asked for", path)
}

// TestDatabaseOutcome holds when an update counts as done, and when as failed.
func TestDatabaseOutcome(t *testing.T) {
	t.Parallel()
	was := dtr.ScanStatus{DBUpdatedAt: clustertest.Epoch}
	newer, same := dtr.ScanStatus{DBUpdatedAt: clustertest.Epoch.Add(time.Second)}, was
	wasFailed := dtr.ScanStatus{DBUpdatedAt: clustertest.Epoch, LastDBUpdateFailed: true}
	newerFailed := dtr.ScanStatus{DBUpdatedAt: clustertest.Epoch.Add(time.Second), LastDBUpdateFailed: true}
	never, busy := dtr.ScanStatus{}, dtr.ScanStatus{Busy: true}
	for _, tt := range []struct {
		name          string
		phase         Phase
		before, after dtr.ScanStatus
		late          bool // the status of the job has not changed for long
		want          string
	}{
		{"job done, newer", Done, was, newer, false, "done"},
		{"job done, the first database", Done, never, newer, false, "done"},
		{"job done, not seen yet", Done, was, same, false, "wait"},
		{"job done, no newer", Done, was, same, true, "done"},
		{"job done, no newer, and it failed", Done, was, wasFailed, true, "failed"},
		{"job done, busy", Done, was, busy, false, "wait"},
		{"job done, busy for too long", Done, was, busy, true, "failed"},
		{"job done, was busy before", Done, busy, newer, false, "done"},
		{"job runs, busy", Running, was, busy, true, "wait"},
		{"job done, newer, and said to have failed", Done, was, newerFailed, false, "wait"},
		{"job done, newer, and still said to have failed", Done, was, newerFailed, true, "failed"},
		{"job runs, newer", Running, was, newer, true, "wait"},
		{"job failed, newer", GaveUp, was, newer, false, "failed"},
		{"job failed, is to be tried again", Retrying, was, newerFailed, false, "wait"},
		{"job failed, and is not tried again", Retrying, was, newerFailed, true, "failed"},
		{"no job, newer", Absent, was, newer, false, "done"},
		{"no job, nothing new", Absent, was, same, true, "wait"},
		{"no job, failed", Absent, was, wasFailed, false, "failed"},
		{"no job, failed before", Absent, wasFailed, wasFailed, true, "wait"},
		{"no job, failed before, newer", Absent, wasFailed, newer, false, "done"},
		{"no job, newer, failed before and said so still", Absent, wasFailed, newerFailed, true, "wait"},
	} {
		u := &databaseUpdate{pace: wait.DefaultPace, before: tt.before, after: tt.after}
		waited := time.Duration(0)
		if tt.late {
			waited = time.Hour
		}
		done, err := u.outcome(State{Phase: tt.phase}, waited)
		if got := outcome(done, err); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestDatabaseTellsOfAnOutage has nobody answer while an update is waited for.
func TestDatabaseTellsOfAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, err := dtr.New(dtr.Config{URL: "https://127.0.0.1:1", Username: "admin", Password: "pa55word"}) // where nobody listens
		if err != nil {
			t.Fatal(err)
		}
		var out clustertest.Log
		began := time.Now()
		u := &databaseUpdate{client: client, pace: wait.DefaultPace}
		if err := u.wait(tflogtest.RootLogger(t.Context(), &out)); err == nil {
			t.Fatal("an update was seen")
		}
		line := `"The update of the vulnerability database goes on, since ` + began.Format(time.TimeOnly) + `; every attempt since `
		if n := strings.Count(out.String(), line); n < 9 {
			t.Errorf("%d lines in ten minutes:\n%s", n, out.String())
		}
	})
}
