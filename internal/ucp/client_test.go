package ucp

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

func TestCA(t *testing.T) {
	s := serveUCP(t, "", handlers{})
	s.handlers["GET /ca"] = inTurn(lose, always(200, s.ca))
	if got, err := s.client().CA(t.Context()); err != nil || got != s.ca {
		t.Errorf("%q, error %v", got, err)
	}
	s.handlers["GET /ca"] = always(200, "<html>")
	var unusable *endpoint.ResponseError
	if _, err := s.client().CA(t.Context()); !errors.As(err, &unusable) {
		t.Errorf("error %v", err)
	}
	if s.logins > 0 {
		t.Error("a login was made")
	}
}

func TestRequireContentTrust(t *testing.T) {
	tests := map[string]struct {
		toml string
		want bool
		ok   bool
	}{
		"required":     {"[auth]\n[trust_configuration]\n  require_content_trust = true\n  require_signature_from = []\n", true, true},
		"not required": {"[trust_configuration]\nrequire_content_trust = false\n", false, true},
		"not said":     {"[auth]\n", false, true},
		"garbage":      {"<html>", false, false},
		"dotted":       {"trust_configuration.require_content_trust = true\n", true, true},
		"inline":       {"trust_configuration = { require_signature_from = [\"a\"], require_content_trust = true }\n", true, true},
		"elsewhere":    {"require_content_trust = true\n[other.trust_configuration]\nrequire_content_trust = true\n", false, true},
		"not a bool":   {"[trust_configuration]\nrequire_content_trust = \"yes\"\n", false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serveUCP(t, "", handlers{"GET /api/ucp/config-toml": always(200, tt.toml)})
			got, err := s.client().RequireContentTrust(t.Context())
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("%t, error %v", got, err)
			}
			var unusable *endpoint.ResponseError
			if !tt.ok && !errors.As(err, &unusable) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	good := always(200, `{"auth_token":"t"}`)
	t.Run("once", func(t *testing.T) {
		s := serveUCP(t, "", handlers{})
		c := s.client()
		for range 3 {
			if err := c.Login(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.logins != 1 {
			t.Errorf("%d logins", s.logins)
		}
		if got := s.body("POST /auth/login"); got != `{"password":"pa55word","username":"admin"}` {
			t.Error(got)
		}
	})
	t.Run("answer lost, garbled, empty", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"POST /auth/login": inTurn(lose, always(200, "?"), always(200, "{}"), good)})
		c := s.client()
		if err := c.Login(t.Context()); err != nil || c.session.token != "t" {
			t.Errorf("token %q, error %v", c.session.token, err)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		s := serveUCP(t, "", handlers{})
		err := s.client(func(c *Config) { c.Password = "wr0ng-one" }).Login(t.Context())
		var api *APIError
		if !errors.As(err, &api) || !api.LoginRefused() || !cerrdefs.IsUnauthorized(err) || s.logins != 1 {
			t.Errorf("error %v after %d logins", err, s.logins)
		}
		if strings.Contains(err.Error(), "wr0ng-one") {
			t.Error(err)
		}
	})
	t.Run("password echoed", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"POST /auth/login": always(400, `{"errors":[{"code":"X","message":"no login admin:pa55word"}]}`)})
		if err := s.client().Login(t.Context()); err == nil || strings.Contains(err.Error(), "pa55word") || !strings.Contains(err.Error(), "no login admin:***") {
			t.Errorf("error %v", err)
		}
	})
}

func TestRenewal(t *testing.T) {
	config := always(200, "[trust_configuration]\nrequire_content_trust = true\n")
	t.Run("an expired token is renewed once", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"GET /api/ucp/config-toml": config})
		c := s.client()
		for range 3 {
			if required, err := c.RequireContentTrust(t.Context()); err != nil || !required {
				t.Errorf("%t, error %v", required, err)
			}
			s.expire()
		}
		if s.logins != 3 {
			t.Errorf("%d logins", s.logins)
		}
	})
	t.Run("a request is refused while the session goes on", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"GET /api/ucp/config-toml": always(401, "")})
		_, err := s.client().RequireContentTrust(t.Context())
		if !cerrdefs.IsUnauthorized(err) || s.logins != 1 || len(s.asked("GET /api")) != 2 {
			t.Errorf("error %v, %d logins, asked %q", err, s.logins, s.requests)
		}
	})
	t.Run("one controller does not know the token yet", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"GET /api/ucp/config-toml": inTurn(always(401, ""), config)})
		if _, err := s.client().RequireContentTrust(t.Context()); err != nil || s.logins != 1 {
			t.Errorf("error %v after %d logins", err, s.logins)
		}
	})
	t.Run("no token ever works", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"POST /auth/login": always(200, `{"auth_token":"t"}`), "GET /api/ucp/config-toml": config})
		var lost *SessionError
		var api *APIError
		_, err := s.client().RequireContentTrust(t.Context())
		if !errors.As(err, &lost) || lost.Sessions < 2 || !errors.As(err, &api) || api.LoginRefused() {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the password was changed", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"GET /api/ucp/config-toml": config})
		c := s.client()
		if err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.expire()
		s.handlers["POST /auth/login"] = always(401, `{"message":"unauthorized"}`)
		var api *APIError
		if _, err := c.RequireContentTrust(t.Context()); !errors.As(err, &api) || api.Path != "/auth/login" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("all callers share one login", func(t *testing.T) {
		s := serveUCP(t, "", handlers{"GET /api/ucp/config-toml": config})
		c := s.client()
		for range 3 {
			var g errgroup.Group
			for range 10 {
				g.Go(func() error { _, err := c.RequireContentTrust(t.Context()); return err })
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
			s.expire()
		}
		if s.logins != 3 {
			t.Errorf("%d logins", s.logins)
		}
	})
}

// TestSessionSurvivesAnImpatientCaller has a login hang: it goes on, and whoever does
// not wait for it learns who did not answer.
func TestSessionSurvivesAnImpatientCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins := 0
		s := &session{service: "UCP", url: "https://ucp/auth/login", login: func(ctx context.Context) (string, error) {
			logins++
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(time.Minute):
				return "token", nil
			}
		}}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.get(impatient)
			if hung, ok := errors.AsType[*endpoint.UnreachableError](err); !ok || hung.Service != "UCP" || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want it to name UCP", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if token, err := s.get(t.Context()); token != "token" || err != nil {
				t.Errorf("%q, error %v", token, err)
			}
		})
		wg.Wait()
		if logins != 1 {
			t.Errorf("%d logins", logins)
		}
	})
}
