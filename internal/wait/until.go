package wait

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
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

// outage counts how long something has been out of reach.
type outage struct {
	limit time.Duration
	since time.Time
}

// over notes one look's error, nil for a good one, and reports whether what it
// looks at has been out of reach for too long.
func (o *outage) over(err error) bool {
	if err == nil {
		o.since = time.Time{}
		return false
	}
	if o.since.IsZero() {
		o.since = time.Now()
		if lost := (*ucp.SessionError)(nil); errors.As(err, &lost) {
			o.since = o.since.Add(-lost.Took) // it was waited for within the look
		}
	}
	return time.Since(o.since) > o.limit
}

// failedError is an error that ends a wait: what was looked at is not out of reach
// but wrong.
type failedError struct{ error }

// Fail makes of an error of a look one that Until returns at once, as it was.
func Fail(err error) error { return &failedError{err} }

// Until looks again and again until look is done. An error of look is an outage,
// tolerated for as long as the pace allows, unless it was marked with Fail or is a
// refusal that repeating does not change.
//
// Errors: that of the last look, or the cause for which the context ended.
func Until(ctx context.Context, pace Pace, look func(context.Context) (done bool, err error)) error {
	return UntilOr(ctx, pace, nil, look)
}

// UntilOr is Until where a signal ends a pause early.
func UntilOr(ctx context.Context, pace Pace, signal <-chan struct{}, look func(context.Context) (done bool, err error)) error {
	pause := NewPause(pace.Poll)
	gone := outage{limit: pace.Outage}
	for {
		done, err := look(ctx)
		var failed *failedError
		switch {
		case errors.As(err, &failed):
			return failed.error
		case err == nil && done:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case refused(err), gone.over(err):
			return err
		case err != nil:
			tflog.Debug(ctx, "A look failed and is repeated", map[string]any{"error": err.Error()})
		}
		if err := pause.WaitOr(ctx, signal); err != nil {
			return err
		}
	}
}

// refused reports whether an error is a refusal of the credentials, which asking
// again does not change.
func refused(err error) bool {
	var dtrError *dtr.APIError
	var ucpError *ucp.APIError
	return errors.As(err, &dtrError) && (dtrError.Unauthorized() || dtrError.Forbidden()) ||
		errors.As(err, &ucpError) && ucpError.LoginRefused()
}
