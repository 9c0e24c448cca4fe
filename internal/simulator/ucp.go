package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ucp is UCP: its own few endpoints, and the Docker Engine API of the cluster for
// clients with a token. The Engine API is any handler, that of the simulated engines
// or one in front of real engines.
type ucp struct {
	accounts   *accounts
	caPEM      string
	apiVersion string
	docker     http.Handler
	now        func() time.Time

	mu           sync.Mutex
	sessions     sessions
	contentTrust bool
}

func newUCP(a *accounts, caPEM, apiVersion string, docker http.Handler, now func() time.Time, limit int) *ucp {
	return &ucp{accounts: a, caPEM: caPEM, apiVersion: apiVersion, docker: docker, now: now, sessions: sessions{limit: limit}}
}

// ucpService names the service that a path of UCP's address belongs to.
func ucpService(path string) string {
	switch path {
	case "/auth/login", "/ca", "/_ping", "/api/ucp/config-toml":
		return ServiceUCP
	default:
		return ServiceEngine
	}
}

func (u *ucp) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/login", u.serveLogin)
	mux.HandleFunc("GET /ca", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = io.WriteString(w, u.caPEM)
	})
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", u.apiVersion)
		_, _ = io.WriteString(w, "OK")
	})
	mux.Handle("GET /api/ucp/config-toml", u.authorised(http.HandlerFunc(u.serveConfig)))
	mux.Handle("/", u.authorised(http.HandlerFunc(u.serveDocker)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", httpDate(u.now()))
		mux.ServeHTTP(w, r)
	})
}

func (u *ucp) serveLogin(w http.ResponseWriter, r *http.Request) {
	var login struct{ Username, Password string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&login); err != nil {
		writeEngineError(w, errorf(http.StatusBadRequest, "invalid login: %v", err))
		return
	}
	if _, ok := u.accounts.check(login.Username, login.Password); !ok {
		writeEngineError(w, errorf(http.StatusUnauthorized, "unauthorized"))
		return
	}
	token := newID()
	u.mu.Lock()
	u.sessions.begin(token, login.Username)
	u.mu.Unlock()
	_ = writeJSON(w, http.StatusOK, map[string]string{"auth_token": token})
}

func (u *ucp) authorised(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		u.mu.Lock()
		ok := u.sessions.use(token)
		u.mu.Unlock()
		if !ok {
			writeEngineError(w, errorf(http.StatusUnauthorized, "unauthorized"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (u *ucp) serveConfig(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, `[auth]
  default_new_user_role = "restrictedcontrol"

[scheduling_configuration]
  enable_admin_ucp_scheduling = true
  default_node_orchestrator = "swarm"

[trust_configuration]
  require_content_trust = %t
  require_signature_from = []
`, u.requiresTrust())
}

// serveDocker passes requests on to the Engine API if content trust allows them:
// nobody whom a UCP trusts has signed DTR's images.
func (u *ucp) serveDocker(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && withoutVersion(r.URL.Path) == "/containers/create" && u.requiresTrust() {
		writeEngineError(w, errorf(http.StatusForbidden, "image did not meet required signing policy"))
		return
	}
	w.Header().Del("Date") // that of whoever answers
	u.docker.ServeHTTP(w, r)
}

func (u *ucp) requiresTrust() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.contentTrust
}

// SetContentTrust has UCP require signed images, which DTR's are not.
func (u *ucp) SetContentTrust(required bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.contentTrust = required
}

// ExpireTokens invalidates every login token issued so far.
func (u *ucp) ExpireTokens() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions.used = nil
}
