package simulator

import (
	"context"
	"io"
	"mime"
	"net/http"
	"sync"

	"github.com/Masterminds/semver/v3"
)

// dtr is DTR's HTTP API behind a load balancer: one address that passes each
// request on to the next replica whose nginx answers. What it shows is computed
// from the inventory, and from what DTR keeps in its own database.
//
// One lock guards all of DTR's parts. It is held while an endpoint answers, never
// while a job works.
type dtr struct {
	inventory Inventory
	accounts  *accounts
	caPEM     string
	members   *members
	queue     *jobQueue
	migration *migration
	routes    []dtrRoute

	mu   *sync.Mutex
	turn int // of the load balancer
}

// observe records the containers as they are now, and acts on what changed. It is
// called after each change of theirs.
func (d *dtr) observe() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.members.now() // taken first: reports that were due by then tell of the time before the change
	d.members.observe(d.inventory.List(), now)
	d.migration.watch(d.inventory.Ended())
	d.queue.watchWorkers()
}

func (d *dtr) handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range d.routes {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { d.serve(rt, w, r) })
	}
	mux.HandleFunc("GET /_ping", servePing)
	mux.HandleFunc("GET /health", serveHealth)
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
		w.Header().Set("Date", httpDate(d.members.now()))
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

// balance picks the replica to answer: the next one whose nginx and API run, or
// the next one whose nginx runs if there is none.
func (d *dtr) balance() (answerer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var good, half []answerer
	for _, id := range d.members.replicas() {
		if !d.members.runs(id, "nginx") {
			continue
		}
		api, _ := d.members.component(id, "api")
		version := api.Version()
		if !api.Running() {
			nginx, _ := d.members.component(id, "nginx")
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

// serve answers a request with what the endpoint returns.
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

// answer checks who may make the request, and passes it on to the endpoint.
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
		quorum := d.members.quorum()
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
	if c.Method == http.MethodPut { // before the lock: nobody else is to wait for an upload
		if c.upload, err = receiveUpload(c.Request); err != nil {
			return 0, nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members.refresh(d.members.now())
	return rt.serve(c)
}

func servePing(w http.ResponseWriter, _ *http.Request) {
	_ = writeJSON(w, http.StatusOK, map[string]any{"Error": "", "Healthy": true})
}

// serveHealth is servePing on the path that clients used up to 2.2, and again from
// 2.9 on.
func serveHealth(w http.ResponseWriter, r *http.Request) {
	if replica := answererOf(r); replica.notBefore("2.3") && !replica.notBefore("2.9") {
		writeDTRError(w, errNotFound)
		return
	}
	servePing(w, r)
}
