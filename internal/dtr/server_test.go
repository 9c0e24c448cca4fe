package dtr

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// quick keeps the pauses of tests out of sight.
var quick = RetryConfig{Max: 3, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, Attempt: 10 * time.Second, Total: time.Minute}

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
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		s.mu.Unlock()
		h(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
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

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text, ok := body.(string); ok {
		_, _ = io.WriteString(w, text)
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

func always(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, body) }
}

// lose drops the connection without an answer.
func lose(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
