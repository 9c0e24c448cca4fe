package ucp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"golang.org/x/sync/singleflight"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// defaultPatience is how long a request may wait for a session that lasts until it is answered.
const defaultPatience = 10 * time.Minute

// session is one login that all callers share. A nil session is the access to an engine that asks for none.
//
// UCP keeps a limited number of sessions a user. With one more login the session that was used least recently ends:
// a token that is refused says that others have logged in, and nothing about the credentials. Only a refused login does.
type session struct {
	login        func(context.Context) (token string, err error)
	service, url string // that login asks, for errors
	// try makes a request that every user may make; cerrdefs.IsUnauthorized holds for its error when the token is refused.
	try func(ctx context.Context, token string) error
	// shortest and longest bound the pause before the next login.
	shortest, longest time.Duration
	// patience is how long a call may go on after its first session ended.
	patience time.Duration
	flight   singleflight.Group

	mu    sync.Mutex
	token string
	ended bool          // the token is refused
	began time.Time     // of the session
	pause time.Duration // that was made last
}

// SessionError says that UCP ended one session after the other before it answered a request.
type SessionError struct {
	// Sessions is how many, and Took in how long.
	Sessions int
	Took     time.Duration
	// Err is the last refusal.
	Err error
}

func (e *SessionError) Error() string {
	return fmt.Sprintf("UCP took each login and refused its token, in %d sessions within %s: %v", e.Sessions, duration.Text(e.Took.Round(time.Second)), e.Err)
}

func (e *SessionError) Unwrap() error { return e.Err }

// do calls f under the token. As often as UCP refuses that, f is called again under a new one, until the patience or the context ends.
func (s *session) do(ctx context.Context, f func(token string) error) error {
	if s == nil {
		return f("")
	}
	token, err := s.get(ctx)
	if err != nil {
		return err
	}
	var began time.Time
	for sessions, kept := 0, false; ; {
		refusal := f(token)
		if !cerrdefs.IsUnauthorized(refusal) || ctx.Err() != nil {
			return refusal
		}
		next, goesOn, err := s.renew(ctx, token)
		if goesOn {
			if kept { // twice: it is the request that was refused
				return refusal
			}
			kept = true
			continue
		}
		if sessions++; sessions == 1 {
			began = time.Now()
		}
		kept = false
		lost := &SessionError{Sessions: sessions, Took: time.Since(began), Err: refusal}
		switch {
		case ctx.Err() != nil && sessions > 1 && !errors.Is(ctx.Err(), context.Canceled):
			return fmt.Errorf("%w (before that: %w)", context.Cause(ctx), lost)
		case err != nil:
			return err
		case lost.Took > s.patience:
			return lost
		}
		token = next
	}
}

// get returns the token, and logs in when there is none that is taken.
func (s *session) get(ctx context.Context) (string, error) {
	token, good := s.current()
	if good {
		return token, nil
	}
	token, _, err := s.renew(ctx, token)
	return token, err
}

func (s *session) current() (token string, good bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.token != "" && !s.ended
}

// renew replaces a token that was refused, unless its session goes on. Of all callers that come with the same one a single one logs in.
func (s *session) renew(ctx context.Context, refused string) (token string, goesOn bool, err error) {
	type outcome struct {
		token  string
		goesOn bool
	}
	done := s.flight.DoChan(refused, func() (any, error) {
		// The others wait for it, too: it must not end because the first of them gave up.
		ctx := context.WithoutCancel(ctx)
		token, good := s.current()
		if token != refused {
			return outcome{token: token}, nil // another caller was faster
		}
		if good && alive(s.try(ctx, token)) {
			return outcome{token, true}, nil
		}
		<-time.After(s.rest())
		token, err := s.login(ctx)
		if err != nil {
			return outcome{}, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.token, s.ended, s.began = token, false, time.Now()
		return outcome{token: token}, nil
	})
	select {
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return "", false, context.Cause(ctx)
		}
		return "", false, &endpoint.UnreachableError{Service: s.service, Method: http.MethodPost, URL: s.url, Attempts: 1, Err: context.Cause(ctx)}
	case result := <-done:
		o, _ := result.Val.(outcome)
		return o.token, o.goesOn, result.Err
	}
}

// refusal is UCP's if it no longer takes the token, and nil otherwise.
func (s *session) refusal(ctx context.Context, token string) error {
	if s == nil {
		return nil
	}
	if err := s.try(ctx, token); cerrdefs.IsUnauthorized(err) {
		return err
	}
	return nil
}

// alive reports whether an answer shows that the session goes on, by the error made of it.
func alive(err error) bool {
	return err == nil || cerrdefs.IsPermissionDenied(err) || cerrdefs.IsNotFound(err)
}

// lasting is how many of the longest pauses a session lasts that nobody pushes out.
const lasting = 12

// rest notes the end of the session and returns how long to wait before the next login: not at all after one that lasted,
// and longer each time while others push it out. As all of them wait, and each by chance, each has its turn.
func (s *session) rest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.began.IsZero() || time.Since(s.began) > lasting*s.longest {
		s.pause = 0
		return 0
	}
	s.pause = min(max(2*s.pause, s.shortest), s.longest)
	return s.pause/2 + rand.N(s.pause/2+1) //nolint:gosec // it keeps no secret
}

// bearer is the value of an Authorization header; a session that is nil has no token.
func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}
