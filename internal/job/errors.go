package job

import (
	"fmt"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// Error says that a job did not get done.
type Error struct {
	Action   string
	Job      dtr.Job // the last attempt; zero if DTR never started one
	Attempts int
	Log      []string // the last lines of the last attempt
	URL      string   // of DTR's web interface
	// Cause is a *dtr.UnknownStatusError for a status that is not documented,
	// ErrOrphaned, ErrNotListed, or nil.
	Cause error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("job %s %s: %v", e.Action, e.Job.ID, e.Cause)
	}
	if e.Job.ID == "" {
		return fmt.Sprintf("job %s was never started", e.Action)
	}
	return fmt.Sprintf("job %s failed after %d attempts, the last (%s) ended as %q", e.Action, e.Attempts, e.Job.ID, e.Job.Status)
}

func (e *Error) Unwrap() error { return e.Cause }

// DatabaseError says that an update of the vulnerability database failed.
type DatabaseError struct {
	Job           dtr.Job // zero if DTR listed none
	Before, After dtr.ScanStatus
	Log           []string // the last lines of the job's log
	URL           string   // of DTR's web interface
	// Cause is a *dtr.UnknownStatusError, a *dtr.APIError if DTR's scanner did not get
	// ready, ErrBusy, ErrOrphaned, or nil.
	Cause error
}

func (e *DatabaseError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("update of the vulnerability database, job %q: %v", e.Job.ID, e.Cause)
	}
	return fmt.Sprintf("update of the vulnerability database failed, job %q ended as %q", e.Job.ID, e.Job.Status)
}

func (e *DatabaseError) Unwrap() error { return e.Cause }
