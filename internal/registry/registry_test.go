package registry_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	upstream "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/registry"
)

const (
	user, password = "admin", "pa55word"
	token          = "a-token"
)

// server is a registry over TLS on loopback. What stands in front of it may ask
// for a login, or page the list.
type server struct {
	*httptest.Server
	ca   string
	back *httptest.Server // the registry without what stands in front of it

	mu       sync.Mutex
	requests []*http.Request
}

func serve(t *testing.T, front func(s *server, w http.ResponseWriter, r *http.Request, next http.Handler)) *server {
	t.Helper()
	next := upstream.New(upstream.Logger(log.New(io.Discard, "", 0)))
	s := &server{back: httptest.NewServer(next)}
	t.Cleanup(s.back.Close)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		front(s, w, r, next)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return s
}

func (s *server) host() string { return strings.TrimPrefix(s.URL, "https://") }

func (s *server) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// push puts an image there under some tags.
func (s *server) push(t *testing.T, repository string, tags ...string) {
	t.Helper()
	for _, tag := range tags {
		ref, err := name.ParseReference(strings.TrimPrefix(s.back.URL, "http://")+"/"+repository+":"+tag, name.Insecure)
		if err == nil {
			err = remote.Write(ref, empty.Image)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *server) config() registry.Config {
	return registry.Config{CACert: s.ca, Retry: endpoint.Retry{Max: 2, WaitMin: time.Millisecond, WaitMax: time.Millisecond}}
}

func open(_ *server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(w, r)
}

// basic asks for the user name and the password.
func basic(_ *server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if u, p, _ := r.BasicAuth(); u != user || p != password {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	next.ServeHTTP(w, r)
}

// bearer asks for a token, which is handed out at the same address. With a login
// it is asked for with it.
func bearer(login bool) func(*server, http.ResponseWriter, *http.Request, http.Handler) {
	return func(s *server, w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path == "/token" {
			u, p, _ := r.BasicAuth()
			q := r.URL.Query()
			if login && (u != user || p != password) || q.Get("service") != "here" || q.Get("scope") != "repository:mirror/dtr:pull" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="here",scope="repository:mirror/dtr:pull"`, s.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// paged gives two tags a page.
func paged(link string) func(*server, http.ResponseWriter, *http.Request, http.Handler) {
	return func(_ *server, w http.ResponseWriter, r *http.Request, next http.Handler) {
		recorder := httptest.NewRecorder()
		whole := r.Clone(r.Context())
		whole.URL.RawQuery = ""
		next.ServeHTTP(recorder, whole)
		var list struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		}
		_ = json.Unmarshal(recorder.Body.Bytes(), &list)
		from := slices.Index(list.Tags, r.URL.Query().Get("last")) + 1
		to := min(from+2, len(list.Tags))
		if to < len(list.Tags) {
			w.Header().Set("Link", fmt.Sprintf(link, list.Tags[to-1]))
		}
		list.Tags = list.Tags[from:to]
		_ = json.NewEncoder(w).Encode(list)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	want := []string{"2.5.6", "2.6.15", "2.7.8", "latest", "nightly"}
	for name, c := range map[string]struct {
		front    func(*server, http.ResponseWriter, *http.Request, http.Handler)
		login    bool
		requests int
	}{
		"open":               {open, false, 1},
		"basic":              {basic, true, 2},
		"token":              {bearer(false), false, 3},
		"token with a login": {bearer(true), true, 3},
		"paged":              {paged(`</v2/mirror/dtr/tags/list?n=2&last=%s>; rel="next"`), false, 3},
		"paged, relative":    {paged(`<list?n=2&last=%s>;rel=next`), false, 3},
		"busy at first": {func(s *server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if len(s.asked()) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		}, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.front)
			s.push(t, "mirror/dtr", want...)
			config := s.config()
			if c.login {
				config.Username, config.Password = user, password
			}
			got, err := registry.Tags(t.Context(), s.host()+"/mirror/dtr", config)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("tags %q, error %v", got, err)
			}
			if n := len(s.asked()); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

func TestNoTags(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, bearer(false))
	for name, c := range map[string]struct {
		front      func(*server, http.ResponseWriter, *http.Request, http.Handler)
		repository string // "" is the usual one
		login      bool
		want       string
	}{
		"no such repository":     {open, "mirror/other", false, "status 404"},
		"a tag":                  {open, "mirror/dtr:2.6.15", false, "it has a tag or a digest"},
		"no login":               {basic, "", false, "status 401"},
		"no login for the token": {bearer(true), "", false, "status 401"},
		"another kind of login": {func(_ *server, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("WWW-Authenticate", "Negotiate x")
			w.WriteHeader(http.StatusUnauthorized)
		}, "", true, `a login of kind "Negotiate"`},
		"a token service in the clear": {func(_ *server, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://tokens.example.com/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, "", true, "has no https address"},
		"no token": {func(s *server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
			if r.URL.Path == "/token" {
				_, _ = io.WriteString(w, "{}")
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, "", true, "it holds no token"},
		"pages elsewhere":   {paged(`<https://elsewhere.example.com/v2/?last=%s>; rel="next"`), "", false, "the next page is said to be at"},
		"pages in a circle": {paged(`</v2/mirror/dtr/tags/list?%.0s>; rel="next"`), "", false, "has no end"},
		"not a registry": {func(_ *server, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = io.WriteString(w, "<html>")
		}, "", false, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.front)
			s.push(t, "mirror/dtr", "2.5.6", "2.6.15", "2.7.8")
			config := s.config()
			if c.login {
				config.Username, config.Password = user, password
			}
			repository := c.repository
			if repository == "" {
				repository = "mirror/dtr"
			}
			tags, err := registry.Tags(t.Context(), s.host()+"/"+repository, config)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), password) {
				t.Errorf("tags %q, error %v, want %q in it", tags, err, c.want)
			}
		})
	}

	t.Run("the login is kept from a token service elsewhere", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(_ *server, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+elsewhere.URL+`/token",service="here"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		config := s.config()
		config.CACert += elsewhere.ca
		config.Username, config.Password = user, password
		var failure *registry.Error
		if _, err := registry.Tags(t.Context(), s.host()+"/mirror/dtr", config); !errors.As(err, &failure) || failure.StatusCode != http.StatusUnauthorized {
			t.Errorf("error %v", err)
		}
		asked := elsewhere.asked()
		if len(asked) == 0 {
			t.Error("no token was asked for")
		}
		for _, r := range asked {
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s was shown the login", r.URL)
			}
		}
	})

	t.Run("a certificate of another CA", func(t *testing.T) {
		t.Parallel()
		s := serve(t, open)
		config := s.config()
		config.CACert = ""
		var untrusted *endpoint.CertificateError
		if _, err := registry.Tags(t.Context(), s.host()+"/mirror/dtr", config); !errors.As(err, &untrusted) {
			t.Errorf("error %v", err)
		}
	})
}

func TestHost(t *testing.T) {
	t.Parallel()
	for repository, want := range map[string]string{
		"docker/dtr":                            "registry-1.docker.io",
		"registry.example.com/mirror/dtr":       "registry.example.com",
		"registry.example.com:5000/mirror/dtr":  "registry.example.com:5000",
		"Not A Repository":                      "",
		"registry.example.com/mirror/dtr:2.6.0": "",
	} {
		if got, err := registry.Host(repository); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, error %v", repository, got, err)
		}
	}
}
