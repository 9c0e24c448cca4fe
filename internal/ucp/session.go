package ucp

import (
	"context"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"golang.org/x/sync/singleflight"
)

// session is one login that all callers share. A nil session is the access to an engine that asks for none.
type session struct {
	login  func(context.Context) (token string, err error)
	flight singleflight.Group

	mu    sync.Mutex
	token string
}

// do calls f under the token, and once more under a new one when the first is refused.
func (s *session) do(ctx context.Context, f func(token string) error) error {
	if s == nil {
		return f("")
	}
	token, err := s.get(ctx)
	if err != nil {
		return err
	}
	if err = f(token); !cerrdefs.IsUnauthorized(err) {
		return err
	}
	if token, err = s.renew(ctx, token); err != nil {
		return err
	}
	return f(token)
}

// get returns the token, and logs in when there is none yet.
func (s *session) get(ctx context.Context) (string, error) {
	if token := s.current(); token != "" {
		return token, nil
	}
	return s.renew(ctx, "")
}

func (s *session) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// renew replaces a token that was refused. Of all callers that come with the same one a single one logs in.
func (s *session) renew(ctx context.Context, refused string) (string, error) {
	done := s.flight.DoChan(refused, func() (any, error) {
		if token := s.current(); token != refused {
			return token, nil // another caller was faster
		}
		// The others wait for it, too: it must not end because the first of them gave up.
		token, err := s.login(context.WithoutCancel(ctx))
		if err != nil {
			return "", err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.token = token
		return token, nil
	})
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case result := <-done:
		token, _ := result.Val.(string)
		return token, result.Err
	}
}

// bearer is the value of an Authorization header; a session that is nil has no token.
func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}
