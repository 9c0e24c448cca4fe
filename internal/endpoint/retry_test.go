package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeat(t *testing.T) {
	ok := text(200, `{"value":"yes"}`)
	tests := map[string]struct {
		handlers []http.HandlerFunc
		attempts int32
		ok       bool
	}{
		"at once":             {[]http.HandlerFunc{ok}, 1, true},
		"reset":               {[]http.HandlerFunc{reset, ok}, 2, true},
		"cut short":           {[]http.HandlerFunc{truncate, ok}, 2, true},
		"garbage":             {[]http.HandlerFunc{text(200, "<html>"), ok}, 2, true},
		"half of the JSON":    {[]http.HandlerFunc{text(200, `{"value":"y`), ok}, 2, true},
		"empty":               {[]http.HandlerFunc{text(200, ""), ok}, 2, true},
		"another type":        {[]http.HandlerFunc{text(200, `{"value":1}`), ok}, 2, true},
		"500":                 {[]http.HandlerFunc{text(500, ""), ok}, 2, true},
		"502, 503, 504":       {[]http.HandlerFunc{text(502, ""), text(503, ""), text(504, ""), ok}, 4, true},
		"429":                 {[]http.HandlerFunc{text(429, ""), ok}, 2, true},
		"reset for ever":      {[]http.HandlerFunc{reset}, 4, false},
		"garbage for ever":    {[]http.HandlerFunc{text(200, "?")}, 4, false},
		"503 for ever":        {[]http.HandlerFunc{text(503, "")}, 4, false},
		"400 is final":        {[]http.HandlerFunc{text(400, ""), ok}, 1, false},
		"401 is final":        {[]http.HandlerFunc{text(401, ""), ok}, 1, false},
		"404 is final":        {[]http.HandlerFunc{text(404, ""), ok}, 1, false},
		"501 is final":        {[]http.HandlerFunc{text(501, ""), ok}, 1, false},
		"too long is final":   {[]http.HandlerFunc{text(200, fmt.Sprintf(`{"value":"%2000d"}`, 1)), ok}, 1, false},
		"garbage with a 404":  {[]http.HandlerFunc{text(404, "<html>"), ok}, 1, false},
		"reset, then refused": {[]http.HandlerFunc{reset, text(401, ""), ok}, 2, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, inTurn(tt.handlers...))
			e := s.endpoint(t, func(c *Config) { c.MaxBody = 1000 })
			var v answer
			err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &v))
			if ok := err == nil; ok != tt.ok || ok != (v.Value == "yes") {
				t.Errorf("error %v, value %q", err, v.Value)
			}
			if n := s.requests.Load(); n != tt.attempts {
				t.Errorf("%d attempts, want %d", n, tt.attempts)
			}
		})
	}
}

func TestRepeatErrors(t *testing.T) {
	t.Run("reset", func(t *testing.T) {
		s := serve(t, reset)
		e := s.endpoint(t)
		err := e.Repeat(t.Context(), Request{Path: "/a", Query: map[string][]string{"q": {"1"}}}, reader(e, &answer{}))
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) || unreachable.Attempts != 4 || unreachable.URL != s.URL+"/a" || unreachable.Method != http.MethodGet {
			t.Errorf("error %v", err)
		}
	})
	t.Run("garbage", func(t *testing.T) {
		e := serve(t, text(200, "<html>")).endpoint(t)
		err := e.Repeat(t.Context(), Request{Path: "/a"}, reader(e, &answer{}))
		var unusable *ResponseError
		if !errors.As(err, &unusable) || unusable.Path != "/a" || unusable.StatusCode != http.StatusOK {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cut short", func(t *testing.T) {
		e := serve(t, truncate).endpoint(t)
		err := e.Repeat(t.Context(), Request{Path: "/a"}, reader(e, &answer{}))
		var unusable *ResponseError
		if !errors.As(err, &unusable) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("status", func(t *testing.T) {
		e := serve(t, text(503, "")).endpoint(t)
		if err := e.Repeat(t.Context(), Request{Path: "/a"}, reader(e, &answer{})); !errors.Is(err, errStatus) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		s := serve(t, text(200, "{}"))
		e := s.endpoint(t)
		s.Close()
		err := e.Repeat(t.Context(), Request{Path: "/a"}, reader(e, &answer{}))
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("error %v", err)
		}
	})
}

func TestEndlessAnswer(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 1000))
		}
	})
	e := s.endpoint(t, func(c *Config) { c.MaxBody, c.Retry.Attempt = 1000, time.Hour })
	if err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{})); !errors.Is(err, errTooLarge) {
		t.Errorf("error %v", err)
	}
}

func TestUnknownHost(t *testing.T) {
	missing := &net.DNSError{IsNotFound: true}
	transport := NewTransport()
	attempts := 0
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		attempts++
		return nil, missing
	}
	e := Over(transport, &url.URL{Scheme: "http", Host: "nowhere.example.com"}, Config{Service: "Test", Retry: quick})
	if err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{})); !errors.Is(err, missing) || attempts != 1 {
		t.Errorf("error %v after %d attempts", err, attempts)
	}
}

