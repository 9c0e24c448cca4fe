package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

func TestRedirects(t *testing.T) {
	elsewhere := serve(t, text(200, `{"value":"elsewhere"}`))
	tests := map[string]struct {
		to   string
		want string // value; empty for a RedirectError
	}{
		"same host":       {"/final", "final"},
		"another port":    {elsewhere.URL + "/final", ""},
		"without TLS":     {"http://127.0.0.1/final", ""},
		"a name for same": {"https://localhost/final", ""},
		"round in circle": {"/circle", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/final":
					if r.Header.Get("Authorization") == "" {
						t.Error("the login got lost")
					}
					text(200, `{"value":"final"}`)(w, r)
				case "/circle":
					redirect("/circle")(w, r)
				default:
					redirect(tt.to)(w, r)
				}
			})
			e := s.endpoint(t)
			var v answer
			err := e.Repeat(t.Context(), Request{Path: "/", Authorization: Basic("u", "pa55word")}, reader(e, &v))
			var redirected *RedirectError
			if v.Value != tt.want || (tt.want == "") != errors.As(err, &redirected) {
				t.Errorf("value %q, error %v", v.Value, err)
			}
			if n := s.requests.Load(); tt.want == "" && n > maxRedirects+1 {
				t.Errorf("%d requests", n)
			}
		})
	}
	t.Run("POST", func(t *testing.T) {
		s := serve(t, redirect("/final"))
		e := s.endpoint(t)
		err := e.Once(t.Context(), Request{Method: http.MethodPost, Path: "/", JSON: []byte("{}")}, func(*Answer) error { return nil })
		redirected, ok := errors.AsType[*RedirectError](err)
		if !ok || redirected.To != s.URL+"/final" || s.requests.Load() != 1 {
			t.Errorf("error %v, %d requests", err, s.requests.Load())
		}
	})
	if n := elsewhere.requests.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

// TestRedirectSaysWhere holds that what is not followed is said, for each way to send a request, and nothing that could be a secret.
func TestRedirectSaysWhere(t *testing.T) {
	const to = "https://user:in-the-user@login.example.com/p%1B[31m/pa55word/x?token=in-the-query#in-the-fragment"
	const want = "https://login.example.com/p%1B[31m/***/x"
	for name, ask := range map[string]func(context.Context, *Endpoint) error{
		"GET": func(ctx context.Context, e *Endpoint) error {
			return e.Repeat(ctx, Request{Path: "/"}, reader(e, &answer{}))
		},
		"POST": func(ctx context.Context, e *Endpoint) error {
			return e.Once(ctx, Request{Method: http.MethodPost, Path: "/", JSON: []byte("{}")}, reader(e, &answer{}))
		},
		"upload": func(ctx context.Context, e *Endpoint) error {
			return send(e, ctx, strings.NewReader("x"), 1, &answer{})
		},
		"connection": func(ctx context.Context, e *Endpoint) error {
			_, err := e.Upgrade(ctx, Request{Method: http.MethodPost, Path: "/"}, "tcp", func(*Answer) error { return nil }) //nolint:bodyclose // it is refused
			return err
		},
		"client library": func(ctx context.Context, e *Endpoint) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL(), http.NoBody)
			if err != nil {
				return err
			}
			_, err = e.RoundTripper().RoundTrip(req) //nolint:bodyclose // it is refused
			return err
		},
	} {
		s := serve(t, redirect(to))
		err := ask(t.Context(), s.endpoint(t))
		if redirected, ok := errors.AsType[*RedirectError](err); !ok || redirected.To != want {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestLog(t *testing.T) {
	s := serve(t, inTurn(reset, text(200, "{}")))
	e := s.endpoint(t)
	var out bytes.Buffer
	ctx := tflogtest.RootLogger(t.Context(), &out)
	r := Request{Path: "/pa55word/a", Query: map[string][]string{"token": {"in-the-query"}}, Authorization: Basic("admin", "pa55word")}
	if err := e.Repeat(ctx, r, reader(e, &answer{})); err != nil {
		t.Fatal(err)
	}
	lines, err := tflogtest.MultilineJSONDecode(bytes.NewReader(out.Bytes()))
	if err != nil || len(lines) != 2 {
		t.Fatalf("%v, log:\n%s", err, out.String())
	}
	if lines[0]["error"] == nil || lines[1]["status"] != 200.0 || lines[1]["method"] != "GET" || lines[1]["path"] != "/***/a" || lines[1]["service"] != "Test" {
		t.Errorf("log:\n%s", out.String())
	}
	for _, secret := range []string{"pa55word", "in-the-query", strings.TrimPrefix(r.Authorization, "Basic ")} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, out.String())
		}
	}
}

