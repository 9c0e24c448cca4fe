package dtr

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
)

// quick keeps the pauses of tests out of sight.
var quick = endpoint.Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, Attempt: 10 * time.Second, Total: time.Minute}

var answer, always, lose = endpointtest.Answer, endpointtest.Always, endpointtest.Lose

// server answers over TLS and keeps what it is asked.
type server struct {
	*httptest.Server
	ca string

	mu       sync.Mutex
	requests []string // "GET /path?query"
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = endpointtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		s.mu.Unlock()
		h(w, r)
	}))
	s.StartTLS()
	s.ca = endpointtest.CA(s.Server)
	return s
}

func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *server) client(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	c := Config{URL: s.URL, CACert: s.ca, Username: "admin", Password: "pa55word", Retry: quick}
	for _, f := range change {
		f(&c)
	}
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
