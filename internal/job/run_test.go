package job

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// migration is a job that DTR has retries for.
const migration = "metadatastoremigration"

func TestAttemptsOf(t *testing.T) {
	t.Parallel()
	retry := func(id, of string) dtr.Job { return dtr.Job{ID: id, RetryFromID: of} }
	for _, tt := range []struct {
		name string
		jobs []dtr.Job // newest first
		want []string
	}{
		{"none", nil, nil},
		{"alone", []dtr.Job{retry("b", "b"), retry("a", "a")}, []string{"a"}},
		{"retries that name the first", []dtr.Job{retry("c", "a"), retry("b", "a"), retry("a", "a")}, []string{"c", "b", "a"}},
		{"retries that name the one before", []dtr.Job{retry("c", "b"), retry("x", "x"), retry("b", "a"), retry("a", "a")}, []string{"c", "b", "a"}},
		{"the first has gone from the list", []dtr.Job{retry("c", "b"), retry("b", "a")}, []string{"c", "b"}},
	} {
		var got []string
		for _, j := range attemptsOf("a", tt.jobs) {
			got = append(got, j.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestUnderWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		statuses string // newest first
		want     int    // -1 for none
	}{
		{"", -1},
		{"done error canceled", -1},
		{"done running waiting", 1},
		{"worker_dead done", 0},
		{"levitating done", 0},
		{"done levitating", -1},
		{"done levitating running", 2},
		{"done worker_dead", -1},
		{"done worker_shutdown running", 2},
		{"done<worker_dead", -1},
		{"error<running", -1},
		{"running<worker_dead", 0},
		{"done done<worker_dead running", 3},
	} {
		var jobs []dtr.Job // a status behind < is that of the job that the one before it tries again
		for s := range strings.FieldsSeq(strings.ReplaceAll(tt.statuses, "<", " <")) {
			id := strconv.Itoa(len(jobs))
			status, retried := strings.CutPrefix(s, "<")
			if retried {
				jobs[len(jobs)-1].RetryFromID = id
			}
			jobs = append(jobs, dtr.Job{ID: id, Status: dtr.JobStatus(status)})
		}
		got, found := underWay(jobs, func(dtr.Job) bool { return true })
		if found != (tt.want >= 0) || found && got.ID != jobs[tt.want].ID {
			t.Errorf("%s: got %q", tt.statuses, got.ID)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		action   string
		faults   simulator.MigrationFaults
		status   dtr.JobStatus // of the job in the end
		attempts int           // of a failure
		unknown  bool
	}{
		{name: "done", action: "onlinegc", status: "done"},
		{name: "fails", action: "false", status: "errored", attempts: 1},
		{name: "unknown status", action: migration, faults: simulator.MigrationFaults{Status: "levitating"}, status: "levitating", attempts: 1, unknown: true},
		{name: "canceled", action: migration, faults: simulator.MigrationFaults{Status: "canceled"}, status: "canceled", attempts: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			sim.SetMigration(tt.faults)
			var said []string
			job, err := Run(clustertest.Limited(t), c.DTR, Options{Action: tt.action, Pace: clustertest.Pace, Progress: func(s string) { said = append(said, s) }})
			if job.Status != tt.status || clustertest.Posts(sim) != 1 {
				t.Errorf("job %+v after %d POSTs", job, clustertest.Posts(sim))
			}
			if tt.attempts > 0 {
				failure := clustertest.AsError[*Error](t, err)
				if failure.Attempts != tt.attempts || failure.Job.ID != job.ID || failure.URL == "" || len(failure.Log) == 0 && tt.faults.Status == "" {
					t.Errorf("failure %+v", failure)
				}
				var unknown *dtr.UnknownStatusError
				if errors.As(err, &unknown) != tt.unknown || tt.unknown && !strings.Contains(err.Error(), "levitating") {
					t.Errorf("error %v", err)
				}
			} else if err != nil {
				t.Error(err)
			}
			if len(said) < 2 || !strings.Contains(said[0], "started") || !strings.Contains(said[len(said)-1], string(tt.status)) {
				t.Errorf("progress %q", said)
			}
		})
	}
}

// TestRunJobWaitsForRetries joins the migration that DTR itself runs again.
func TestRunJobWaitsForRetries(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.SetMigration(simulator.MigrationFaults{Fail: 1})
	client := c.DTR
	release := sim.Hold(simulator.MigrationStarted)
	defer release()
	sim.ScheduleMigration()
	<-sim.Reached(simulator.MigrationStarted)
	var said []string
	job, err := Run(clustertest.Limited(t), client, Options{Action: migration, Pace: clustertest.Pace, Progress: func(s string) {
		said = append(said, s)
		release()
	}})
	if err != nil || job.Status != "done" || job.RetryFromID == job.ID {
		t.Errorf("job %+v, error %v", job, err)
	}
	if clustertest.Posts(sim) > 0 || !strings.Contains(said[0], "joined") {
		t.Errorf("%d POSTs, progress %q", clustertest.Posts(sim), said)
	}
}

// TestRunJobJoins holds that the job that runs is waited for, and a second one
// started only where it does something else.
func TestRunJobJoins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		runs       map[string]string
		parameters map[string]string
		posts      int
	}{
		{"none asked for", map[string]string{"a": "b"}, nil, 0},
		{"the same", map[string]string{"a": "b"}, map[string]string{"a": "b"}, 0},
		{"others", map[string]string{"a": "b"}, map[string]string{"a": "c"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			release := sim.Hold(simulator.JobStarted)
			defer release()
			first := clustertest.Must[dtr.Job](t)(c.DTR.RunJob(t.Context(), "sleep", tt.runs))
			<-sim.Reached(simulator.JobStarted)
			sim.ResetRequests()
			job := clustertest.Must[dtr.Job](t)(Run(clustertest.Limited(t), c.DTR, Options{
				Action: "sleep", Parameters: tt.parameters, Pace: clustertest.Pace, Progress: func(string) { release() },
			}))
			if job.Status != "done" || (job.ID == first.ID) != (tt.posts == 0) || clustertest.Posts(sim) != tt.posts {
				t.Errorf("job %+v after %d POSTs, first was %s", job, clustertest.Posts(sim), first.ID)
			}
		})
	}
}

