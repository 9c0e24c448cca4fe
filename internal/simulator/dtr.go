package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// dtr is DTR's HTTP API behind a load balancer: one address that passes each
// request on to the next replica whose nginx answers. What it says is computed
// from the inventory, and from what DTR keeps in its own database.
type dtr struct {
	ctx       context.Context // ends every job
	clock     clock.Clock
	inventory Inventory
	accounts  *accounts
	points    *points
	host      string // external address
	ucpHost   string
	caPEM     string
	jobsDone  sync.WaitGroup

	mu        sync.Mutex
	seen      []Container          // as of the last observe
	parts     map[partOf]Container // those of the replicas
	reports   map[string]*report
	leaving   string // replica that the bootstrapper removes, or was removing last
	turn      int    // of the load balancer
	gcLock    string
	caches    []ContentCache
	scanner   scanner
	jobs      []*job // oldest first
	upgrades  upgrades
	migration migration
}

// partOf names a container of a replica.
type partOf struct{ replica, part string }

// answerer is the replica that a request was passed on to.
type answerer struct {
	id, version string
	release     *semver.Version // of version
	api         bool            // its API answers
}

// call is one request to the API, and who made it.
type call struct {
	*http.Request
	replica answerer
	user    user
	upload  *Upload // the file that came with it
}

// dtrError is an answer of the API that is not a success.
type dtrError struct {
	status        int
	code, message string
}

func (e *dtrError) Error() string { return e.message }

var (
	errNotAuthenticated = &dtrError{http.StatusUnauthorized, "NOT_AUTHENTICATED", "The client is not authenticated."}
	errNotAuthorized    = &dtrError{http.StatusForbidden, "NOT_AUTHORIZED", "The client is not authorized."}
	errMediaType        = &dtrError{http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"}
	errNotAllowed       = &dtrError{http.StatusMethodNotAllowed, "NOT_ALLOWED", "Method Not Allowed"}
	errNotFound         = &dtrError{http.StatusNotFound, "NOT_FOUND", "Not Found"}
	errNoSuchJob        = &dtrError{http.StatusNotFound, "NO_SUCH_JOB", "A job with the given id does not exist."}
	errNoQuorum         = &dtrError{http.StatusInternalServerError, "INTERNAL_ERROR", "Internal server error"}
	errInvalidJSON      = &dtrError{http.StatusBadRequest, "INVALID_JSON", "The request body is not valid JSON."}
)

type access int

const (
	anyone access = iota
	anyUser
	adminOnly
)

// dtrRoute is one endpoint, from the minor version that brought it on.
type dtrRoute struct {
	pattern string // of http.ServeMux
	access  access
	since   string
	serve   func(d *dtr, c *call) (status int, body any, err error)
}

var dtrRoutes = []dtrRoute{
	{"GET /api/v0/docs.json", anyone, "", (*dtr).docs},
	{"GET /api/v0/admin/version", adminOnly, "", (*dtr).adminVersion},
	{"GET /api/v0/meta/settings", adminOnly, "", (*dtr).settings},
	{"GET /api/v0/meta/features", anyUser, "", (*dtr).features},
	{"GET /api/v0/meta/cluster_status", adminOnly, "", (*dtr).clusterStatus},
	{"GET /api/v0/meta/alerts", anyUser, "2.6", (*dtr).alerts},
	{"GET /api/v0/imagescan/status", anyUser, "", (*dtr).scanStatus},
	{"PUT /api/v0/imagescan/scan/update", adminOnly, "", (*dtr).updateDatabase},
	{"GET /api/v0/workers", adminOnly, "", (*dtr).workers},
	{"GET /api/v0/jobs", adminOnly, "", (*dtr).listJobs},
	{"POST /api/v0/jobs", adminOnly, "", (*dtr).postJob},
	{"GET /api/v0/jobs/{id}", adminOnly, "", (*dtr).getJob},
	{"DELETE /api/v0/jobs/{id}", adminOnly, "", (*dtr).deleteJob},
	{"POST /api/v0/jobs/{id}/cancel", adminOnly, "", (*dtr).cancelJob},
	{"GET /api/v0/jobs/{id}/logs", adminOnly, "", (*dtr).jobLogs},
	{"GET /api/v0/content_caches", anyUser, "", (*dtr).listCaches},
	{"POST /api/v0/content_caches", adminOnly, "", (*dtr).addCache},
	{"GET /api/v0/content_caches/{id}", anyUser, "", (*dtr).getCache},
	{"DELETE /api/v0/content_caches/{id}", adminOnly, "", (*dtr).deleteCache},
	{"GET /api/v0/api_tokens", anyUser, "2.5", (*dtr).listTokens},
	{"POST /api/v0/api_tokens", anyUser, "2.5", (*dtr).addToken},
	{"DELETE /api/v0/api_tokens/{id}", anyUser, "2.5", (*dtr).deleteToken},
}

// notBefore says whether a replica's release has what a minor version brought.
func (a answerer) notBefore(minor string) bool {
	return minor == "" || a.release.Compare(semver.MustParse(minor)) >= 0
}

func (d *dtr) handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range dtrRoutes {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { d.serve(rt, w, r) })
	}
	mux.HandleFunc("GET /_ping", d.servePing)
	mux.HandleFunc("GET /health", d.serveHealth)
	mux.HandleFunc("GET /ca", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, d.caPEM) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			probe := r.Clone(r.Context())
			probe.Method = method
			if _, pattern := mux.Handler(probe); pattern != "/" {
				writeDTRError(w, errNotAllowed)
				return
			}
		}
		writeDTRError(w, errNotFound)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		replica, ok := d.balance()
		if !ok {
			http.Error(w, "503 Service Unavailable: no replica is available to handle this request.", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), answererKey{}, replica)))
	})
}

