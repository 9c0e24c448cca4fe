package upgrade

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

func TestJudgeMigration(t *testing.T) {
	t.Parallel()
	const before, after = -time.Hour, time.Hour
	tests := []struct {
		name     string
		jobs     []dtr.Job // newest first
		phase    migrationPhase
		job      string
		attempts int
	}{
		{"none", nil, migrationAbsent, "", 0},
		{"waiting", []dtr.Job{job("a", "waiting", 2, after)}, migrationRunning, "a", 1},
		{"running", []dtr.Job{job("a", "running", 2, after)}, migrationRunning, "a", 1},
		{"done", []dtr.Job{job("a", "done", 2, after)}, migrationDone, "a", 1},
		{"failed, DTR tries again", []dtr.Job{job("a", "error", 2, after)}, migrationRetrying, "a", 1},
		{"second attempt runs", []dtr.Job{job("b", "running", 1, after), job("a", "error", 2, after)}, migrationRunning, "b", 2},
		{"third attempt done", []dtr.Job{job("c", "done", 0, after), job("b", "errored", 1, after), job("a", "error", 2, after)}, migrationDone, "c", 3},
		{"all attempts failed", []dtr.Job{job("c", "error", 0, after), job("b", "error", 1, after), job("a", "error", 2, after)}, migrationGaveUp, "c", 3},
		{"canceled by somebody", []dtr.Job{job("a", "canceled", 2, after)}, migrationGaveUp, "a", 1},
		{"cancel asked for, still at work", []dtr.Job{job("a", "cancel_request", 2, after)}, migrationRunning, "a", 1},
		{"its worker died, another may claim it", []dtr.Job{job("a", "worker_dead", 2, after)}, migrationRunning, "a", 1},
		{"done on the version before", []dtr.Job{job("a", "done", 2, before)}, migrationDone, "a", 0},
		{"failed on the version before only", []dtr.Job{job("a", "error", 0, before)}, migrationAbsent, "", 0},
		{"still running from before", []dtr.Job{job("a", "running", 0, before)}, migrationRunning, "a", 1},
		{"failed again after it was done", []dtr.Job{job("b", "error", 0, after), job("a", "done", 0, after)}, migrationGaveUp, "b", 2},
		{"runs again after it was done", []dtr.Job{job("b", "running", 0, after), job("a", "done", 0, before)}, migrationRunning, "b", 1},
		{"failed on the version before, after it was done", []dtr.Job{job("b", "error", 0, before), job("a", "done", 0, before)}, migrationAbsent, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := judgeMigration(tt.jobs, epoch)
			if err != nil {
				t.Fatal(err)
			}
			if m.phase != tt.phase || m.job.ID != tt.job || m.attempts != tt.attempts {
				t.Errorf("got phase %d of job %q after %d attempts, want phase %d of job %q after %d", m.phase, m.job.ID, m.attempts, tt.phase, tt.job, tt.attempts)
			}
		})
	}

	t.Run("unknown status", func(t *testing.T) {
		t.Parallel()
		m, err := judgeMigration([]dtr.Job{job("a", "hibernating", 2, after)}, epoch)
		var unknown *dtr.UnknownStatusError
		if !errors.As(err, &unknown) || unknown.Word != "hibernating" {
			t.Fatalf("got error %v, want an UnknownStatusError that quotes the word", err)
		}
		if m.job.ID != "a" {
			t.Errorf("the job with the unknown word is not named: %+v", m)
		}
	})
}

func TestMigratedBefore(t *testing.T) {
	t.Parallel()
	failed := []dtr.Job{job("a", "error", 0, -time.Hour)}
	for _, tt := range []struct {
		name     string
		features dtr.Features
		jobs     []dtr.Job
		want     bool
	}{
		{"never opted in", dtr.Features{}, nil, false},
		{"opted in, and no more is known", dtr.Features{MetadataStoreOptedIn: true}, nil, false},
		{"opted in, and failed", dtr.Features{MetadataStoreOptedIn: true, OnlineGCEnabled: true}, failed, false},
		{"collects garbage online", dtr.Features{MetadataStoreOptedIn: true, OnlineGCEnabled: true}, nil, true},
		{"a replica runs 2.6 already", dtr.Features{MetadataStoreOptedIn: true, OnlineGCEnabled: true}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			obs := observation("2.5.6")
			if strings.Contains(tt.name, "2.6") {
				obs = observation("2.5.6", "2.6.15")
			}
			obs.Features, obs.Jobs[metadataStoreMigration] = tt.features, tt.jobs
			if got := obs.migratedBefore(); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