func TestOnce(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{"reset": reset, "503": text(503, ""), "garbage": text(200, "?"), "cut short": truncate} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, inTurn(h, text(200, "{}")))
			e := s.endpoint(t)
			if err := e.Once(t.Context(), Request{Method: http.MethodPost, Path: "/", JSON: []byte("{}")}, reader(e, &answer{})); err == nil {
				t.Error("no error")
			}
			if n := s.requests.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestRequestReachesServer(t *testing.T) {
	var got http.Header
	var body []byte
	var query string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, query = r.Header, r.URL.RawQuery
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "{}")
	})
	e := s.endpoint(t, func(c *Config) { c.UserAgent = "agent/1" })
	r := Request{Method: http.MethodPost, Path: "/a", Query: map[string][]string{"x": {"a b"}}, Authorization: Basic("u", "p"), JSON: []byte(`{"b":1}`)}
	if err := e.Once(t.Context(), r, reader(e, &answer{})); err != nil {
		t.Fatal(err)
	}
	if got.Get("Content-Type") != "application/json" || got.Get("User-Agent") != "agent/1" || got.Get("Authorization") != "Basic dTpw" ||
		string(body) != `{"b":1}` || query != "x=a+b" {
		t.Errorf("header %v, query %q, body %q", got, query, body)
	}
}

func TestRepeatSendsBodyAgain(t *testing.T) {
	var bodies []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		text(503, "")(w, r)
	})
	e := s.endpoint(t, func(c *Config) { c.Retry.Max = 1 })
	_ = e.Repeat(t.Context(), Request{Method: http.MethodPost, Path: "/", JSON: []byte(`"x"`)}, reader(e, &answer{}))
	if len(bodies) != 2 || bodies[1] != `"x"` {
		t.Errorf("bodies %q", bodies)
	}
}

func TestPausesDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		e := serveInFakeTime(t, Retry{}, func(w http.ResponseWriter, r *http.Request) {
			at = append(at, time.Since(start))
			text(503, "")(w, r)
		})
		if err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{})); !errors.Is(err, errStatus) {
			t.Errorf("error %v", err)
		}
		want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond, 12500 * time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("asked at %v, want %v", at, want)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"2": 2 * time.Second, "3600": 5 * time.Second, "soon": 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			e := serveInFakeTime(t, Retry{}, inTurn(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", header)
				text(503, "")(w, r)
			}, text(200, "{}")))
			start := time.Now()
			err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{}))
			if d := time.Since(start); err != nil || d != want {
				t.Errorf("Retry-After %s: error %v after %s, want %s", header, err, d, want)
			}
		})
	}
}

func TestTotalLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := serveInFakeTime(t, Retry{Max: 1000}, text(503, ""))
		start := time.Now()
		if err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{})); !errors.Is(err, errStatus) {
			t.Errorf("error %v, want the last failure", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("it took %s", d)
		}
	})
}

func TestAttemptLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := serveInFakeTime(t, Retry{}, inTurn(hang, text(200, `{"value":"yes"}`)))
		start := time.Now()
		var v answer
		if err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &v)); err != nil || v.Value != "yes" {
			t.Errorf("error %v", err)
		}
		if d := time.Since(start); d != 30500*time.Millisecond {
			t.Errorf("it took %s", d)
		}
	})
}

func TestCancelEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("interrupted by the user")
		requests := 0
		e := serveInFakeTime(t, Retry{}, func(w http.ResponseWriter, r *http.Request) {
			requests++
			text(503, "")(w, r)
		})
		start := time.Now()
		time.AfterFunc(100*time.Millisecond, func() { cancel(stopped) })
		err := e.Repeat(ctx, Request{Path: "/"}, reader(e, &answer{}))
		if d := time.Since(start); !errors.Is(err, stopped) || requests != 1 || d != 100*time.Millisecond {
			t.Errorf("error %v after %d requests and %s", err, requests, d)
		}
	})
}

func TestDeadlineKeepsItsCauseAndTheLastFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := serveInFakeTime(t, Retry{}, text(503, ""))
		limit := errors.New("timeouts.read passed")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, limit)
		defer cancel()
		err := e.Repeat(ctx, Request{Path: "/"}, reader(e, &answer{}))
		var unreachable *UnreachableError
		if !errors.Is(err, limit) || !errors.Is(err, errStatus) || !errors.As(err, &unreachable) || unreachable.Attempts != 2 {
			t.Errorf("error %v", err)
		}
	})
}

func TestRetryDefaults(t *testing.T) {
	if r := (Retry{}).withDefaults(); r != (Retry{Max: 5, WaitMin: 500 * time.Millisecond, WaitMax: 5 * time.Second, Attempt: 30 * time.Second, Total: time.Minute}) {
		t.Errorf("%+v", r)
	}
	if r := (Retry{Max: -1}).withDefaults(); r.Max != 0 {
		t.Errorf("%+v", r)
	}
}
