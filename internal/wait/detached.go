package wait

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DetachedError says that waiting ended while the cluster works on. What was
// started goes on by itself; the next run continues from there.
type DetachedError struct {
	Step  string // that was waited in
	Name  string // of what was waited for: a job's action, a content cache; "" where the step says it
	Cause error  // context.Canceled, the cause of a time limit, or what was out of reach for too long

	// What goes on; at most one of the three is set.
	Container string    // a bootstrapper's container
	Job       string    // the id of a job of DTR
	Opens     time.Time // the next opening of the maintenance window

	URL  string   // of the web interface that shows the job
	Seen []string // what was not yet as it should be

	// LastError is what kept the last looks from seeing anything, nil when they saw.
	LastError error
}

func (e *DetachedError) Error() string {
	switch {
	case e.Container != "":
		return fmt.Sprintf("stopped waiting in step %s, container %s goes on: %v", e.Step, e.Container, e.Cause)
	case e.Job != "":
		return fmt.Sprintf("stopped waiting in step %s, job %s goes on: %v", e.Step, e.Job, e.Cause)
	}
	return fmt.Sprintf("stopped in step %s: %v", e.Step, e.Cause)
}

func (e *DetachedError) Unwrap() error { return e.Cause }

// Detached makes a *DetachedError of an error that only says that the context has
// ended, wherever in the step that was noticed. Any other error it returns as it
// is.
func Detached(ctx context.Context, step string, err error) error {
	cause := context.Cause(ctx)
	if detached := (*DetachedError)(nil); cause == nil || errors.As(err, &detached) {
		return err
	}
	if errors.Is(err, cause) || errors.Is(err, ctx.Err()) {
		return &DetachedError{Step: step, Cause: cause, LastError: LastError(ctx, err)}
	}
	return err
}

// LastError is what an error that says that the context has ended tells besides: what
// did not answer when it ended; nil when it tells nothing. What is on its way at that
// moment says nothing about whoever was asked, unless a wait has seen it hang.
func LastError(ctx context.Context, err error) error {
	if ended := (*contextEndedError)(nil); errors.As(err, &ended) {
		return ended.last
	}
	if err == nil || isCutOff(ctx, err) {
		return nil
	}
	return err
}

// isCutOff reports whether an error says nothing but that the context has ended.
func isCutOff(ctx context.Context, err error) bool {
	return errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())
}

// beganKey is the key of the time at which a time limit began.
type beganKey struct{}

// WithTimeout is context.WithTimeoutCause with a context that tells when it began.
func WithTimeout(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithValue(ctx, beganKey{}, time.Now()), limit, cause)
}

// hung reports whether what began then had most of the time limit that has passed. One
// that does not tell when it began is taken to have begun with the wait.
func hung(ctx context.Context, then, wait time.Time) bool {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	began, ok := ctx.Value(beganKey{}).(time.Time)
	if !ok {
		began = wait
	}
	return time.Since(then) > time.Since(began)/2
}

// contextEndedError is the error of a wait whose context has ended.
type contextEndedError struct{ cause, last error }

func (e *contextEndedError) Error() string {
	if e.last == nil {
		return e.cause.Error()
	}
	return fmt.Sprintf("%v; last error: %v", e.cause, e.last)
}

func (e *contextEndedError) Unwrap() error { return e.cause }

// endedError is the error of a wait whose context has ended. Last is what the looks
// before could not see for, nil if they saw, and err the error of the one that was made
// then.
func endedError(ctx context.Context, last, err error, hung bool) error {
	ended := (*contextEndedError)(nil)
	switch {
	case last != nil:
	case err != nil && hung && !errors.As(err, &ended) && err != context.Cause(ctx) && err != ctx.Err(): //nolint:errorlint // what wraps the cause tells more
		last = err
	default:
		last = LastError(ctx, err)
	}
	return &contextEndedError{cause: context.Cause(ctx), last: last}
}