func TestQuote(t *testing.T) {
	e := Over(NewTransport(), nil, Config{Secrets: scrub.NewSecrets("", "pa55word")})
	if got := e.Quote("no user admin:pa55word"); got != "no user admin:***" {
		t.Error(got)
	}
}

// TestErrorsHideSecrets holds that no error of a request shows a secret, a command to a terminal or a second line, whoever says it.
func TestErrorsHideSecrets(t *testing.T) {
	const hostile = "pa55word\x1b[31m\u202e\u009b\nforged"
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"no HTTP":  raw(hostile + strings.Repeat("x", 5000) + "\r\n\r\n"),
		"a header": raw("HTTP/1.1 200 OK\r\npa55word\x1b[31m\u202e" + strings.Repeat("x", 2000) + "\r\n\r\n"),
		"a chunk":  raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + hostile + "\r\n"),
		"not JSON": text(200, hostile),
		"a place":  redirect("https://pa55word.example.com/%1B\u202e"),
		"a place, invalid": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://pa55word.example.com:\u202e/")
			w.WriteHeader(http.StatusFound)
		},
	} {
		s := serve(t, h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		err := s.endpoint(t, func(c *Config) { c.Retry.Max = -1 }).Repeat(t.Context(), Request{Path: "/pa55word"}, reader(s.endpoint(t), &answer{}))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		text := err.Error()
		if strings.Contains(text, "pa55word") || strings.ContainsAny(text, "\x1b\u202e\u009b\n") || len(text) > 1000 {
			t.Errorf("%s: %d bytes: %q", name, len(text), text)
		}
	}
}

func TestRoundTripper(t *testing.T) {
	do := func(t *testing.T, s *server, method, path string) (string, error, error) {
		t.Helper()
		ctx, failure := KeepFailure(t.Context())
		req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Transport: s.endpoint(t).RoundTripper()}
		resp, err := c.Do(req)
		if err != nil {
			return "", err, failure()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Status + " " + string(body), nil, failure()
	}
	t.Run("a GET is repeated until it is whole", func(t *testing.T) {
		got, err, failure := do(t, serve(t, inTurn(reset, truncate, text(200, "?"), text(200, "{}"))), http.MethodGet, "/")
		if got != "200 OK {}" || err != nil || failure != nil {
			t.Error(got, err, failure)
		}
	})
	t.Run("a status stays an answer", func(t *testing.T) {
		s := serve(t, text(503, "busy"))
		got, err, _ := do(t, s, http.MethodGet, "/")
		if got != "503 Service Unavailable busy" || err != nil || s.requests.Load() != 4 {
			t.Error(got, err, s.requests.Load())
		}
	})
	t.Run("garbage is an error with its type", func(t *testing.T) {
		_, err, failure := do(t, serve(t, text(200, "?")), http.MethodGet, "/")
		var unusable *ResponseError
		if !errors.As(err, &unusable) || !errors.As(failure, &unusable) {
			t.Error(err, failure)
		}
	})
	t.Run("a ping need not be JSON", func(t *testing.T) {
		if got, err, _ := do(t, serve(t, text(200, "OK")), http.MethodGet, "/v1.30/_ping"); got != "200 OK OK" || err != nil {
			t.Error(got, err)
		}
	})
	for name, h := range map[string]http.HandlerFunc{"reset": reset, "503": text(503, "")} {
		t.Run("a POST is sent once: "+name, func(t *testing.T) {
			s := serve(t, h)
			_, err, failure := do(t, s, http.MethodPost, "/")
			if n := s.requests.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
			var unreachable *UnreachableError
			if name == "reset" && (!errors.As(err, &unreachable) || !errors.As(failure, &unreachable)) {
				t.Error(err, failure)
			}
		})
	}
	t.Run("the end of the context stays what it is", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // an answer could still arrive
		})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := s.endpoint(t).RoundTripper().RoundTrip(req); !errors.Is(err, context.Canceled) {
			if resp != nil {
				_ = resp.Body.Close()
			}
			t.Errorf("error %v", err)
		}
	})
}

func TestNewConnection(t *testing.T) {
	var from []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		text(200, `{}`)(w, r)
	})
	e := s.endpoint(t)
	for _, anew := range []bool{false, true, false, true} {
		if err := e.Once(t.Context(), Request{Path: "/", NewConnection: anew}, func(*Answer) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	kept, single := from[0] == from[2], from[1] != from[0] && from[3] != from[0] && from[3] != from[1]
	if !kept || !single {
		t.Errorf("kept: %t, connections of their own: %t; from %v", kept, single, from)
	}
}
