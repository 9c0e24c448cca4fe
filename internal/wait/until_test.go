package wait

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

func TestPauseGrowsToItsLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPause(5 * time.Second)
		var last time.Duration
		for range 30 {
			began := time.Now()
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			if took < last || took > 5*time.Second {
				t.Fatalf("pause of %s after one of %s", took, last)
			}
			last = took
		}
		if last != 5*time.Second {
			t.Errorf("the pause stops growing at %s", last)
		}
	})
}

func TestPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if err := NewPause(time.Hour).Wait(ctx); !errors.Is(err, cause) {
			t.Errorf("got %v, want the context's cause", err)
		}
	})
}

func TestLasting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := Lasting{Limit: time.Minute}
		if l.Seen(true) {
			t.Error("lasting at the first look")
		}
		pass(59 * time.Second)
		if l.Seen(true) {
			t.Error("lasting before the limit")
		}
		if l.Seen(false) {
			t.Error("lasting after a look that has not seen it")
		}
		pass(time.Hour)
		if l.Seen(true) {
			t.Error("what was seen before it was not seen still counts")
		}
		pass(61 * time.Second)
		if !l.Seen(true) {
			t.Error("not lasting after the limit")
		}
	})
}

// TestDetachedTellsWhatDidNotAnswer ends a context by its time limit and by a cancel,
// with a service that answers, that is out of reach, and that hangs.
func TestDetachedTellsWhatDidNotAnswer(t *testing.T) {
	t.Parallel()
	broken, limit := &endpoint.UnreachableError{Service: "UCP", Err: errors.New("refused")}, errors.New("the limit passed")
	answers := func(context.Context) (bool, error) { return false, nil }
	refuses := func(context.Context) (bool, error) { return false, broken }
	hangs := func(ctx context.Context) (bool, error) {
		<-ctx.Done()
		return false, fmt.Errorf("UCP did not answer: %w", context.Cause(ctx))
	}
	hangsAtLast := func(ctx context.Context) (bool, error) {
		if end, _ := ctx.Deadline(); time.Until(end) > 20*time.Second {
			return false, nil
		}
		return hangs(ctx)
	}
	for name, tt := range map[string]struct {
		look      func(context.Context) (bool, error)
		cancelled bool
		last      string
	}{
		"asked a moment before": {hangsAtLast, false, ""},
		"asked again in an outage": {func(ctx context.Context) (bool, error) {
			if done, err := hangsAtLast(ctx); err != nil {
				return done, err
			}
			return refuses(ctx)
		}, false, broken.Error()},
		"answers":                 {answers, false, ""},
		"is out of reach":         {refuses, false, broken.Error()},
		"hangs":                   {hangs, false, "UCP did not answer: the limit passed"},
		"answers, cancel":         {answers, true, ""},
		"out of reach, cancel":    {refuses, true, broken.Error()},
		"asked when it was ended": {hangs, true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, limit)
			defer cancel()
			want := limit
			if tt.cancelled {
				want = context.Canceled
				time.AfterFunc(30*time.Second, cancel)
			}
			var detached *DetachedError
			err := Detached(ctx, "step", Until(ctx, DefaultPace, tt.look))
			if !errors.As(err, &detached) || !errors.Is(err, want) {
				t.Fatalf("%s: got %v", name, err)
			}
			last := ""
			if detached.LastError != nil {
				last = detached.LastError.Error()
			}
			if last != tt.last || detached.Cause.Error() != want.Error() {
				t.Errorf("%s: cause %v and last error %q, want %q", name, detached.Cause, last, tt.last)
			}
		})
	}
}

// TestLastErrorOfAWaitThatBeganLate has a time limit pass during the first look of a wait
// that was not the first within the limit, and of one that was.
func TestLastErrorOfAWaitThatBeganLate(t *testing.T) {
	t.Parallel()
	limit := errors.New("the limit passed")
	for before, want := range map[time.Duration]bool{0: true, 20 * time.Second: true, 59 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := WithTimeout(t.Context(), time.Minute, limit)
			defer cancel()
			pass(before)
			err := Until(ctx, DefaultPace, func(ctx context.Context) (bool, error) {
				<-ctx.Done()
				return false, fmt.Errorf("UCP did not answer: %w", context.Cause(ctx))
			})
			if last := LastError(ctx, err); (last != nil) != want || !errors.Is(err, limit) {
				t.Errorf("%s before: last error %v of %v", before, last, err)
			}
		})
	}
}

// pass lets so much of the simulated time pass.
func pass(d time.Duration) { <-time.After(d) }

// TestUntilTellsARefusalFromAnOutage holds what is asked again, and what is not.
func TestUntilTellsARefusalFromAnOutage(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection refused")
	for name, tt := range map[string]struct {
		err    error
		looked int
	}{
		"an outage":             {broken, 3},
		"a failure":             {Fail(broken), 1},
		"DTR refuses the login": {&dtr.APIError{StatusCode: 401}, 1},
		"DTR refuses the user":  {&dtr.APIError{StatusCode: 403}, 1},
		"UCP refuses the login": {&ucp.APIError{Service: "UCP", Path: "/auth/login", StatusCode: 401}, 1},
		"UCP ended the session": {&ucp.SessionError{Sessions: 9, Err: &ucp.APIError{Service: "UCP", Path: "/nodes", StatusCode: 401}}, 3},
		"DTR is not up yet":     {&dtr.APIError{StatusCode: 503}, 3},
		"no session lasted":     {&ucp.SessionError{Sessions: 148, Took: DefaultPace.Outage + time.Second, Err: broken}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			looked := 0
			err := Until(t.Context(), DefaultPace, func(context.Context) (bool, error) {
				if looked++; looked < 3 {
					return false, tt.err
				}
				return true, nil
			})
			if looked != tt.looked || (err == nil) != (tt.looked == 3) {
				t.Errorf("%s: %d looks, error %v", name, looked, err)
			}
		})
	}
}

// TestOutageIsToleratedOnce holds that an outage ends a wait, and every wait around it,
// after one and the same time, which the error says.
func TestOutageIsToleratedOnce(t *testing.T) {
	t.Parallel()
	broken := &endpoint.UnreachableError{Service: "UCP", Err: errors.New("refused")}
	looks := func(context.Context) (bool, error) { return false, broken }
	around := func(look func(context.Context) (bool, error)) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			err := Until(ctx, DefaultPace, look)
			return err == nil, fmt.Errorf("within: %w", err)
		}
	}
	never := func(error) bool { return false }
	for name, wait := range map[string]func(context.Context) error{
		"one":   func(ctx context.Context) error { return Until(ctx, DefaultPace, looks) },
		"two":   func(ctx context.Context) error { return Until(ctx, DefaultPace, around(looks)) },
		"three": func(ctx context.Context) error { return Until(ctx, DefaultPace, around(around(looks))) },
		"a check": func(ctx context.Context) error {
			return Confirm(ctx, DefaultPace, func(ctx context.Context) error {
				_, err := around(looks)(ctx)
				return err
			}, never)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := wait(t.Context())
			if took := time.Since(began); took < DefaultPace.Outage || took > DefaultPace.Outage+DefaultPace.Poll {
				t.Errorf("%s: given up after %s", name, took)
			}
			var outage *OutageError
			if !errors.As(err, &outage) || outage.For != DefaultPace.Outage || !errors.Is(err, broken) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}