func TestRunJobDetaches(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	release := sim.Hold(simulator.JobStarted)
	defer release()
	ctx, cancel := context.WithCancel(clustertest.Limited(t))
	defer cancel()
	job, err := Run(ctx, c.DTR, Options{Action: "sleep", Pace: clustertest.Pace, Progress: func(string) { cancel() }})
	detached := clustertest.AsError[*wait.DetachedError](t, err)
	if detached.Job != job.ID || job.ID == "" || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v of job %+v", err, job)
	}
	if jobs := sim.Jobs(); len(jobs) != 1 || slices.Contains(clustertest.Changes(sim), "DELETE /api/v0/jobs/"+job.ID) {
		t.Errorf("jobs %+v, changes %q", jobs, clustertest.Changes(sim))
	}
	// The next run joins what goes on, also without waiting for it.
	again := clustertest.Must[dtr.Job](t)(Run(clustertest.Limited(t), c.DTR, Options{Action: "sleep", Pace: clustertest.Pace, Detach: true}))
	if again.ID != job.ID || clustertest.Posts(sim) != 1 {
		t.Errorf("job %s after %d POSTs, want %s", again.ID, clustertest.Posts(sim), job.ID)
	}
}

// TestOverdue holds what is waited for, and what not for ever.
func TestOverdue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phase      Phase
		status     dtr.JobStatus
		soon, late error
	}{
		{Running, "running", nil, nil},
		{Running, "worker_dead", nil, ErrOrphaned},
		{Done, "done", nil, nil},
		{GaveUp, "error", ErrGaveUp, ErrGaveUp},
		{Retrying, "error", nil, ErrNotRetried},
		{Absent, "", nil, ErrNotListed},
	} {
		s := State{Phase: tt.phase, Job: dtr.Job{Status: tt.status}}
		for waited, want := range map[time.Duration]error{0: tt.soon, time.Hour: tt.late} {
			if got := s.Overdue(waited, wait.DefaultPace); !errors.Is(got, want) {
				t.Errorf("phase %d after %s: %v, want %v", tt.phase, waited, got, want)
			}
		}
	}
}

