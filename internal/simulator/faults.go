package simulator

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Services that a [Fault] or a [Request] belongs to.
const (
	ServiceDTR    = "dtr"
	ServiceUCP    = "ucp"    // UCP's own API: login, CA, settings
	ServiceEngine = "engine" // the Docker Engine API, through UCP or directly
)

// Fault is something that goes wrong with matching requests. Empty matchers
// match everything; the first fault that matches is the one that happens.
type Fault struct {
	Service string // one of the Service constants
	Method  string
	Path    string // pattern of path.Match; Engine API paths without the /vX.Y prefix

	// Matches, which may be nil, looks at what the other matchers let through, at a
	// query for instance.
	Matches func(*http.Request) bool

	// Bootstrapper makes the fault happen to the bootstrapper's own requests,
	// and to no others. Without it they are left alone.
	Bootstrapper bool

	Delay    time.Duration // real time to wait first; alone, the request is then served
	Status   int           // answer with this status and Body
	Body     string
	Header   http.Header // of the answer with Status
	Reset    bool        // reset the connection; a Go client repeats a GET by itself if it had used it before
	Garbage  bool        // answer 200 with a body that is not JSON
	Truncate bool        // announce the whole answer, send half of it, close

	// Rewrite carries the request out and changes the answer. It must not be used
	// on requests whose answer is a stream.
	Rewrite func(status int, body []byte) (int, []byte)

	// AfterEffect carries the request out and loses the answer: the connection
	// is reset unless Status, Garbage or Truncate says otherwise.
	AfterEffect bool

	Skip  int // how many requests that match are let pass first
	Times int // how often; 0 is until removed
}

func (f Fault) matches(req *Request, r *http.Request) bool {
	if f.Bootstrapper != req.Bootstrapper() ||
		f.Service != "" && f.Service != req.Service ||
		f.Method != "" && f.Method != req.Method {
		return false
	}
	ok, _ := path.Match(f.Path, withoutVersion(req.Path))
	return (ok || f.Path == "") && (f.Matches == nil || f.Matches(r))
}

// happen answers the request as the fault demands.
func (f Fault) happen(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if f.Delay > 0 {
		// That a client has hung up shows only once the body is read. Its request is then not
		// carried out later, whenever that would be.
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-timer.C:
		}
	}
	answer := &answerBuffer{header: http.Header{}, status: http.StatusOK}
	if f.AfterEffect || f.Truncate || f.Rewrite != nil {
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
	case f.Rewrite != nil:
		status, body := f.Rewrite(answer.status, answer.body.Bytes())
		maps.Copy(w.Header(), answer.header)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body)
	case f.Garbage:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("<html>\x00 this is not JSON"))
	case f.Status != 0:
		maps.Copy(w.Header(), f.Header)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
	case f.Reset || f.AfterEffect:
		resetConnection(w)
	default:
		next.ServeHTTP(w, r)
	}
}

// answerBuffer keeps an answer that does not reach the client unchanged.
type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answerBuffer) Header() http.Header         { return a.header }
func (a *answerBuffer) WriteHeader(status int)      { a.status = status }
func (a *answerBuffer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answerBuffer) Flush()                      {}

// injector holds the injected faults and picks the one that a request meets.
type injector struct {
	mu     sync.Mutex
	faults []*Fault
}

func (i *injector) inject(f Fault) (remove func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.faults = append(i.faults, &f)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.faults = slices.DeleteFunc(i.faults, func(o *Fault) bool { return o == &f })
	}
}

func (i *injector) pick(req *Request, r *http.Request) (Fault, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, f := range i.faults {
		if !f.matches(req, r) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		picked := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				i.faults = slices.Delete(i.faults, n, n+1)
			}
		}
		return picked, true
	}
	return Fault{}, false
}
