// Package job judges DTR's jobs, runs them and waits for them, the retries that DTR
// makes by itself included. The update of the vulnerability database is one of them.
//
// It does not know what a job is good for; that a version needs one is the business
// of the upgrade package.
package job

import (
	"errors"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Recent bounds how far back jobs of one action are read. An upgrade makes a
// handful.
const Recent = 50

// Phase is where a job stands, its retries included.
type Phase int

// The phases.
const (
	Absent   Phase = iota // DTR lists no attempt
	Running               // an attempt waits or runs
	Retrying              // an attempt failed and DTR is to make another
	GaveUp                // the last attempt failed and DTR makes no other
	Done
)

// State is a job's attempts, judged.
type State struct {
	Phase    Phase
	Job      dtr.Job // the latest attempt
	Attempts int
}

// StateOf judges the attempts at one job, newest first, by the newest. Attempts
// that failed before since are those of an earlier version, and do not count. The
// error is a *dtr.UnknownStatusError for a status word that nobody published.
func StateOf(attempts []dtr.Job, since time.Time) (State, error) {
	var s State
	for _, job := range attempts {
		if !ended(job) || !job.ScheduledAt.Before(since) {
			s.Attempts++
		}
	}
	if len(attempts) == 0 {
		return s, nil
	}
	newest := attempts[0]
	phase, err := newest.Status.Phase()
	switch {
	case err != nil:
		s.Job = newest
		return s, err
	case phase == dtr.PhaseDone:
		s.Phase = Done
	case phase == dtr.PhaseWaiting || phase == dtr.PhaseRunning:
		s.Phase = Running
	case newest.ScheduledAt.Before(since):
		return s, nil
	case phase == dtr.PhaseFailed && newest.RetriesLeft > 0:
		s.Phase = Retrying
	default:
		s.Phase = GaveUp
	}
	s.Job = newest
	return s, nil
}

// ended reports whether an attempt has come to its end.
func ended(job dtr.Job) bool {
	phase, err := job.Status.Phase()
	return err == nil && phase != dtr.PhaseWaiting && phase != dtr.PhaseRunning
}

// What ends the waiting for a job that is not done.
var (
	ErrGaveUp     = errors.New("DTR has given it up")
	ErrNotRetried = errors.New("DTR has not made the retry that it announced")
	ErrNotListed  = errors.New("DTR does not list it any more")
	ErrOrphaned   = errors.New("its worker is gone, and no other one has taken it on; cancel it in DTR, and check that dtr-jobrunner of every replica runs")
)

// Overdue is why a job that has been in the state for so long is not waited for any
// longer, nil while it is. DTR may take a while to make a retry, to give a job whose
// worker is gone to another one, and to list a job.
func (s State) Overdue(waited time.Duration, pace wait.Pace) error {
	late := waited > pace.MigrationStart
	switch {
	case s.Phase == GaveUp:
		return ErrGaveUp
	case s.Phase == Retrying && late:
		return ErrNotRetried
	case s.Phase == Absent && late:
		return ErrNotListed
	case s.Phase == Running && s.Job.Status.Orphaned() && late:
		return ErrOrphaned
	}
	return nil
}
