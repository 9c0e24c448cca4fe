package dtr

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// queue is a job queue behind the API. Its jobs are numbered in the order they were made.
type queue struct {
	mu   sync.Mutex
	jobs []map[string]any // newest first
	// most caps a page, between is called after each page.
	most    int
	between func(*queue)
	post    []func(w http.ResponseWriter, q *queue)
	posts   int
}

func newQueue(jobs int) *queue {
	q := &queue{most: 1000}
	for range jobs {
		q.add("onlinegc", "")
	}
	return q
}

// add makes a job; the lock is not needed before the server runs.
func (q *queue) add(action, retryFrom string) map[string]any {
	id := strconv.Itoa(len(q.jobs) + 1)
	if retryFrom == "" {
		retryFrom = id
	}
	j := map[string]any{"id": id, "retryFromID": retryFrom, "action": action, "status": "waiting"}
	q.jobs = slices.Insert(q.jobs, 0, j)
	return j
}

func (q *queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.Method == http.MethodPost {
		i := min(q.posts, len(q.post)-1)
		q.posts++
		q.post[i](w, q)
		return
	}
	start, _ := strconv.Atoi(r.URL.Query().Get("start"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	action := r.URL.Query().Get("action")
	page := []map[string]any{}
	for _, j := range q.jobs {
		if action == "any" || action == j["action"] {
			page = append(page, j)
		}
	}
	page = page[min(start, len(page)):]
	answer(w, 200, map[string]any{"jobs": page[:min(limit, q.most, len(page))]})
	if q.between != nil {
		q.between(q)
	}
}

// numbers lists from down to 1.
func numbers(from int) (ids []string) {
	for i := from; i > 0; i-- {
		ids = append(ids, strconv.Itoa(i))
	}
	return ids
}

func ids(jobs []Job) (ids []string) {
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

func TestJobs(t *testing.T) {
	appear := func(n int) func(*queue) {
		return func(q *queue) {
			for range n {
				q.add("onlinegc", "")
			}
		}
	}
	tests := map[string]struct {
		queue    *queue
		filter   JobFilter
		want     []string
		requests int
	}{
		"none":                 {newQueue(0), JobFilter{}, nil, 1},
		"a few":                {newQueue(3), JobFilter{}, numbers(3), 1},
		"a page":               {newQueue(100), JobFilter{}, numbers(100), 2},
		"three pages":          {newQueue(250), JobFilter{}, numbers(250), 4},
		"the newest":           {newQueue(250), JobFilter{Limit: 2}, []string{"250", "249"}, 1},
		"more than a page":     {newQueue(250), JobFilter{Limit: 150}, numbers(250)[:150], 2},
		"more than there are":  {newQueue(5), JobFilter{Limit: 50}, numbers(5), 1},
		"of an action":         {newQueue(5), JobFilter{Action: "other"}, nil, 1},
		"a server that caps":   {&queue{jobs: newQueue(95).jobs, most: 10}, JobFilter{}, numbers(95), 10},
		"one appears meantime": {&queue{jobs: newQueue(250).jobs, most: 1000, between: appear(1)}, JobFilter{}, numbers(250), 4},
		"many appear":          {&queue{jobs: newQueue(150).jobs, most: 1000, between: appear(60)}, JobFilter{}, numbers(150), 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.queue.ServeHTTP)
			jobs, err := s.client(t).Jobs(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, ids(jobs)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if n := len(s.asked()); n != tt.requests {
				t.Errorf("%d requests, want %d: %q", n, tt.requests, s.asked())
			}
		})
	}
	t.Run("query", func(t *testing.T) {
		s := serve(t, newQueue(1).ServeHTTP)
		if _, err := s.client(t).Jobs(t.Context(), JobFilter{Action: "gc", Limit: 7}); err != nil {
			t.Fatal(err)
		}
		if a := s.asked()[0]; a != "GET /api/v0/jobs?action=gc&limit=7&running=any&start=0&worker=any" {
			t.Error(a)
		}
	})
	t.Run("a server that ignores start", func(t *testing.T) {
		page := newQueue(100).jobs
		s := serve(t, always(200, map[string]any{"jobs": page}))
		jobs, err := s.client(t).Jobs(t.Context(), JobFilter{})
		if err != nil || len(jobs) != 100 || len(s.asked()) != 2 {
			t.Errorf("%d jobs, error %v, %d requests", len(jobs), err, len(s.asked()))
		}
	})
	t.Run("a page that fails", func(t *testing.T) {
		s := serve(t, always(403, `{"errors":[{"code":"NOT_AUTHORIZED"}]}`))
		if jobs, err := s.client(t).Jobs(t.Context(), JobFilter{}); err == nil {
			t.Errorf("%v and no error", jobs)
		}
	})
}

func TestJobErrors(t *testing.T) {
	s := serve(t, always(404, `{"errors":[{"code":"NO_SUCH_JOB","message":"no such job"}]}`))
	_, err := s.client(t).Job(t.Context(), "1")
	var api *APIError
	if !errors.As(err, &api) || api.Code != CodeNoSuchJob {
		t.Errorf("error %v", err)
	}
	for name, f := range map[string]func(*Client) error{
		"job":  func(c *Client) error { _, err := c.Job(t.Context(), ""); return err },
		"logs": func(c *Client) error { _, err := c.JobLogs(t.Context(), "", 0); return err },
		"run":  func(c *Client) error { _, err := c.RunJob(t.Context(), "", nil); return err },
	} {
		s := serve(t, always(200, "{}"))
		if err := f(s.client(t)); err == nil || len(s.asked()) > 0 {
			t.Errorf("%s without an id: error %v, asked %q", name, err, s.asked())
		}
	}
}

// What can become of a POST.
var (
	accepted = func(w http.ResponseWriter, q *queue) { answer(w, 202, q.add("onlinegc", "")) }
	// Carried out, the answer lost in one way or another.
	lost      = func(w http.ResponseWriter, q *queue) { q.add("onlinegc", ""); lose(w, nil) }
	garbled   = func(w http.ResponseWriter, q *queue) { q.add("onlinegc", ""); answer(w, 202, "<html>") }
	emptied   = func(w http.ResponseWriter, q *queue) { q.add("onlinegc", ""); answer(w, 202, "{}") }
	gateway   = func(w http.ResponseWriter, q *queue) { q.add("onlinegc", ""); answer(w, 504, "") }
	retriedBy = func(w http.ResponseWriter, q *queue) {
		j := q.add("onlinegc", "")
		q.add("onlinegc", j["id"].(string))
		lose(w, nil)
	}
	// Not carried out.
	dropped = func(w http.ResponseWriter, _ *queue) { lose(w, nil) }
	busy    = func(w http.ResponseWriter, _ *queue) { answer(w, 503, "") }
	refused = func(w http.ResponseWriter, _ *queue) { answer(w, 403, `{"errors":[{"code":"NOT_AUTHORIZED"}]}`) }
	// Not carried out, while DTR does something that looks like it.
	droppedBesideRetry = func(w http.ResponseWriter, q *queue) { q.add("onlinegc", "3"); lose(w, nil) }
	droppedBesideOther = func(w http.ResponseWriter, q *queue) { q.add("update_vuln_db", ""); lose(w, nil) }
)

func TestRunJob(t *testing.T) {
	type post = func(http.ResponseWriter, *queue)
	tests := map[string]struct {
		post  []post
		want  string // id; "lost" for a LostJobError, "error" for another one
		posts int
	}{
		"accepted":                     {[]post{accepted}, "4", 1},
		"answer lost":                  {[]post{lost}, "4", 1},
		"answer garbled":               {[]post{garbled}, "4", 1},
		"answer without a job":         {[]post{emptied}, "4", 1},
		"gateway gave up waiting":      {[]post{gateway}, "4", 1},
		"lost, and tried again by DTR": {[]post{retriedBy}, "4", 1},
		"busy, or late":                {[]post{busy}, "lost", 1},
		"not there, beside a retry":    {[]post{droppedBesideRetry}, "lost", 1},
		"not there, beside another":    {[]post{droppedBesideOther}, "lost", 1},
		"not there":                    {[]post{dropped}, "lost", 1},
		"refused":                      {[]post{refused}, "error", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := newQueue(3)
			q.post = tt.post
			s := serve(t, q.ServeHTTP)
			j, err := s.client(t).RunJob(t.Context(), "onlinegc", nil)
			got := j.ID
			if err != nil {
				got = "error"
				if _, ok := errors.AsType[*LostJobError](err); ok {
					got = "lost"
				}
			}
			if got != tt.want || q.posts != tt.posts {
				t.Errorf("%s after %d POSTs (%v), want %s after %d", got, q.posts, err, tt.want, tt.posts)
			}
		})
	}
}

// TestCreateOnceThatNeverLeft holds that what had no connection to take is sent again,
// where nothing else is.
func TestCreateOnceThatNeverLeft(t *testing.T) {
	c := serve(t, always(200, "{}")).client(t)
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for times, want := range map[int]int{1: 2, 9: 2} {
		sent := 0
		_, err := createOnce(t.Context(), c, neverLeft,
			func(context.Context) (int, error) {
				if sent++; sent <= times {
					return 0, refused
				}
				return 1, nil
			},
			func(context.Context) (*int, error) { return nil, nil },
			func(err error) error { return &LostJobError{Err: err} })
		if _, lost := errors.AsType[*LostJobError](err); sent != want || lost || (err == nil) != (times == 1) {
			t.Errorf("refused %d times: sent %d times, error %v", times, sent, err)
		}
	}
}

func TestOldestNewJob(t *testing.T) {
	known := map[string]bool{"2": true}
	tests := map[string]struct {
		jobs []Job // newest first
		want string
	}{
		"none":                     {[]Job{{ID: "2"}}, ""},
		"one":                      {[]Job{{ID: "3", RetryFromID: "3"}, {ID: "2"}}, "3"},
		"not said what it retries": {[]Job{{ID: "3"}, {ID: "2"}}, "3"},
		"older than what is known": {[]Job{{ID: "2"}, {ID: "1"}}, ""},
		"and its own retries":      {[]Job{{ID: "5", RetryFromID: "3"}, {ID: "4", RetryFromID: "3"}, {ID: "3", RetryFromID: "3"}, {ID: "2"}}, "3"},
		"a retry of a known one":   {[]Job{{ID: "3", RetryFromID: "2"}, {ID: "2"}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if j := oldestNewJob(tt.jobs, known); j != nil {
				got = j.ID
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestRunJobCannotLook(t *testing.T) {
	posted := false
	q := newQueue(3)
	q.post = []func(http.ResponseWriter, *queue){lost}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && posted {
			answer(w, 503, "")
			return
		}
		posted = r.Method == http.MethodPost
		q.ServeHTTP(w, r)
	})
	_, err := s.client(t).RunJob(t.Context(), "onlinegc", nil)
	var unknown *LostJobError
	if !errors.As(err, &unknown) || unknown.Action != "onlinegc" || q.posts != 1 {
		t.Errorf("error %v after %d POSTs", err, q.posts)
	}
}

func TestRunJobBeforeAnything(t *testing.T) {
	s := serve(t, always(401, `{"errors":[{"code":"NOT_AUTHENTICATED"}]}`))
	_, err := s.client(t).RunJob(t.Context(), "onlinegc", nil)
	var api *APIError
	if !errors.As(err, &api) || !api.Unauthorized() {
		t.Errorf("error %v", err)
	}
	for _, r := range s.asked() {
		if r[:4] == "POST" {
			t.Error("a POST was sent")
		}
	}
}

func TestRunJobRequest(t *testing.T) {
	var got string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answer(w, 200, `{"jobs":[]}`)
			return
		}
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		got = fmt.Sprintf("%s %s %s", r.URL.Path, r.Header.Get("Content-Type"), body[:n])
		answer(w, 202, `{"id":"1","action":"onlinegc","status":"waiting"}`)
	})
	if _, err := s.client(t).RunJob(t.Context(), "onlinegc", nil); err != nil {
		t.Fatal(err)
	}
	if want := `/api/v0/jobs application/json {"action":"onlinegc"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