type answererKey struct{}

func answererOf(r *http.Request) answerer {
	return r.Context().Value(answererKey{}).(answerer)
}

// balance picks the replica to answer: the next one whose nginx and API run,
// or else one whose nginx does.
func (d *dtr) balance() (answerer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var good, half []answerer
	for _, id := range d.replicas() {
		if !d.runs(id, "nginx") {
			continue
		}
		api, _ := d.component(id, "api")
		version := api.Version()
		if !api.Running() {
			nginx, _ := d.component(id, "nginx")
			version = nginx.Version()
		}
		release, err := semver.NewVersion(version)
		if err != nil {
			continue
		}
		a := answerer{id: id, version: version, release: release, api: api.Running()}
		if a.api {
			good = append(good, a)
		} else {
			half = append(half, a)
		}
	}
	if len(good) == 0 {
		good = half
	}
	if len(good) == 0 {
		return answerer{}, false
	}
	d.turn++
	return good[d.turn%len(good)], true
}

func (d *dtr) serve(rt dtrRoute, w http.ResponseWriter, r *http.Request) {
	c := &call{Request: r, replica: answererOf(r)}
	status, body, err := d.answer(rt, c)
	if err != nil {
		writeDTRError(w, err)
		return
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	if err := writeJSON(w, status, body); err != nil {
		writeDTRError(w, err)
	}
}

func (d *dtr) answer(rt dtrRoute, c *call) (status int, body any, err error) {
	if !c.replica.api {
		return 0, nil, &dtrError{status: http.StatusBadGateway}
	}
	if !c.replica.notBefore(rt.since) {
		return 0, nil, errNotFound
	}
	if c.Method == http.MethodPost {
		if media, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type")); media != "application/json" {
			return 0, nil, errMediaType
		}
	}
	if rt.access != anyone {
		d.mu.Lock()
		quorum := d.quorum()
		d.mu.Unlock()
		if !quorum {
			return 0, nil, errNoQuorum
		}
		name, password, given := c.BasicAuth()
		known, ok := d.accounts.checkDTR(name, password)
		if !given || !ok {
			return 0, nil, errNotAuthenticated
		}
		c.user = known
		if rt.access == adminOnly && !c.user.admin {
			return 0, nil, errNotAuthorized
		}
	}
	if c.Method == http.MethodPut { // others are not to wait for an upload
		if err := c.receive(); err != nil {
			return 0, nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refresh(time.Now())
	return rt.serve(d, c)
}

// decode reads the JSON body of a call.
func (c *call) decode(v any) error {
	if err := json.NewDecoder(io.LimitReader(c.Body, 1<<20)).Decode(v); err != nil {
		return errInvalidJSON
	}
	return nil
}

func writeDTRError(w http.ResponseWriter, err error) {
	known, ok := errors.AsType[*dtrError](err)
	if !ok {
		known = &dtrError{http.StatusInternalServerError, "INTERNAL_ERROR", err.Error()}
	}
	if known.code == "" { // nginx's own answer
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(known.status)
		fmt.Fprintf(w, "<html><head><title>%d %[2]s</title></head><body><h1>%[1]d %[2]s</h1></body></html>\n", known.status, http.StatusText(known.status))
		return
	}
	if known.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Docker Trusted Registry"`)
	}
	_ = writeJSON(w, known.status, map[string]any{
		"errors": []map[string]string{{"code": known.code, "message": known.message}},
	})
}

func (d *dtr) servePing(w http.ResponseWriter, _ *http.Request) {
	_ = writeJSON(w, http.StatusOK, map[string]any{"Error": "", "Healthy": true})
}

// serveHealth: clients used this path up to 2.2, and again from 2.9 on.
func (d *dtr) serveHealth(w http.ResponseWriter, r *http.Request) {
	if replica := answererOf(r); replica.notBefore("2.3") && !replica.notBefore("2.9") {
		writeDTRError(w, errNotFound)
		return
	}
	d.servePing(w, r)
}

// wireVersion is the version as docs.json says it: from 2.7 on with the
// commit that it was built from.
func (a answerer) wireVersion() string {
	if a.notBefore("2.7") && a.release.Prerelease() == "" {
		return a.version + "-" + release.StableID("commit", a.version)[:8]
	}
	return a.version
}

func (d *dtr) docs(c *call) (int, any, error) {
	return http.StatusOK, map[string]any{
		"swagger": "2.0",
		"info":    map[string]any{"title": "Docker Trusted Registry", "version": c.replica.wireVersion()},
		"paths":   map[string]any{},
	}, nil
}

func (d *dtr) adminVersion(c *call) (int, any, error) {
	return http.StatusOK, map[string]any{"version": c.replica.wireVersion()}, nil
}

func (d *dtr) listCaches(*call) (int, any, error) {
	return http.StatusOK, append([]ContentCache{}, d.caches...), nil
}

func (d *dtr) findCache(id string) int {
	return slices.IndexFunc(d.caches, func(c ContentCache) bool { return c.ID == id })
}

var errNoSuchCache = &dtrError{http.StatusNotFound, "NO_SUCH_CONTENT_CACHE", "A content cache with the given uuid does not exist."}

func (d *dtr) getCache(c *call) (int, any, error) {
	i := d.findCache(c.PathValue("id"))
	if i < 0 {
		return 0, nil, errNoSuchCache
	}
	return http.StatusOK, d.caches[i], nil
}

func (d *dtr) addCache(c *call) (int, any, error) {
	var cache ContentCache
	if err := c.decode(&cache); err != nil {
		return 0, nil, err
	}
	if cache.Name == "" || cache.Host == "" {
		return 0, nil, &dtrError{http.StatusBadRequest, "INVALID_PARAMETERS", "invalid content cache details"}
	}
	cache.ID = uuid()
	d.caches = append(d.caches, cache)
	return http.StatusCreated, cache, nil
}

// deleteCache: an id that does not exist is a success too.
func (d *dtr) deleteCache(c *call) (int, any, error) {
	if i := d.findCache(c.PathValue("id")); i >= 0 {
		d.caches = slices.Delete(d.caches, i, i+1)
	}
	return http.StatusNoContent, nil, nil
}

func uuid() string {
	id := newID()
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:32]}, "-")
}