// outcome is a word for what a wait comes to.
func outcome(done bool, err error) string {
	switch {
	case done && err == nil:
		return "done"
	case done:
		return "both"
	case err != nil:
		return "failed"
	}
	return "wait"
}

// TestWaiterSinceTheStatus holds that the time for a retry counts from the failure on.
func TestWaiterSinceTheStatus(t *testing.T) {
	t.Parallel()
	w := &Waiter{
		Pace: wait.DefaultPace, Since: time.Now().Add(-time.Hour),
		Job: dtr.Job{ID: "a", Status: "running"}, State: State{Phase: Running, Job: dtr.Job{ID: "a", Status: "running"}},
	}
	w.note(t.Context(), State{Phase: Retrying, Job: dtr.Job{ID: "a", Status: "error"}})
	if err := w.Overdue(); err != nil {
		t.Error(err)
	}
}

// TestRunJobWhoseWorkerIsGone holds that nobody is waited for who does not come.
func TestRunJobWhoseWorkerIsGone(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.SetMigration(simulator.MigrationFaults{Status: "worker_dead"})
	pace := clustertest.Pace
	pace.MigrationStart = 50 * time.Millisecond
	_, err := Run(clustertest.Limited(t), c.DTR, Options{Action: migration, Pace: pace})
	if failure := clustertest.AsError[*Error](t, err); !errors.Is(failure, ErrOrphaned) || failure.Job.Status != "worker_dead" {
		t.Errorf("failure %+v", failure)
	}
}

func TestRunJobThatIsDeleted(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	pace := clustertest.Pace
	pace.MigrationStart = 50 * time.Millisecond
	release := sim.Hold(simulator.JobStarted)
	defer release()
	_, err := Run(clustertest.Limited(t), c.DTR, Options{Action: "sleep", Pace: pace, Progress: func(string) { sim.DeleteJobs() }})
	if failure := clustertest.AsError[*Error](t, err); !errors.Is(failure, ErrNotListed) || failure.Job.ID == "" {
		t.Errorf("failure %+v", failure)
	}
}

// TestLostJobIsNoRetry has the answer to the start of a job be lost, while DTR makes a
// retry of an earlier one: that is not the job that was asked for.
func TestLostJobIsNoRetry(t *testing.T) {
	t.Parallel()
	var listed atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler)
		}
		jobs := []string{`{"id":"first","action":"sleep","status":"error","retryFromID":"first"}`}
		if listed.Add(1) > 2 {
			jobs = append([]string{`{"id":"retry","action":"sleep","status":"running","retryFromID":"first"}`}, jobs...)
		}
		if listed.Load() > 20 {
			jobs = append([]string{`{"id":"ours","action":"sleep","status":"running","retryFromID":"ours"}`}, jobs...)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jobs":[%s]}`, strings.Join(jobs, ","))
	}))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	client := clustertest.Must[*dtr.Client](t)(dtr.New(dtr.Config{URL: server.URL, Username: "admin", Password: "secret", CACert: string(ca), Retry: endpoint.Retry{Max: 1, WaitMin: time.Millisecond, WaitMax: time.Millisecond}}))
	job := clustertest.Must[dtr.Job](t)(Run(clustertest.Limited(t), client, Options{Action: "sleep", Pace: clustertest.Pace, Detach: true}))
	if job.ID != "ours" {
		t.Errorf("the job is %s", job.ID)
	}
}
