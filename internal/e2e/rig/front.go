//go:build linux

package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/system"
)

// front is the Docker Engine API of all nodes as UCP serves it, and classic
// Swarm before: names have the node before them, new containers go where their
// constraints say, and images are pulled and loaded everywhere. What is about
// one container goes to its node and comes back as the engine answers it.
type front struct{ rig *Rig }

// Handler implements [simulator.Engines].
func (r *Rig) Handler() http.Handler { return front{r} }

// versionPrefix is the API version that a path begins with, or nothing.
var versionPrefix = regexp.MustCompile(`^(/v[0-9]+\.[0-9]+)?(/.*)$`)

// call is a request to the front.
type call struct {
	*http.Request
	version string // "/v1.39", or nothing
	path    string // without it
}

// refusal is an answer of the front's own that is no success.
type refusal struct {
	status  int
	message string
	plain   bool // as text, which is how classic Swarm writes what is not an engine's
}

func (e *refusal) Error() string { return e.message }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

func refusePlainly(status int, format string, args ...any) error {
	return &refusal{status: status, message: fmt.Sprintf(format, args...), plain: true}
}

func noSuchContainer(ref string) error {
	return refusePlainly(http.StatusNotFound, "No such container: %s", ref)
}

func (f front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match := versionPrefix.FindStringSubmatch(r.URL.Path)
	if match == nil {
		writeError(w, refuse(http.StatusNotFound, "page not found"))
		return
	}
	c := &call{r, match[1], match[2]}
	if err := f.route(w, c); err != nil {
		writeError(w, err)
	}
}

func (f front) route(w http.ResponseWriter, c *call) error {
	is := func(method, path string) bool { return c.Method == method && c.path == path }
	rest, container := strings.CutPrefix(c.path, "/containers/")
	switch {
	case is(http.MethodGet, "/containers/json"):
		return f.list(w, c)
	case is(http.MethodPost, "/containers/create"):
		return f.create(w, c)
	case container:
		return f.container(w, c, rest)
	case is(http.MethodGet, "/images/json"):
		return f.images(w, c)
	case is(http.MethodPost, "/images/create"):
		return f.pull(w, c)
	case is(http.MethodPost, "/images/load"):
		return f.load(w, c)
	case strings.HasPrefix(c.path, "/images/"):
		return f.image(w, c)
	case is(http.MethodGet, "/version"):
		return f.version(w, c)
	case is(http.MethodGet, "/info"):
		return f.info(w, c)
	default: // the swarm, its networks, and what is the same everywhere
		f.pass(w, c, f.rig.manager())
		return nil
	}
}

// up lists the nodes that answer.
func (f front) up() []*Node {
	f.rig.watch.mu.Lock()
	defer f.rig.watch.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.rig.Nodes), func(n *Node) bool { return f.rig.watch.down[n.Name] })
}

// pass has a node answer the call. Connections that the client takes over go
// all the way through.
func (f front) pass(w http.ResponseWriter, c *call, n *Node) {
	(&httputil.ReverseProxy{
		Transport: n.transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "https", strings.TrimPrefix(n.Host(), "tcp://")
			p.Out.URL.Path, p.Out.URL.RawPath = c.version+c.path, ""
			p.Out.Header.Del("Authorization") // UCP's token is not for engines
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, unreachable(n, err))
		},
		ModifyResponse: func(answer *http.Response) error {
			answer.Header.Set("Api-Version", f.rig.APIVersion())
			return nil
		},
	}).ServeHTTP(w, c.Request)
}

// unreachableError is about a node that does not answer.
type unreachableError struct {
	node *Node
	err  error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("Cannot connect to the docker engine endpoint of node %s: %v", e.node.Name, e.err)
}

func unreachable(n *Node, err error) error { return &unreachableError{n, err} }

func isUnreachable(err error) bool {
	_, ok := errors.AsType[*unreachableError](err)
	return ok
}

