// Package job reads the state of DTR's jobs, runs them and waits for them, including
// the retries that DTR makes by itself. The update of the vulnerability database is
// such a job.
//
// It does not know what a job is for; that a version needs one is known to the upgrade
// package.
package job

import (
	"errors"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Recent is how many of the latest jobs of an action are read. An upgrade makes a
// handful.
const Recent = 50

// Phase is the phase of a job, its retries included.
type Phase int

// The phases.
const (
	Absent   Phase = iota // DTR lists no attempt
	Running               // an attempt waits or runs
	Retrying              // an attempt failed and DTR has retries left
	GaveUp                // an attempt failed or was stopped, and DTR makes no other
	Done
)

// State is the state of a job over all of its attempts.
type State struct {
	Phase    Phase
	Job      dtr.Job // the latest attempt
	Attempts int
}

// StateOf returns the state of a job from its attempts, newest first. One that is at
// work decides; else a job that was done stays done, whatever became of a later
// attempt; else the newest decides. Attempts that belong to an earlier version and
// failed do not count: they begin with the one that has the id earlier, if that is not
// "". The error is a *dtr.UnknownStatusError for a status of the newest that the
// vendor has not documented.
func StateOf(attempts []dtr.Job, earlier string) (State, error) {
	var s State
	if len(attempts) == 0 {
		return s, nil
	}
	cut := len(attempts)
	if i := slices.IndexFunc(attempts, func(j dtr.Job) bool { return j.ID == earlier }); i >= 0 {
		cut = i
	}
	for i, job := range attempts {
		if i < cut || !ended(job) {
			s.Attempts++
		}
	}
	newest := attempts[0]
	phase, err := newest.Status.Phase()
	if err != nil {
		s.Job = newest
		return s, err
	}
	working, atWork := underWay(attempts, func(dtr.Job) bool { return true })
	done := slices.IndexFunc(attempts, func(j dtr.Job) bool { return j.Status.Done() })
	switch {
	case atWork && (done < 0 || !working.Status.Orphaned()):
		s.Phase, s.Job = Running, working
	case done >= 0:
		s.Phase, s.Job = Done, attempts[done]
	case cut == 0:
	case phase == dtr.PhaseFailed && newest.RetriesLeft > 0:
		s.Phase, s.Job = Retrying, newest
	default:
		s.Phase, s.Job = GaveUp, newest
	}
	return s, nil
}

// ended reports whether an attempt has ended, well or not.
func ended(job dtr.Job) bool {
	phase, err := job.Status.Phase()
	return err == nil && phase != dtr.PhaseWaiting && phase != dtr.PhaseRunning
}

// The reasons why a job that is not done is not waited for any longer.
var (
	ErrGaveUp     = errors.New("DTR has given it up")
	ErrNotRetried = errors.New("DTR has not made the retry that it announced")
	ErrNotListed  = errors.New("DTR does not list it any more")
	ErrOrphaned   = errors.New("its worker is gone, and no other one has taken it on; cancel it in DTR, and check that dtr-jobrunner of every replica runs")
)

// Overdue returns why a job that has been in this state for the given time is not
// waited for any longer, nil if it is still waited for. DTR is given some time to
// start a retry, to give a job whose worker is gone to another one, and to list a job.
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
