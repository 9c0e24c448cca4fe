package endpoint

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// quick keeps the pauses of tests out of sight.
var quick = Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, Attempt: 10 * time.Second, Total: time.Minute}

var inTurn = endpointtest.InTurn

// server answers over TLS and counts what it is asked.
type server struct {
	*httptest.Server
	ca       string
	requests atomic.Int32
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = endpointtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h(w, r)
	}))
	s.StartTLS()
	s.ca = endpointtest.CA(s.Server)
	return s
}

func (s *server) endpoint(t *testing.T, change ...func(*Config)) *Endpoint {
	t.Helper()
	c := Config{Service: "Test", URL: s.URL, CACert: s.ca, Retry: quick, Secrets: scrub.NewSecrets("pa55word")}
	for _, f := range change {
		f(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		_ = c.NetConn().(*net.TCPConn).SetLinger(0)
	}
	_ = conn.Close()
}

func truncate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"half`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
}

type answer struct{ Value string }

var errStatus = errors.New("not a success")

// reader decodes a success and refuses anything else.
func reader(e *Endpoint, v *answer) func(*Answer) error {
	return func(a *Answer) error {
		if !a.OK() {
			return errStatus
		}
		return e.Decode(a, v)
	}
}

// serveInFakeTime is an endpoint before the handler, without TLS, in a bubble of synctest.
func serveInFakeTime(t *testing.T, retry Retry, h http.HandlerFunc) *Endpoint {
	t.Helper()
	transport := NewTransport()
	endpointtest.InFakeTime(t, transport, h)
	return Over(transport, &url.URL{Scheme: "http", Host: "test.example.com"}, Config{Service: "Test", Retry: retry})
}
