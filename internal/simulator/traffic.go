package simulator

import (
	"net/http"
	"path"
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
	Client    string // its address, another one for each connection
	Status    int    // 0 when there was no answer, or not yet
	At        time.Time
}

// Bootstrapper tells a request of the simulated bootstrapper from one of the
// program under test.
func (r Request) Bootstrapper() bool { return strings.HasPrefix(r.UserAgent, standin.UserAgent) }

// traffic is every request to the cluster: it records them, makes injected faults
// happen, and knows when the last one has ended.
type traffic struct {
	injector

	mu       sync.Mutex
	requests []*Request
	closed   bool
	active   sync.WaitGroup
}

// Requests lists every request so far, oldest first.
func (t *traffic) Requests() []Request {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Request, len(t.requests))
	for i, r := range t.requests {
		all[i] = *r
	}
	return all
}

// ResetRequests forgets the requests so far.
func (t *traffic) ResetRequests() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests = nil
}

// drain refuses further requests and waits for those under way.
func (t *traffic) drain() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.active.Wait()
}

func (t *traffic) enter(req *Request) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.active.Add(1)
	t.requests = append(t.requests, req)
	return true
}

// wrap records and disturbs the requests to a handler; service names the service that
// a path belongs to.
func (t *traffic) wrap(service func(path string) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &Request{
			Service: service(r.URL.Path), Method: r.Method, Path: r.URL.Path,
			Query: r.URL.RawQuery, UserAgent: r.UserAgent(), Client: r.RemoteAddr, At: time.Now(),
		}
		if !t.enter(req) {
			panic(http.ErrAbortHandler)
		}
		defer t.active.Done()
		sw := &statusWriter{ResponseWriter: w, record: func(status int) {
			t.mu.Lock()
			defer t.mu.Unlock()
			req.Status = status
		}}
		fault, ok := t.pick(req, r)
		if !ok {
			next.ServeHTTP(sw, r)
			return
		}
		fault.happen(sw, r, next)
	})
}

// Inject makes the fault happen from now on. Faults injected earlier come
// first. A malformed Path panics: it would never match.
func (t *traffic) Inject(f Fault) (remove func()) {
	if _, err := path.Match(f.Path, ""); err != nil {
		panic("simulator: fault with a malformed path pattern: " + f.Path)
	}
	return t.inject(f)
}

// statusWriter records the status that a handler answers with.
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
