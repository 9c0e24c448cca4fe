package ucp

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

var errEnded = &APIError{Service: "UCP", Method: "GET", Path: "/nodes", StatusCode: 401}

// pushedOut is a session whose tokens others end, and when it logged in.
func pushedOut(taken func(token string) bool) (s *session, logins *[]time.Time) {
	logins = &[]time.Time{}
	check := func(token string) error {
		if taken(token) {
			return nil
		}
		return errEnded
	}
	return &session{
		login: func(context.Context) (string, error) {
			*logins = append(*logins, time.Now())
			return fmt.Sprintf("t%d", len(*logins)), nil
		},
		try:      func(_ context.Context, token string) error { return check(token) },
		shortest: 500 * time.Millisecond, longest: 5 * time.Second, patience: 10 * time.Minute,
	}, logins
}

// TestSessionThatIsPushedOut holds how the logins of one process make room for those of others: one for all its
// requests, and the longer after the last one the more often that has led to nothing.
func TestSessionThatIsPushedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, logins := pushedOut(func(token string) bool { return token == "t12" })
		var g errgroup.Group
		for range 5 {
			g.Go(func() error {
				return s.do(t.Context(), func(token string) error { return s.try(t.Context(), token) })
			})
		}
		if err := g.Wait(); err != nil || len(*logins) != 12 {
			t.Fatalf("error %v after %d logins", err, len(*logins))
		}
		even, most := true, 500*time.Millisecond
		for i, at := range (*logins)[1:] {
			pause := at.Sub((*logins)[i])
			if pause < most/2 || pause > most {
				t.Errorf("pause %d is %s, not between half of %s and all of it", i+1, pause, most)
			}
			even, most = even && pause == most, min(2*most, 5*time.Second)
		}
		if even {
			t.Error("everybody would log in at the same time again")
		}
	})
}

func TestSessionThatLasted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := "t1"
		s, logins := pushedOut(func(token string) bool { return token == now })
		for _, now = range []string{"t1", "t2"} {
			began := time.Now()
			if err := s.do(t.Context(), func(token string) error { return s.try(t.Context(), token) }); err != nil || time.Since(began) > 0 {
				t.Errorf("error %v after %s", err, time.Since(began))
			}
			<-time.After(time.Hour)
		}
		if len(*logins) != 2 {
			t.Errorf("%d logins", len(*logins))
		}
	})
}

func TestNoSessionLasts(t *testing.T) {
	t.Parallel()
	limit := errors.New("timeouts.read of 1m0s passed")
	for name, tt := range map[string]struct {
		context func(context.Context) (context.Context, context.CancelFunc)
		is      error
		took    time.Duration
		told    bool // that it was the sessions
	}{
		"for all the patience": {func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }, errEnded, 10 * time.Minute, true},
		"until a time limit": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Minute, limit)
		}, limit, time.Minute, true},
		"until it is cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(20*time.Second, cancel)
			return ctx, cancel
		}, context.Canceled, 20 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := pushedOut(func(string) bool { return false })
			ctx, cancel := tt.context(t.Context())
			defer cancel()
			began := time.Now()
			err := s.do(ctx, func(token string) error { return s.try(ctx, token) })
			took := time.Since(began)
			var lost *SessionError
			if !errors.Is(err, tt.is) || errors.As(err, &lost) != tt.told || took < tt.took || took > tt.took+10*time.Second {
				t.Errorf("%s: error %v after %s", name, err, took)
			}
			<-time.After(time.Minute) // a login may still be under way, for others
		})
	}
}
