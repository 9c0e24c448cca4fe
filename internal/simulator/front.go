package simulator

import (
	"bytes"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// Request is one request that was made to the cluster.
type Request struct {
	Service   string // one of the Service constants
	Method    string
	Path      string // as sent
	Query     string
	UserAgent string
	Status    int // 0 when there was no answer, or not yet
	At        time.Time
}

// Bootstrapper tells a request of the simulated bootstrapper from one of the
// program under test.
func (r Request) Bootstrapper() bool { return strings.HasPrefix(r.UserAgent, standin.UserAgent) }

// front stands before every handler: it records requests, makes injected
// faults happen, and knows when the last request has ended.
type front struct {
	injector

	mu       sync.Mutex
	requests []*Request
	closed   bool
	active   sync.WaitGroup
}

// Requests lists every request so far, oldest first.
func (c *Cluster) Requests() []Request {
	c.front.mu.Lock()
	defer c.front.mu.Unlock()
	all := make([]Request, len(c.front.requests))
	for i, r := range c.front.requests {
		all[i] = *r
	}
	return all
}

// ResetRequests forgets the requests so far.
func (c *Cluster) ResetRequests() {
	c.front.mu.Lock()
	defer c.front.mu.Unlock()
	c.front.requests = nil
}

// close refuses further requests and waits for those under way.
func (f *front) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.active.Wait()
}

func (f *front) enter(req *Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.active.Add(1)
	f.requests = append(f.requests, req)
	return true
}

// wrap puts the front before a handler; service names what a path belongs to.
func (f *front) wrap(service func(path string) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &Request{
			Service: service(r.URL.Path), Method: r.Method, Path: r.URL.Path,
			Query: r.URL.RawQuery, UserAgent: r.UserAgent(), At: time.Now(),
		}
		if !f.enter(req) {
			panic(http.ErrAbortHandler)
		}
		defer f.active.Done()
		sw := &statusWriter{ResponseWriter: w, record: func(status int) {
			f.mu.Lock()
			defer f.mu.Unlock()
			req.Status = status
		}}
		fault, ok := f.pick(req.Service, req.Method, withoutVersion(req.Path), req.Bootstrapper())
		if !ok {
			next.ServeHTTP(sw, r)
			return
		}
		fault.happen(sw, r, next)
	})
}

// happen answers the request the way the fault says.
func (f Fault) happen(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-timer.C:
		}
	}
	answer := &answerBuffer{header: http.Header{}, status: http.StatusOK}
	if f.AfterEffect || f.Truncate {
		next.ServeHTTP(answer, r)
	}
	switch {
	case f.Truncate:
		maps.Copy(w.Header(), answer.header)
		w.Header().Set("Content-Length", strconv.Itoa(answer.body.Len()))
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes()[:answer.body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case f.Garbage:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("<html>\x00 this is not JSON"))
	case f.Status != 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	case f.Reset || f.AfterEffect:
		resetConnection(w)
	default:
		next.ServeHTTP(w, r)
	}
}

// resetConnection drops the connection without an answer, with a TCP reset
// where it is TCP.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // not closed as TLS would be: that says goodbye
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

var versionPrefix = regexp.MustCompile(`^/v([0-9]+\.[0-9]+)(/.*)$`)

func withoutVersion(path string) string {
	if m := versionPrefix.FindStringSubmatch(path); m != nil {
		return m[2]
	}
	return path
}

// statusWriter notes the status that a handler answers with.
type statusWriter struct {
	http.ResponseWriter
	record func(status int)
	wrote  bool
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote {
		w.wrote = true
		w.record(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if !w.wrote {
		w.wrote = true
		w.record(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// answerBuffer takes an answer that is not to reach the client as it is.
type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answerBuffer) Header() http.Header         { return a.header }
func (a *answerBuffer) WriteHeader(status int)      { a.status = status }
func (a *answerBuffer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answerBuffer) Flush()                      {}
