package upgrade

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// Step is one unit of work that leaves the cluster serving when it returns.
type Step struct {
	Name string
	Done func(context.Context) (bool, error) // looks at the cluster; nil is never done
	Run  func(context.Context) error
}

// runSteps runs what is left of the steps, in order. Between two steps it stops
// for a cancelled context.
func runSteps(ctx context.Context, hop string, steps []Step) error {
	for _, s := range steps {
		if ctx.Err() != nil {
			return &DetachedError{Step: s.Name, Cause: context.Cause(ctx)}
		}
		if s.Done != nil {
			done, err := s.Done(ctx)
			if err != nil {
				return stoppedBy(ctx, s.Name, err)
			}
			if done {
				tflog.Info(ctx, "Step has nothing left to do", map[string]any{"step": s.Name, "hop": hop})
				continue
			}
		}
		tflog.Info(ctx, "Step begins", map[string]any{"step": s.Name, "hop": hop})
		started := time.Now()
		if err := s.Run(ctx); err != nil {
			return stoppedBy(ctx, s.Name, err)
		}
		tflog.Info(ctx, "Step ended", map[string]any{"step": s.Name, "hop": hop, "elapsed": time.Since(started).Round(time.Millisecond).String()})
	}
	return nil
}

// stoppedBy makes a DetachedError of an error that only says that the context has
// ended, wherever in the step that was noticed.
func stoppedBy(ctx context.Context, step string, err error) error {
	cause := context.Cause(ctx)
	if detached := (*DetachedError)(nil); cause == nil || errors.As(err, &detached) {
		return err
	}
	if errors.Is(err, cause) || errors.Is(err, ctx.Err()) {
		return &DetachedError{Step: step, Cause: cause}
	}
	return err
}

// pause is a pause that grows from a fiftieth of its longest to its longest, so
// that what is quick is not waited for.
type pause struct{ next, longest time.Duration }

func newPause(longest time.Duration) *pause { return &pause{next: longest / 50, longest: longest} }

// wait sleeps, or returns the cause for which the context ended.
func (p *pause) wait(ctx context.Context) error { return p.waitOr(ctx, nil) }

// waitOr is wait that a signal ends early.
func (p *pause) waitOr(ctx context.Context, signal <-chan struct{}) error {
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

// outage counts how long something has been out of reach.
type outage struct {
	limit time.Duration
	since time.Time
}

// over notes one look's error, nil for a good one, and says whether what it
// looks at has been out of reach for too long.
func (o *outage) over(err error) bool {
	if err == nil {
		o.since = time.Time{}
		return false
	}
	if o.since.IsZero() {
		o.since = time.Now()
	}
	return time.Since(o.since) > o.limit
}

// poll looks again and again until there is nothing more to wait for. What is out
// of reach is waited for as long as the pace allows. The error is that of the
// last look, or the cause for which the context ended.
func poll(ctx context.Context, pace Pace, look func(context.Context) (done bool, err error)) error {
	pause := newPause(pace.Poll)
	gone := outage{limit: pace.Outage}
	for {
		done, err := look(ctx)
		switch {
		case err == nil && done:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case fatal(err), gone.over(err):
			return err
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
}
