package endpoint

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// quick keeps the pauses of tests out of sight.
var quick = Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, Attempt: 10 * time.Second, Total: time.Minute}

// server answers over TLS and counts what it is asked.
type server struct {
	*httptest.Server
	ca       string
	requests atomic.Int32
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return s
}

func (s *server) endpoint(t *testing.T, change ...func(*Config)) *Endpoint {
	t.Helper()
	c := Config{Service: "Test", URL: s.URL, CACert: s.ca, Retry: quick, Secrets: []string{"pa55word"}}
	for _, f := range change {
		f(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// inTurn answers the first request with the first handler and so on; the last one goes on answering.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		i := min(int(n.Add(1)), len(handlers)) - 1
		handlers[i](w, r)
	}
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

// pipes is a listener within the process, for tests in fake time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// serveInFakeTime is an endpoint before the handler, without TLS, in a bubble of synctest.
func serveInFakeTime(t *testing.T, retry Retry, h http.HandlerFunc) *Endpoint {
	t.Helper()
	p := make(pipes)
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Hour}
	go func() { _ = s.Serve(p) }()
	transport := NewTransport()
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		p <- theirs
		return ours, nil
	}
	t.Cleanup(func() {
		close(p)
		_ = s.Close()
		transport.CloseIdleConnections()
	})
	return Over(transport, &url.URL{Scheme: "http", Host: "test.example.com"}, Config{Service: "Test", Retry: retry})
}
