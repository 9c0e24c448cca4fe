package wait

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Pause is a pause that grows from a fiftieth of its longest to its longest.
type Pause struct{ next, longest time.Duration }

// NewPause makes a pause that grows to the longest.
func NewPause(longest time.Duration) *Pause { return &Pause{next: longest / 50, longest: longest} }

// Wait pauses, or returns the cause for which the context ended.
func (p *Pause) Wait(ctx context.Context) error { return p.WaitOr(ctx, nil) }

// WaitOr is Wait that a signal ends early.
func (p *Pause) WaitOr(ctx context.Context, signal <-chan struct{}) error {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next = min(p.next*3/2, p.longest)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-signal:
	case <-timer.C:
	}
	return nil
}

// Longest makes all pauses to come as long as they get.
func (p *Pause) Longest() { p.next = p.longest }

// Lasting tells what every look sees for some time from what a single look sees.
// Whatever makes a run fail, start, undo or remove something must be lasting: UCP's
// answers are incomplete for a while when a manager starts.
type Lasting struct {
	Limit time.Duration
	since time.Time
}

// Seen notes whether a look has seen it. It returns true once all looks have, for as
// long as the limit. A look that failed says nothing, and need not be noted.
func (l *Lasting) Seen(now bool) bool {
	if !now {
		l.since = time.Time{}
		return false
	}
	if l.since.IsZero() {
		l.since = time.Now()
	}
	return time.Since(l.since) >= l.Limit
}

// failedError is an error that ends a wait: what was looked at is not out of reach
// but wrong.
type failedError struct{ error }

// Fail makes of an error of a look one that Until returns at once, as it was; nil
// stays nil.
func Fail(err error) error {
	if failed := (*failedError)(nil); err == nil || errors.As(err, &failed) {
		return err
	}
	return &failedError{err}
}

// OutageError says that a wait was given up, since every look has failed for as long as
// an outage is tolerated. It ends the waits around that one as well: an outage is not
// tolerated once for each of them.
type OutageError struct {
	For time.Duration
	Err error // of the last look
}

func (e *OutageError) Error() string {
	return fmt.Sprintf("every attempt for %s failed; the last one: %v", duration.Text(e.For), e.Err)
}

func (e *OutageError) Unwrap() error { return e.Err }

// isOutlasted reports whether an error comes of a wait that an outage has ended.
func isOutlasted(err error) bool {
	var outage *OutageError
	return errors.As(err, &outage)
}

// Until looks again and again until look is done. An error of look is an outage,
// tolerated for as long as the pace allows, unless it was marked with Fail, is a
// refusal that repeating does not change, or comes of a wait within the look that an
// outage has ended.
//
// Errors: an *OutageError, one of a look that is no outage, or an error that wraps the
// cause for which the context ended, of which Detached makes a *DetachedError.
func Until(ctx context.Context, pace Pace, look func(context.Context) (done bool, err error)) error {
	return UntilOr(ctx, pace, nil, look)
}

// UntilOr is Until where a signal ends a pause early.
func UntilOr(ctx context.Context, pace Pace, signal <-chan struct{}, look func(context.Context) (done bool, err error)) error {
	pause := NewPause(pace.Poll)
	outage := Lasting{Limit: pace.Outage}
	var last error // of the outage that goes on
	began := time.Now()
	for {
		lookBegan := time.Now()
		done, err := look(ctx)
		var failed *failedError
		if lost := (*ucp.SessionError)(nil); last == nil && errors.As(err, &lost) {
			outage.since = time.Now().Add(-lost.Took) // it was waited for within the look
		}
		switch {
		case errors.As(err, &failed):
			return failed.error
		case err == nil && done:
			if last != nil {
				Remark(ctx, "")
			}
			return nil
		case ctx.Err() != nil:
			return endedError(ctx, last, err, hung(ctx, lookBegan, began))
		case refused(err), isOutlasted(err):
			return err
		case outage.Seen(err != nil):
			return &OutageError{For: pace.Outage, Err: err}
		case err != nil:
			log.Debug(ctx, "A look failed and is repeated", map[string]any{"error": err.Error()})
			Remark(ctx, fmt.Sprintf("every attempt since %s failed; the last one: %v", outage.since.Format(time.TimeOnly), err))
		case last != nil:
			Remark(ctx, "")
		}
		last = err
		if pause.WaitOr(ctx, signal) != nil {
			return endedError(ctx, last, nil, false)
		}
	}
}

// Confirm checks until nothing is found wrong. The error of a check is returned only
// once every look has had one for as long as Pace.Consistent: it may come of an answer
// that was incomplete. One that may pass is an outage, as for Until.
func Confirm(ctx context.Context, pace Pace, check func(context.Context) error, mayPass func(error) bool) error {
	wrong := Lasting{Limit: pace.Consistent}
	return Until(ctx, pace, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		switch failed := (*failedError)(nil); {
		case err == nil:
			return true, nil
		case errors.As(err, &failed), isOutlasted(err), mayPass(err):
			return false, err
		case wrong.Seen(true):
			return false, Fail(err)
		}
		return false, nil
	})
}

// Outlast does what may be done again and again, until it succeeds: an error that may
// pass is an outage, tolerated for as long as in every wait, and any other is returned.
// What an engine refuses with an error of its own, as UCP does with a removal that cannot
// be, is not the same as an engine that is gone, and has as long as UCP's answers may be
// incomplete.
func Outlast(ctx context.Context, pace Pace, mayPass func(error) bool, do func(context.Context) error) error {
	refused := Lasting{Limit: pace.Consistent}
	return Until(ctx, pace, func(ctx context.Context) (bool, error) {
		err := do(ctx)
		if refused.Seen(errdefs.IsInternal(err)) || err != nil && !mayPass(err) {
			return false, Fail(err)
		}
		return err == nil, err
	})
}

// IsOutage reports whether an error of the clients says that a service cannot be
// reached or does not work, which may pass. A refusal does not.
func IsOutage(err error) bool {
	var unreachable *endpoint.UnreachableError
	var response *endpoint.ResponseError
	var session *ucp.SessionError
	var dtrError *dtr.APIError
	var ucpError *ucp.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &unreachable), errors.As(err, &response), errors.As(err, &session):
		return true
	case errors.As(err, &dtrError):
		return dtrError.StatusCode >= http.StatusInternalServerError
	case errors.As(err, &ucpError):
		return ucpError.StatusCode >= http.StatusInternalServerError
	}
	return errdefs.IsInternal(err) || errdefs.IsUnavailable(err) || errdefs.IsDeadlineExceeded(err)
}

// refused reports whether an error is a refusal of the credentials, which asking
// again does not change.
func refused(err error) bool {
	var dtrError *dtr.APIError
	var ucpError *ucp.APIError
	return errors.As(err, &dtrError) && (dtrError.Unauthorized() || dtrError.Forbidden()) ||
		errors.As(err, &ucpError) && ucpError.LoginRefused()
}
