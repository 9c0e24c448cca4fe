package ucp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
)

// quick keeps the pauses of tests out of sight.
var quick = endpoint.Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, Attempt: 10 * time.Second, Total: time.Minute}

// handlers answer by method and path, the Engine API's without the version: "GET /info".
type handlers map[string]http.HandlerFunc

var answer, always, lose, inTurn = endpointtest.Answer, endpointtest.Always, endpointtest.Lose, endpointtest.InTurn

// server is a UCP, or an engine, that keeps what it is asked.
type server struct {
	*httptest.Server
	t   *testing.T
	ca  string
	api string // Api-Version of the ping; empty for none

	mu       sync.Mutex
	handlers handlers
	requests []string        // "GET /v1.30/info?query"
	bodies   []string        // of the requests, in the same order
	tokens   map[string]bool // that are good; nil when no login is needed
	logins   int
}

// newServer is not started yet.
func newServer(t *testing.T, api string, h handlers) *server {
	t.Helper()
	s := &server{t: t, api: api, handlers: h}
	s.Server = endpointtest.NewServer(t, s)
	return s
}

// serveUCP starts a UCP with the Engine API behind a login.
func serveUCP(t *testing.T, api string, h handlers) *server {
	t.Helper()
	s := newServer(t, api, h)
	s.tokens = map[string]bool{}
	s.StartTLS()
	s.ca = endpointtest.CA(s.Server)
	return s
}

var versionPrefix = regexp.MustCompile(`^/v1\.\d+/`)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := ""
	if r.Header.Get("Content-Type") == "application/json" {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
	}
	path := versionPrefix.ReplaceAllString(r.URL.Path, "/")
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	s.bodies = append(s.bodies, body)
	h, ok := s.handlers[r.Method+" "+path]
	open := s.tokens == nil || path == "/_ping" || path == "/ca" || path == "/auth/login" || s.tokens[r.Header.Get("Authorization")]
	s.mu.Unlock()
	switch {
	case !open:
		answer(w, 401, `{"message":"unauthorized"}`)
	case ok:
		h(w, r)
	case path == "/_ping":
		if s.api != "" {
			w.Header().Set("Api-Version", s.api)
		}
		_, _ = io.WriteString(w, "OK")
	case path == "/auth/login":
		s.login(w, body)
	default:
		answer(w, 404, `{"message":"page not found"}`)
	}
}

func (s *server) login(w http.ResponseWriter, body string) {
	var login struct{ Username, Password string }
	_ = json.Unmarshal([]byte(body), &login)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
	if login.Username != "admin" || login.Password != "pa55word" {
		answer(w, 401, `{"message":"unauthorized"}`)
		return
	}
	token := fmt.Sprintf("token%d", s.logins)
	s.tokens["Bearer "+token] = true
	answer(w, 200, map[string]string{"auth_token": token})
}

// expire makes every token so far worthless.
func (s *server) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// asked lists the requests whose text begins so.
func (s *server) asked(prefix string) (requests []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.HasPrefix(r, prefix) {
			requests = append(requests, r)
		}
	}
	return requests
}

// body is that of the first such request.
func (s *server) body(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.requests, func(r string) bool { return strings.HasPrefix(r, prefix) })
	if i < 0 {
		return ""
	}
	return s.bodies[i]
}

func (s *server) client(change ...func(*Config)) *Client {
	s.t.Helper()
	c := Config{URL: s.URL, CACert: s.ca, Username: "admin", Password: "pa55word", Retry: quick, Patience: 10 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	client, err := New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// engine is the Engine API through the login.
func (s *server) engine() *Engine {
	s.t.Helper()
	e, err := s.client().Engine(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// recorded is what an Engine 17.06 says.
func recorded(name string) string {
	b, err := os.ReadFile(filepath.Join("testdata", "engine-17.06", name))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// file answers with what an Engine 17.06 says.
func file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Tue, 26 Jun 2018 08:10:05 GMT")
		answer(w, 200, recorded(name))
	}
}

// frame writes text as an engine multiplexes the output of a container without a terminal: 1 is stdout, 2 is stderr.
func frame(w io.Writer, stream byte, text string) {
	_, _ = w.Write(append([]byte{stream, 0, 0, 0, 0, 0, byte(len(text) >> 8), byte(len(text))}, text...))
}
