package ucp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

func TestEveryCallAtEveryAPIVersion(t *testing.T) {
	for newest, used := range map[string]string{"1.30": "1.30", "1.37": "1.37", "1.39": "1.39", "1.40": "1.40", "1.41": "1.41", "1.56": "1.56", "1.99": client.MaxAPIVersion} {
		t.Run(newest, func(t *testing.T) {
			s := serveUCP(t, newest, engine1706())
			e := s.engine()
			if e.connection.version != used {
				t.Errorf("%s in use", e.connection.version)
			}
			for name, call := range calls {
				t.Run(name, func(t *testing.T) {
					got, err := call.call(t.Context(), e)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(call.want, got); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
					method, path, _ := strings.Cut(call.request, " ")
					if want := method + " /v" + used + path; len(s.asked(want)) == 0 {
						t.Errorf("no request %s in %q", want, s.requests)
					}
				})
			}
		})
	}
}

func TestAPIVersion(t *testing.T) {
	version := func(body string) handlers { return handlers{"GET /version": always(200, body)} }
	tests := map[string]struct {
		header   string
		handlers handlers
		want     string // empty for an error
	}{
		"no header, but a version": {"", version(`{"ApiVersion":"1.35"}`), "1.35"},
		"no header, no version":    {"", version(`{}`), ""},
		"too old":                  {"1.29", nil, ""},
		"much too old":             {"1.9", nil, ""},
		"garbage":                  {"banana", nil, ""},
		"half":                     {"1", nil, ""},
		"negative":                 {"1.-30", nil, ""},
		"another era":              {"2.0", nil, client.MaxAPIVersion},
		"with a v":                 {" v1.40", nil, "1.40"},
		"unhealthy":                {"1.40", handlers{"GET /_ping": always(500, `{"message":"unhealthy"}`)}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serveUCP(t, tt.header, tt.handlers)
			e, err := s.client().Engine(t.Context())
			if (err == nil) != (tt.want != "") || err == nil && e.connection.version != tt.want {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestEngineConnectsInOneRoundTripAfterLogin(t *testing.T) {
	// The login is held back until the ping has been answered: they must be under way at once.
	pinged := make(chan struct{})
	s := serveUCP(t, "1.40", handlers{})
	s.handlers["GET /_ping"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.40")
		close(pinged)
	}
	s.handlers["POST /auth/login"] = func(w http.ResponseWriter, _ *http.Request) {
		<-pinged
		answer(w, 200, `{"auth_token":"t"}`)
	}
	c := s.client()
	for range 3 {
		if _, err := c.Engine(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := len(s.requests); n != 2 {
		t.Errorf("asked %q", s.requests)
	}
}

func TestLogHoldsNoSecrets(t *testing.T) {
	s := serveUCP(t, "1.37", engine1706())
	var out bytes.Buffer
	ctx := tflogtest.RootLogger(t.Context(), &out)
	e, err := s.client().Engine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(ctx, CreateSpec{Name: "dtr-upgrade", Image: "docker/dtr:2.6.15", Env: []string{"UCP_PASSWORD=pa55word"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := readLogs(e.Logs(ctx, "x", nil, true)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/auth/login", "/_ping", "/v1.37/containers/create", "/v1.37/containers/x/logs"} {
		if strings.Count(out.String(), `"path":"`+path+`"`) != 1 {
			t.Errorf("no line for %s", path)
		}
	}
	for _, secret := range []string{"pa55word", "token1"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestErrorClasses(t *testing.T) {
	tests := map[string]struct {
		status int
		is     func(error) bool
	}{
		"not found":   {404, cerrdefs.IsNotFound},
		"conflict":    {409, cerrdefs.IsConflict},
		"bad request": {400, cerrdefs.IsInvalidArgument},
		"forbidden":   {403, cerrdefs.IsPermissionDenied},
		"internal":    {500, cerrdefs.IsInternal},
		"unavailable": {503, cerrdefs.IsUnavailable},
		"refused":     {401, cerrdefs.IsUnauthorized},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := engine1706()
			for key := range h {
				h[key] = always(tt.status, `{"message":"so says the engine"}`)
			}
			s := serveUCP(t, "1.37", h)
			e := s.engine()
			for call, c := range calls {
				_, err := c.call(t.Context(), e)
				if !tt.is(err) {
					t.Errorf("%s: %v", call, err)
				}
				if err != nil && (!strings.HasPrefix(err.Error(), "UCP: cannot ") || !strings.Contains(err.Error(), "so says the engine")) {
					t.Errorf("%s: no context in %v", call, err)
				}
			}
		})
	}
}

func TestEngineAnswersGarbage(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"text":    always(200, "<html>"),
		"half":    always(200, `[{"Id":`),
		"nothing": always(200, ""),
		"a break": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			answer(w, 200, "[")
			lose(w, nil)
		},
		"hang up": lose,
	} {
		t.Run(name, func(t *testing.T) {
			hs := engine1706()
			for key := range hs {
				hs[key] = h
			}
			s := serveUCP(t, "1.37", hs)
			e := s.engine()
			for call, c := range calls {
				got, err := c.call(t.Context(), e)
				// An empty body says all, or its content does not matter.
				bodiless := slices.Contains([]string{"start", "remove", "rename", "stop", "remove, keeping volumes", "discard"}, call)
				if bodiless && name == "nothing" || call == "set the image of a service" && name != "hang up" && name != "a break" || call == "pull" && name == "nothing" || call == "load" && name == "nothing" {
					continue
				}
				if err == nil {
					t.Errorf("%s: %v and no error", call, got)
				}
				if method, path, _ := strings.Cut(c.request, " "); method == http.MethodGet {
					_, unusable := errors.AsType[*endpoint.ResponseError](err)
					_, unreachable := errors.AsType[*endpoint.UnreachableError](err)
					if !unusable && !unreachable {
						t.Errorf("%s: not a typed error: %v", call, err)
					}
					path, _, _ = strings.Cut(path, "?")
					if !strings.HasSuffix(call, "logs") && len(s.asked("GET /v1.37"+path)) < 4 {
						t.Errorf("%s: not repeated", call)
					}
				} else if n := len(s.asked(method + " /v1.37" + path)); n != 1 {
					t.Errorf("%s: sent %d times", call, n)
				}
			}
		})
	}
}

func TestEngineRecovers(t *testing.T) {
	h := engine1706()
	for key, good := range h {
		if strings.HasPrefix(key, "GET ") && !strings.HasSuffix(key, "/logs") {
			h[key] = inTurn(lose, always(503, ""), always(200, "?"), good)
		}
	}
	e := serveUCP(t, "1.37", h).engine()
	for _, name := range []string{"containers", "nodes", "memory", "version", "images", "image", "remote image"} {
		if got, err := calls[name].call(t.Context(), e); err != nil || !cmp.Equal(calls[name].want, got) {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
}

func TestExpiredToken(t *testing.T) {
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			s := serveUCP(t, "1.37", engine1706())
			e := s.engine()
			s.expire()
			if got, err := c.call(t.Context(), e); err != nil || !cmp.Equal(c.want, got) {
				t.Errorf("%v, error %v", got, err)
			}
			if s.logins != 2 {
				t.Errorf("%d logins", s.logins)
			}
		})
	}
	t.Run("side by side", func(t *testing.T) {
		s := serveUCP(t, "1.37", engine1706())
		e := s.engine()
		s.expire()
		var g errgroup.Group
		for range 5 {
			for _, name := range []string{"containers", "nodes", "memory", "images"} {
				g.Go(func() error { _, err := calls[name].call(t.Context(), e); return err })
			}
		}
		if err := g.Wait(); err != nil || s.logins != 2 {
			t.Errorf("error %v after %d logins", err, s.logins)
		}
	})
	t.Run("an archive is not sent under a token that is refused", func(t *testing.T) {
		s := serveUCP(t, "1.37", engine1706())
		e := s.engine()
		s.expire()
		if err := e.Load(t.Context(), io.MultiReader(strings.NewReader("tar")), nil); err != nil || len(s.asked("POST /v1.37/images/load")) != 1 {
			t.Errorf("error %v, asked %q", err, s.requests)
		}
	})
	t.Run("an archive that cannot be sent again", func(t *testing.T) {
		s := serveUCP(t, "1.37", engine1706())
		s.handlers["POST /images/load"] = always(401, "")
		e := s.engine()
		if err := e.Load(t.Context(), io.MultiReader(strings.NewReader("tar")), nil); err == nil || len(s.asked("POST /v1.37/images/load")) != 1 {
			t.Errorf("error %v, asked %q", err, s.requests)
		}
	})
}

// hijack takes the connection over as an attach does.
func hijack(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello")
	_ = conn.Close()
}

// A connection that is taken over is dialled by moby/client itself, past every transport of ours.
func TestTokenOnHijackedConnections(t *testing.T) {
	s := serveUCP(t, "1.37", engine1706())
	e := s.engine()
	attach := func() (string, error) {
		text := ""
		err := e.connection.session.do(t.Context(), func(token string) error {
			c, err := e.connection.under(token)
			if err != nil {
				return err
			}
			r, err := c.stream.ContainerAttach(t.Context(), "x", client.ContainerAttachOptions{Stream: true, Stdout: true})
			if err != nil {
				return err
			}
			defer r.Close()
			b, err := io.ReadAll(r.Reader)
			text = string(b)
			return err
		})
		return text, err
	}
	if text, err := attach(); err != nil || text != "hello" {
		t.Errorf("%q, error %v", text, err)
	}
	s.expire()
	if err := e.Start(t.Context(), "x"); err != nil { // renews the login
		t.Fatal(err)
	}
	if text, err := attach(); err != nil || text != "hello" {
		t.Errorf("after a new login: %q, error %v", text, err)
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	stopped := errors.New("interrupted by the user")
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			h := engine1706()
			for key := range h {
				h[key] = func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client is gone
					cancel(stopped)
					<-r.Context().Done()
					lose(w, r) // an answer could still arrive
				}
			}
			e := serveUCP(t, "1.37", h).engine()
			if _, err := c.call(ctx, e); !errors.Is(err, stopped) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestUnreachableEngine(t *testing.T) {
	s := serveUCP(t, "1.37", engine1706())
	e := s.engine()
	s.Close()
	for name, c := range calls {
		_, err := c.call(t.Context(), e)
		if _, ok := errors.AsType[*endpoint.UnreachableError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.client().Engine(t.Context()); err == nil {
		t.Error("no error")
	}
}

func ExampleAPIError() {
	err := error(&APIError{Service: "UCP", Method: "POST", Path: "/auth/login", StatusCode: 401})
	fmt.Println(err, cerrdefs.IsUnauthorized(err))
	// Output: UCP answered POST /auth/login with status 401: Unauthorized true
}
