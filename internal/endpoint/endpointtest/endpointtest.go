// Package endpointtest has the servers, and the ways to answer well or badly, that the tests of the clients share.
// Only tests import it; it imports none of this module's packages.
package endpointtest

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// NewServer is a server that is not started yet, is silent, and ends with the test.
func NewServer(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s
}

// CA is the certificate authority of a server with TLS, PEM text.
func CA(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// Answer sends a body: a text as it is, all else as JSON.
func Answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text, ok := body.(string); ok {
		_, _ = io.WriteString(w, text)
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

// Always gives the same answer to every request.
func Always(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { Answer(w, status, body) }
}

// Lose drops the connection without an answer.
func Lose(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// InTurn answers the first request with the first handler and so on; the last one goes on answering.
func InTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		handlers[min(int(n.Add(1)), len(handlers))-1](w, r)
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

// InFakeTime has every connection of the transport lead to the handler, without TLS, within a bubble of synctest.
func InFakeTime(t *testing.T, transport *http.Transport, h http.Handler) {
	t.Helper()
	p := make(pipes)
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Hour}
	go func() { _ = s.Serve(p) }()
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
}

// envMeasured tells a test's program that it was started for one test.
const envMeasured = "ENDPOINTTEST_MEASURED"

// Measured reports whether the test is the only one of its process, with garbage
// collected as in the provider. If not, it is run so, and fails if that does.
func Measured(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envMeasured) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$") //nolint:gosec // this program itself
	cmd.Env = append(os.Environ(), envMeasured+"=yes", "GOGC=100")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// Mapped is the memory that the process has had from the operating system, in MiB.
func Mapped() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys >> 20
}
