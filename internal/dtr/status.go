package dtr

import "fmt"

// JobStatus is the word that DTR uses for a job's state.
type JobStatus string

// Phase is what a JobStatus means for somebody who waits for the job.
type Phase int

// The phases of a job. The zero value is none of them.
const (
	PhaseUnknown Phase = iota
	PhaseWaiting
	PhaseRunning
	PhaseDone
	PhaseFailed
	// PhaseStopped is a job that somebody canceled or deleted.
	PhaseStopped
)

// phases is the union of the words in the vendor's API description and on the vendor's page on the job queue.
var phases = map[JobStatus]Phase{
	"waiting": PhaseWaiting,
	"running": PhaseRunning,
	"done":    PhaseDone,

	"error":   PhaseFailed,
	"errored": PhaseFailed,

	"cancel":         PhaseStopped,
	"canceled":       PhaseStopped,
	"cancel_request": PhaseRunning, // still at work until its worker reacts
	"deleted":        PhaseStopped,

	// Another replica may claim the work of a dead worker.
	"worker_dead":         PhaseWaiting,
	"worker_shutdown":     PhaseWaiting,
	"worker_resurrection": PhaseWaiting,
}

// Phase says what the word means; a word that the vendor does not document is an *UnknownStatusError.
func (s JobStatus) Phase() (Phase, error) {
	if p, ok := phases[s]; ok {
		return p, nil
	}
	return PhaseUnknown, &UnknownStatusError{Word: string(s)}
}

// Done says that the job has come to a good end.
func (s JobStatus) Done() bool { return phases[s] == PhaseDone }

// Orphaned says that the job's worker is gone: it waits for another one, and nobody published for how long.
func (s JobStatus) Orphaned() bool {
	return s == "worker_dead" || s == "worker_shutdown" || s == "worker_resurrection"
}

// UnknownStatusError is a job status that the vendor does not document.
type UnknownStatusError struct{ Word string }

func (e *UnknownStatusError) Error() string { return fmt.Sprintf("unknown job status %q", e.Word) }
