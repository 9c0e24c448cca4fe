package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// logTail is how many of a log's last lines go into an error.
const logTail = 20

// Waiter waits for one job of DTR.
type Waiter struct {
	Step   string // that the job is waited for in
	Action string
	Client *dtr.Client
	Pace   wait.Pace

	// Read reads the state of the job. A *dtr.UnknownStatusError ends the waiting; any
	// other error counts as an outage of DTR.
	Read func(context.Context) (State, error)
	// Changed is called for every change of the job; it may be nil.
	Changed func(context.Context, dtr.Job)

	State State     // as it was read last
	Job   dtr.Job   // the latest attempt that was seen
	Since time.Time // when State.Phase or Job changed last
}

// outageError is an error of a decision that is an outage.
type outageError struct{ error }

// Outage marks an error of a decision as an outage, which is tolerated as an error of
// Read is. Of nil it makes nil.
func Outage(err error) error {
	if err == nil {
		return nil
	}
	return &outageError{err}
}

// Wait reads the job again and again until decide is done or fails. Errors: those of
// decide, a *dtr.UnknownStatusError, and a *wait.DetachedError if the waiting ended
// and the job goes on.
func (w *Waiter) Wait(ctx context.Context, decide func(context.Context) (done bool, err error)) error {
	w.Since = time.Now()
	var failure error
	err := wait.Until(ctx, w.Pace, func(ctx context.Context) (bool, error) {
		state, err := w.Read(ctx)
		unknown := (*dtr.UnknownStatusError)(nil)
		if err != nil && !errors.As(err, &unknown) {
			return false, err
		}
		w.note(ctx, state)
		done := false
		if failure = err; failure == nil {
			done, failure = decide(ctx)
		}
		if outage := (*outageError)(nil); errors.As(failure, &outage) {
			return false, outage.error
		}
		return done || failure != nil, nil
	})
	if err != nil {
		return w.Detached(err)
	}
	return failure
}

// Waited is the time since the last change of the job.
func (w *Waiter) Waited() time.Duration { return time.Since(w.Since) }

// Overdue returns why the job is not waited for any longer, nil if it still is.
func (w *Waiter) Overdue() error { return w.State.Overdue(w.Waited(), w.Pace) }

func (w *Waiter) note(ctx context.Context, s State) {
	changed := s.Job.ID != w.Job.ID || s.Job.Status != w.Job.Status
	if s.Phase != w.State.Phase || s.Job.ID != "" && changed {
		w.Since = time.Now()
	}
	w.State = s
	if s.Job.ID == "" || !changed {
		return
	}
	w.Job = s.Job
	log.Info(ctx, fmt.Sprintf("Job %s, attempt %d: %s", w.Action, s.Attempts, s.Job.Status), map[string]any{
		"action": w.Action, "job_id": s.Job.ID, "status": string(s.Job.Status), "attempt": s.Attempts,
	})
	if w.Changed != nil {
		w.Changed(ctx, s.Job)
	}
}

// Detached returns a *wait.DetachedError: the waiting ended and the job goes on.
func (w *Waiter) Detached(cause error) error {
	return &wait.DetachedError{Step: w.Step, Name: w.Action, Job: w.Job.ID, URL: w.Client.URL(), Cause: cause}
}

// Failure returns the *Error of a job that did not get done. ErrGaveUp and
// ErrNotRetried are left out as causes: the job's status says the same.
func (w *Waiter) Failure(ctx context.Context, cause error) *Error {
	if errors.Is(cause, ErrGaveUp) || errors.Is(cause, ErrNotRetried) {
		cause = nil
	}
	attempts := w.State.Attempts
	if w.Job.ID != "" {
		attempts = max(attempts, 1)
	}
	return &Error{
		Action: w.Action, Job: w.Job, Attempts: attempts, URL: w.Client.URL(), Cause: cause,
		Log: tailOfLog(ctx, w.Client, w.Job.ID),
	}
}

// failed turns an error of Wait into an *Error, but for a *wait.DetachedError: then the
// job goes on.
func (w *Waiter) failed(ctx context.Context, err error) error {
	var detached *wait.DetachedError
	if err == nil || errors.As(err, &detached) {
		return err
	}
	return w.Failure(ctx, err)
}

// tailOfLog returns the last lines of a job's log, none if it cannot be read.
func tailOfLog(ctx context.Context, client *dtr.Client, id string) []string {
	if id == "" {
		return nil
	}
	lines, err := client.JobLogs(ctx, id, logTail)
	if err != nil {
		log.Warn(ctx, "The job's log could not be read", map[string]any{"job_id": id, "error": err.Error()})
	}
	return lines
}
