package simulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// containerAPI is the part of the Engine API that creates and shows containers.
type containerAPI struct{ engine *engine }

func (a containerAPI) routes() []engineRoute {
	return []engineRoute{
		{"GET", "/containers/json", a.list, answered},
		{"POST", "/containers/create", a.create, answered},
		{"GET", "/containers/*/json", a.inspect, answered},
		{"POST", "/containers/*/rename", a.rename, answered},
	}
}

func (a containerAPI) list(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := filters(r)
	if err == nil && !s.cluster() {
		err = checkFilters(filter, "id", "name", "label", "status", "health", "ancestor", "network")
	}
	if err != nil {
		return err
	}
	all := isSet(r, "all")
	a.engine.mu.Lock()
	list := []container.Summary{}
	for _, c := range a.engine.containers {
		if !s.covers(c.node) {
			continue
		}
		shown := c.passes(filter) && (all || len(filter["status"]) > 0 || c.runs())
		if s.cluster() {
			shown = c.listed(filter, all)
		}
		if shown {
			list = append(list, c.summary(s, a.engine.clock))
		}
	}
	a.engine.mu.Unlock()
	slices.SortFunc(list, func(a, b container.Summary) int {
		if a.Created != b.Created {
			return int(b.Created - a.Created)
		}
		return strings.Compare(a.Names[0], b.Names[0])
	})
	return writeJSON(w, http.StatusOK, list)
}

// swarmNode is where classic Swarm shows that a container runs.
type swarmNode struct{ ID, IP, Addr, Name string }

func (a containerAPI) inspect(s scope, w http.ResponseWriter, _ *http.Request, name string) error {
	a.engine.mu.Lock()
	c, err := a.engine.reachable(s, name)
	if err != nil {
		a.engine.mu.Unlock()
		return err
	}
	body := struct {
		container.InspectResponse
		Node *swarmNode `json:",omitempty"` // added by UCP, as by classic Swarm
	}{InspectResponse: c.inspect(a.engine.clock, a.engine.logDriver)}
	if s.cluster() {
		body.Node = &swarmNode{ID: c.node.id, IP: c.node.addr, Addr: c.node.addr + ":12376", Name: c.node.name}
	}
	a.engine.mu.Unlock()
	return writeJSON(w, http.StatusOK, body)
}

var validName = regexp.MustCompile(`^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

func (a containerAPI) create(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	var req container.CreateRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return errorf(http.StatusBadRequest, "invalid JSON: %v", err)
	}
	if req.Config == nil || req.Image == "" {
		return s.refused(errorf(http.StatusBadRequest, "Config cannot be empty in order to create a container"))
	}
	if req.HostConfig == nil {
		req.HostConfig = &container.HostConfig{}
	}
	name := strings.TrimPrefix(r.URL.Query().Get("name"), "/")
	if name == "" {
		name = "unnamed_" + newID()[:8]
	} else if !validName.MatchString(name) {
		return s.refused(errorf(http.StatusBadRequest, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name))
	}
	var id string
	err := a.engine.change(func() error {
		if err := a.engine.nameTaken(s, name); err != nil {
			return err
		}
		n, err := a.place(s, req.Config)
		if err != nil {
			return err
		}
		if !n.has(req.Image) {
			return errorf(http.StatusNotFound, "No such image: %s", release.NormalRef(req.Image))
		}
		id = a.engine.add(n, name, req.Config, req.HostConfig).id
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, container.CreateResponse{ID: id, Warnings: []string{}})
}

// place picks the node for a new container. Through UCP the constraints in its
// environment or label decide, as in classic Swarm, and are removed from the
// environment; without any, a worker that has the image comes first.
const swarmConstraint = "com.docker.swarm.constraints"

func (a containerAPI) place(s scope, config *container.Config) (*node, error) {
	if !s.cluster() {
		return a.engine.nodeByName(s.node), nil
	}
	var constraints []string
	_ = json.Unmarshal([]byte(config.Labels[swarmConstraint]), &constraints)
	config.Env = slices.DeleteFunc(slices.Clone(config.Env), func(kv string) bool {
		constraint, ok := strings.CutPrefix(kv, "constraint:")
		if ok {
			constraints = append(constraints, constraint)
		}
		return ok
	})
	if len(constraints) > 0 {
		label, _ := json.Marshal(constraints)
		config.Labels = maps.Clone(config.Labels)
		if config.Labels == nil {
			config.Labels = map[string]string{}
		}
		config.Labels[swarmConstraint] = string(label)
	}
	var fits []*node
	for _, n := range a.engine.nodes {
		if s.covers(n) && !n.down && n.satisfies(constraints) {
			fits = append(fits, n)
		}
	}
	if len(fits) == 0 {
		return nil, swarmErrorf(http.StatusInternalServerError, "could not find any nodes on which the container could be created")
	}
	rank := func(n *node) int {
		if !n.has(config.Image) {
			return 2
		} else if n.manager {
			return 1
		}
		return 0
	}
	return slices.MinFunc(fits, func(a, b *node) int { return rank(a) - rank(b) }), nil
}

func (a containerAPI) rename(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	next := strings.TrimPrefix(r.URL.Query().Get("name"), "/")
	if !validName.MatchString(next) {
		return s.refused(errorf(http.StatusBadRequest, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", next))
	}
	return a.engine.finish(w, func() error {
		c, err := a.engine.reachable(s, name)
		if err != nil {
			return err
		}
		if err := a.engine.nameTaken(s, next); err != nil {
			return err
		}
		if c.state == container.StateRunning && string(c.host.NetworkMode) == release.OverlayNetwork {
			return s.refused(errorf(http.StatusInternalServerError, "Could not add service state for endpoint %s to cluster on rename: cannot create entry in table endpoint_table, already exists.", next)) // Engine 20.10 does
		}
		c.name = next
		return nil
	})
}
