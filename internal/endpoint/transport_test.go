package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"
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
		var status int
		err := e.Once(t.Context(), Request{Method: http.MethodPost, Path: "/", JSON: []byte("{}")}, func(a *Answer) error {
			status = a.StatusCode
			return nil
		})
		if err != nil || status != http.StatusTemporaryRedirect || s.requests.Load() != 1 {
			t.Errorf("status %d, error %v, %d requests", status, err, s.requests.Load())
		}
	})
	if n := elsewhere.requests.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
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
	e := Over(NewTransport(), nil, Config{Secrets: []string{"", "pa55word"}})
	if got := e.Quote("no user admin:pa55word"); got != "no user admin:***" {
		t.Error(got)
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
