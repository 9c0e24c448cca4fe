package upgrade

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// within is a context with a limit that only what hangs comes to.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

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

func TestRunJob(t *testing.T) {
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
		{name: "unknown status", action: metadataStoreMigration, faults: simulator.MigrationFaults{Status: "levitating"}, status: "levitating", attempts: 1, unknown: true},
		{name: "canceled", action: metadataStoreMigration, faults: simulator.MigrationFaults{Status: "canceled"}, status: "canceled", attempts: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t, "2.6.15")
			sim.SetMigration(tt.faults)
			var said []string
			job, err := RunJob(within(t), c.DTR, JobOptions{Action: tt.action, Pace: testPace, Progress: func(s string) { said = append(said, s) }})
			if job.Status != tt.status || posts(sim) != 1 {
				t.Errorf("job %+v after %d POSTs", job, posts(sim))
			}
			if tt.attempts > 0 {
				failure := asError[*JobError](t, err)
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
	sim, c := start(t, "2.6.15")
	sim.SetMigration(simulator.MigrationFaults{Fail: 1})
	client := c.DTR
	release := sim.Hold(simulator.MigrationStarted)
	defer release()
	sim.ScheduleMigration()
	<-sim.Reached(simulator.MigrationStarted)
	var said []string
	job, err := RunJob(within(t), client, JobOptions{Action: metadataStoreMigration, Pace: testPace, Progress: func(s string) {
		said = append(said, s)
		release()
	}})
	if err != nil || job.Status != "done" || job.RetryFromID == job.ID {
		t.Errorf("job %+v, error %v", job, err)
	}
	if posts(sim) > 0 || !strings.Contains(said[0], "joined") {
		t.Errorf("%d POSTs, progress %q", posts(sim), said)
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
			sim, c := start(t, "2.6.15")
			release := sim.Hold(simulator.JobStarted)
			defer release()
			first := must[dtr.Job](t)(c.DTR.RunJob(t.Context(), "sleep", tt.runs))
			<-sim.Reached(simulator.JobStarted)
			sim.ResetRequests()
			job := must[dtr.Job](t)(RunJob(within(t), c.DTR, JobOptions{
				Action: "sleep", Parameters: tt.parameters, Pace: testPace, Progress: func(string) { release() },
			}))
			if job.Status != "done" || (job.ID == first.ID) != (tt.posts == 0) || posts(sim) != tt.posts {
				t.Errorf("job %+v after %d POSTs, first was %s", job, posts(sim), first.ID)
			}
		})
	}
}

func TestRunJobDetaches(t *testing.T) {
	t.Parallel()
	sim, c := start(t, "2.6.15")
	release := sim.Hold(simulator.JobStarted)
	defer release()
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	job, err := RunJob(ctx, c.DTR, JobOptions{Action: "sleep", Pace: testPace, Progress: func(string) { cancel() }})
	detached := asError[*JobDetachedError](t, err)
	if detached.Job != job.ID || job.ID == "" || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v of job %+v", err, job)
	}
	if jobs := sim.Jobs(); len(jobs) != 1 || slices.Contains(changes(sim), "DELETE /api/v0/jobs/"+job.ID) {
		t.Errorf("jobs %+v, changes %q", jobs, changes(sim))
	}
	// The next run joins what goes on, also without waiting for it.
	again := must[dtr.Job](t)(RunJob(within(t), c.DTR, JobOptions{Action: "sleep", Pace: testPace, Detach: true}))
	if again.ID != job.ID || posts(sim) != 1 {
		t.Errorf("job %s after %d POSTs, want %s", again.ID, posts(sim), job.ID)
	}
}

// TestJobJudge holds what is waited for, and what not for ever.
func TestJobJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phase      migrationPhase
		status     dtr.JobStatus
		soon, late string
	}{
		{migrationRunning, "running", "wait", "wait"},
		{migrationRunning, "worker_dead", "wait", "failed"},
		{migrationDone, "done", "done", "done"},
		{migrationGaveUp, "error", "failed", "failed"},
		{migrationRetrying, "error", "wait", "failed"},
		{migrationAbsent, "", "wait", "failed"},
	} {
		for late, want := range map[bool]string{false: tt.soon, true: tt.late} {
			w := &jobWait{pace: DefaultPace, since: time.Now()}
			if late {
				w.since = w.since.Add(-time.Hour)
			}
			if got := verdict(w.judge(migration{phase: tt.phase, job: dtr.Job{Status: tt.status}})); got != want {
				t.Errorf("phase %d, late %t: %s, want %s", tt.phase, late, got, want)
			}
		}
	}
}

// verdict is a word for what a wait comes to.
func verdict(done, failed bool) string {
	switch {
	case done && !failed:
		return "done"
	case failed && !done:
		return "failed"
	case !done && !failed:
		return "wait"
	}
	return "both"
}

// TestJobSinceItsStatus holds that the time for a retry counts from the failure on.
func TestJobSinceItsStatus(t *testing.T) {
	t.Parallel()
	w := &jobWait{pace: DefaultPace, job: dtr.Job{ID: "a", Status: "running"}, since: time.Now().Add(-time.Hour)}
	w.note(t.Context(), dtr.Job{ID: "a", Status: "error"})
	if got := verdict(w.judge(migration{phase: migrationRetrying, job: w.job})); got != "wait" {
		t.Error(got)
	}
}

// TestRunJobWhoseWorkerIsGone holds that nobody is waited for who does not come.
func TestRunJobWhoseWorkerIsGone(t *testing.T) {
	t.Parallel()
	sim, c := start(t, "2.6.15")
	sim.SetMigration(simulator.MigrationFaults{Status: "worker_dead"})
	pace := testPace
	pace.MigrationStart = 50 * time.Millisecond
	_, err := RunJob(within(t), c.DTR, JobOptions{Action: metadataStoreMigration, Pace: pace})
	if failure := asError[*JobError](t, err); !errors.Is(failure, errJobOrphaned) || failure.Job.Status != "worker_dead" {
		t.Errorf("failure %+v", failure)
	}
}

func TestRunJobThatIsDeleted(t *testing.T) {
	t.Parallel()
	sim, c := start(t, "2.6.15")
	pace := testPace
	pace.MigrationStart = 50 * time.Millisecond
	release := sim.Hold(simulator.JobStarted)
	defer release()
	_, err := RunJob(within(t), c.DTR, JobOptions{Action: "sleep", Pace: pace, Progress: func(string) { sim.DeleteJobs() }})
	if failure := asError[*JobError](t, err); !errors.Is(failure, errJobGone) || failure.Job.ID == "" {
		t.Errorf("failure %+v", failure)
	}
}
