package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
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

func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := outage{limit: time.Minute}
		broken := errors.New("refused")
		if o.over(broken) {
			t.Error("over at the first error")
		}
		pass(59 * time.Second)
		if o.over(broken) {
			t.Error("over before the limit")
		}
		if o.over(nil) {
			t.Error("over after a good look")
		}
		pass(time.Hour)
		if o.over(broken) {
			t.Error("the outage before the good look still counts")
		}
		pass(61 * time.Second)
		if !o.over(broken) {
			t.Error("not over after the limit")
		}
	})
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