// ask asks a node what the call asks, in its API version, and decodes JSON.
func (c *call) ask(ctx context.Context, n *Node, path string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	answer, err := c.send(ctx, n, http.MethodGet, path, query, nil)
	if err != nil {
		return unreachable(n, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return refusalOf(answer)
	}
	return decode(answer.Body, into)
}

func (c *call) send(ctx context.Context, n *Node, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	to := url.URL{Scheme: "https", Host: strings.TrimPrefix(n.Host(), "tcp://"), Path: c.version + path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Content-Type", "X-Registry-Auth"} {
		if v := c.Header.Get(name); v != "" {
			request.Header.Set(name, v)
		}
	}
	return n.transport.RoundTrip(request)
}

// refusalOf is an engine's own refusal.
func refusalOf(answer *http.Response) error {
	var body struct{ Message string }
	if err := decode(io.LimitReader(answer.Body, 1<<20), &body); err != nil {
		return refuse(answer.StatusCode, "%s", answer.Status)
	}
	return refuse(answer.StatusCode, "%s", body.Message)
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if known, ok := errors.AsType[*refusal](err); ok {
		status = known.status
		if known.plain {
			http.Error(w, known.message, status)
			return
		}
	}
	_ = writeJSON(w, status, map[string]string{"message": err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

// filters are the filters of a list, in either of the forms that Docker takes.
func (c *call) filters() (map[string]map[string]bool, error) {
	filters := map[string]map[string]bool{}
	raw := c.URL.Query().Get("filters")
	if raw == "" {
		return filters, nil
	}
	if err := json.Unmarshal([]byte(raw), &filters); err == nil {
		return filters, nil
	}
	var old map[string][]string
	if err := json.Unmarshal([]byte(raw), &old); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid filters: %v", err)
	}
	for term, values := range old {
		filters[term] = map[string]bool{}
		for _, v := range values {
			filters[term][v] = true
		}
	}
	return filters, nil
}

// perNode takes the filter "node" off the query, which engines do not know,
// and says which nodes it leaves.
func (c *call) perNode(nodes []*Node) ([]*Node, url.Values, error) {
	filters, err := c.filters()
	if err != nil {
		return nil, nil, err
	}
	query := c.URL.Query()
	if wanted := filters["node"]; len(wanted) > 0 {
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return !wanted[n.Name] })
		delete(filters, "node")
		text, err := json.Marshal(filters)
		if err != nil {
			return nil, nil, err
		}
		query.Set("filters", string(text))
	}
	return nodes, query, nil
}

// version is the manager's, with UCP for the one that serves it.
func (f front) version(w http.ResponseWriter, c *call) error {
	var v system.VersionResponse
	if err := c.ask(c.Context(), f.rig.manager(), "/version", nil, &v); err != nil {
		return err
	}
	v.Platform.Name, v.Version = "Docker Enterprise", "ucp/"+ucpVersion
	v.Components = []system.ComponentVersion{
		{Name: "Universal Control Plane", Version: ucpVersion, Details: map[string]string{"ApiVersion": f.rig.APIVersion()}},
	}
	return writeJSON(w, http.StatusOK, v)
}

// info adds up what the nodes that are up say.
func (f front) info(w http.ResponseWriter, c *call) error {
	var sum system.Info
	for _, n := range f.up() {
		var info system.Info
		if err := c.ask(c.Context(), n, "/info", nil, &info); err != nil {
			return err
		}
		if n == f.rig.manager() {
			sum.ID, sum.Swarm, sum.Driver = info.ID, info.Swarm, info.Driver
			sum.OSType, sum.OperatingSystem, sum.Architecture, sum.KernelVersion = info.OSType, info.OperatingSystem, info.Architecture, info.KernelVersion
		}
		sum.MemTotal += info.MemTotal
		sum.NCPU += info.NCPU
		sum.Images += info.Images
		sum.Containers += info.Containers
		sum.ContainersRunning += info.ContainersRunning
		sum.ContainersPaused += info.ContainersPaused
		sum.ContainersStopped += info.ContainersStopped
	}
	sum.Name, sum.ServerVersion = "ucp-controller", "ucp/"+ucpVersion
	return writeJSON(w, http.StatusOK, sum)
}
