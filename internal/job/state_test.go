package job

import (
	"errors"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// attempt is an attempt at a job.
func attempt(id, status string, retriesLeft int) dtr.Job {
	return dtr.Job{ID: id, RetryFromID: id, Action: migration, Status: dtr.JobStatus(status), RetriesLeft: retriesLeft, RetriesTotal: 2}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		jobs     []dtr.Job // newest first
		earlier  string    // the newest of an earlier version
		phase    Phase
		job      string
		attempts int
	}{
		{"none", nil, "", Absent, "", 0},
		{"waiting", []dtr.Job{attempt("a", "waiting", 2)}, "", Running, "a", 1},
		{"running", []dtr.Job{attempt("a", "running", 2)}, "", Running, "a", 1},
		{"done", []dtr.Job{attempt("a", "done", 2)}, "", Done, "a", 1},
		{"failed, DTR tries again", []dtr.Job{attempt("a", "error", 2)}, "", Retrying, "a", 1},
		{"second attempt runs", []dtr.Job{attempt("b", "running", 1), attempt("a", "error", 2)}, "", Running, "b", 2},
		{"third attempt done", []dtr.Job{attempt("c", "done", 0), attempt("b", "errored", 1), attempt("a", "error", 2)}, "", Done, "c", 3},
		{"all attempts failed", []dtr.Job{attempt("c", "error", 0), attempt("b", "error", 1), attempt("a", "error", 2)}, "", GaveUp, "c", 3},
		{"canceled by somebody", []dtr.Job{attempt("a", "canceled", 2)}, "", GaveUp, "a", 1},
		{"cancel asked for, still at work", []dtr.Job{attempt("a", "cancel_request", 2)}, "", Running, "a", 1},
		{"its worker died, another may claim it", []dtr.Job{attempt("a", "worker_dead", 2)}, "", Running, "a", 1},
		{"done on the version before", []dtr.Job{attempt("a", "done", 2)}, "a", Done, "a", 0},
		{"failed on the version before only", []dtr.Job{attempt("a", "error", 0)}, "a", Absent, "", 0},
		{"still running from before", []dtr.Job{attempt("a", "running", 0)}, "a", Running, "a", 1},
		{"failed again after it was done", []dtr.Job{attempt("b", "error", 0), attempt("a", "done", 0)}, "", Done, "a", 2},
		{"canceled after it was done", []dtr.Job{attempt("b", "canceled", 0), attempt("a", "done", 0)}, "", Done, "a", 2},
		{"its worker died after it was done", []dtr.Job{attempt("b", "worker_dead", 0), attempt("a", "done", 0)}, "", Done, "a", 2},
		{"another one was canceled while it runs", []dtr.Job{attempt("b", "canceled", 0), attempt("a", "running", 0)}, "", Running, "a", 2},
		{"runs again after it was done", []dtr.Job{attempt("b", "running", 0), attempt("a", "done", 0)}, "a", Running, "b", 1},
		{"failed on the version before, after it was done", []dtr.Job{attempt("b", "error", 0), attempt("a", "done", 0)}, "b", Done, "a", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := StateOf(tt.jobs, tt.earlier)
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
		m, err := StateOf([]dtr.Job{attempt("a", "hibernating", 2)}, "")
		var unknown *dtr.UnknownStatusError
		if !errors.As(err, &unknown) || unknown.Word != "hibernating" {
			t.Fatalf("got error %v, want an UnknownStatusError that quotes the word", err)
		}
		if m.Job.ID != "a" {
			t.Errorf("the job with the unknown word is not named: %+v", m)
		}
	})
}
