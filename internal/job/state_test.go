package job

import (
	"errors"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// attempt is an attempt at a job that was scheduled so long after the containers
// were created.
func attempt(id, status string, retriesLeft int, after time.Duration) dtr.Job {
	return dtr.Job{
		ID: id, RetryFromID: id, Action: migration, Status: dtr.JobStatus(status),
		RetriesLeft: retriesLeft, RetriesTotal: 2, ScheduledAt: clustertest.Epoch.Add(after),
	}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	const before, after = -time.Hour, time.Hour
	tests := []struct {
		name     string
		jobs     []dtr.Job // newest first
		phase    Phase
		job      string
		attempts int
	}{
		{"none", nil, Absent, "", 0},
		{"waiting", []dtr.Job{attempt("a", "waiting", 2, after)}, Running, "a", 1},
		{"running", []dtr.Job{attempt("a", "running", 2, after)}, Running, "a", 1},
		{"done", []dtr.Job{attempt("a", "done", 2, after)}, Done, "a", 1},
		{"failed, DTR tries again", []dtr.Job{attempt("a", "error", 2, after)}, Retrying, "a", 1},
		{"second attempt runs", []dtr.Job{attempt("b", "running", 1, after), attempt("a", "error", 2, after)}, Running, "b", 2},
		{"third attempt done", []dtr.Job{attempt("c", "done", 0, after), attempt("b", "errored", 1, after), attempt("a", "error", 2, after)}, Done, "c", 3},
		{"all attempts failed", []dtr.Job{attempt("c", "error", 0, after), attempt("b", "error", 1, after), attempt("a", "error", 2, after)}, GaveUp, "c", 3},
		{"canceled by somebody", []dtr.Job{attempt("a", "canceled", 2, after)}, GaveUp, "a", 1},
		{"cancel asked for, still at work", []dtr.Job{attempt("a", "cancel_request", 2, after)}, Running, "a", 1},
		{"its worker died, another may claim it", []dtr.Job{attempt("a", "worker_dead", 2, after)}, Running, "a", 1},
		{"done on the version before", []dtr.Job{attempt("a", "done", 2, before)}, Done, "a", 0},
		{"failed on the version before only", []dtr.Job{attempt("a", "error", 0, before)}, Absent, "", 0},
		{"still running from before", []dtr.Job{attempt("a", "running", 0, before)}, Running, "a", 1},
		{"failed again after it was done", []dtr.Job{attempt("b", "error", 0, after), attempt("a", "done", 0, after)}, GaveUp, "b", 2},
		{"runs again after it was done", []dtr.Job{attempt("b", "running", 0, after), attempt("a", "done", 0, before)}, Running, "b", 1},
		{"failed on the version before, after it was done", []dtr.Job{attempt("b", "error", 0, before), attempt("a", "done", 0, before)}, Absent, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := StateOf(tt.jobs, clustertest.Epoch)
			if err != nil {
				t.Fatal(err)
			}
			if m.Phase != tt.phase || m.Job.ID != tt.job || m.Attempts != tt.attempts {
				t.Errorf("got phase %d of job %q after %d attempts, want phase %d of job %q after %d", m.Phase, m.Job.ID, m.Attempts, tt.phase, tt.job, tt.attempts)
			}
		})
	}

	t.Run("unknown status", func(t *testing.T) {
		t.Parallel()
		m, err := StateOf([]dtr.Job{attempt("a", "hibernating", 2, after)}, clustertest.Epoch)
		var unknown *dtr.UnknownStatusError
		if !errors.As(err, &unknown) || unknown.Word != "hibernating" {
			t.Fatalf("got error %v, want an UnknownStatusError that quotes the word", err)
		}
		if m.Job.ID != "a" {
			t.Errorf("the job with the unknown word is not named: %+v", m)
		}
	})
}
