package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

func (e *engine) serveList(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := filters(r, "id", "name", "label", "status", "health", "ancestor", "network", "node")
	if err != nil {
		return err
	}
	all := isSet(r, "all") || len(filter["status"]) > 0
	e.mu.Lock()
	list := []container.Summary{}
	for _, c := range e.containers {
		// Through UCP a node that does not answer leaves its containers in the
		// list of all, with this for a status.
		if s.covers(c.node) && (all || c.state == container.StateRunning && !c.node.down) && c.passes(filter) {
			list = append(list, e.summary(s, c))
		}
	}
	e.mu.Unlock()
	slices.SortFunc(list, func(a, b container.Summary) int {
		if a.Created != b.Created {
			return int(b.Created - a.Created)
		}
		return strings.Compare(a.Names[0], b.Names[0])
	})
	return writeJSON(w, http.StatusOK, list)
}

// passes applies the filters of the container list: every term must hold, by
// one of its values; of labels every one.
func (c *ctr) passes(filter map[string][]string) bool {
	anyOf := func(term string, f func(v string) bool) bool {
		return len(filter[term]) == 0 || slices.ContainsFunc(filter[term], f)
	}
	for _, label := range filter["label"] {
		key, value, exact := strings.Cut(label, "=")
		if got, ok := c.config.Labels[key]; !ok || exact && got != value {
			return false
		}
	}
	return anyOf("id", func(v string) bool { return strings.HasPrefix(c.id, v) }) &&
		anyOf("name", func(v string) bool { ok, _ := regexp.MatchString(v, c.name); return ok || "/"+c.name == v }) &&
		anyOf("status", func(v string) bool { return v == string(c.state) }) &&
		anyOf("ancestor", func(v string) bool { return release.NormalRef(v) == release.NormalRef(c.config.Image) }) &&
		anyOf("network", func(v string) bool { return v == string(c.host.NetworkMode) }) &&
		anyOf("node", func(v string) bool { return v == c.node.name })
}

func (e *engine) summary(s scope, c *ctr) container.Summary {
	sum := container.Summary{
		ID: c.id, Names: []string{"/" + c.name}, Image: c.config.Image, ImageID: c.imageID,
		Command: strings.Join(c.config.Cmd, " "), Created: c.created.Unix(),
		Labels: c.labels(), State: c.state, Status: e.statusText(c),
		Ports: []container.PortSummary{}, Mounts: []container.MountPoint{},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: c.endpoints()},
	}
	sum.HostConfig.NetworkMode = cmp.Or(string(c.host.NetworkMode), "default")
	for private, public := range c.ports() {
		sum.Ports = append(sum.Ports, container.PortSummary{PrivatePort: private, PublicPort: public, Type: "tcp"})
	}
	slices.SortFunc(sum.Ports, func(a, b container.PortSummary) int { return int(a.PrivatePort) - int(b.PrivatePort) })
	if s.cluster() {
		sum.Names[0] = "/" + c.node.name + sum.Names[0]
	}
	if c.node.down {
		sum.Status = "Host Down"
	}
	return sum
}

func (c *ctr) endpoints() map[string]*network.EndpointSettings {
	name := string(c.host.NetworkMode)
	if name == "" || name == "default" {
		name = "bridge"
	}
	endpoints := map[string]*network.EndpointSettings{}
	for _, name := range append([]string{name}, c.networks...) {
		endpoints[name] = &network.EndpointSettings{NetworkID: release.StableID("network", name)}
	}
	return endpoints
}

// health is the state of the Docker health check, "" without one.
func (e *engine) health(c *ctr) container.HealthStatus {
	switch {
	case c.config.Healthcheck == nil:
		return ""
	case time.Since(c.started) < e.clock.Scale(nginxHealthTime):
		return container.Starting
	default:
		return container.Healthy
	}
}

func (e *engine) statusText(c *ctr) string {
	switch c.state {
	case container.StateRunning:
		text := "Up " + ago(c.started)
		switch e.health(c) {
		case container.Starting:
			text += " (health: starting)"
		case container.Healthy:
			text += " (healthy)"
		}
		return text
	case container.StateExited:
		return fmt.Sprintf("Exited (%d) %s ago", c.exitCode, ago(c.finished))
	default:
		return "Created"
	}
}

// ago says how long ago t was, the way docker ps does.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Second:
		return "Less than a second"
	case d < 2*time.Second:
		return "1 second"
	case d < time.Minute:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	case d < 2*time.Minute:
		return "About a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 2*time.Hour:
		return "About an hour"
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

func (e *engine) serveInspect(s scope, w http.ResponseWriter, _ *http.Request, name string) error {
	e.mu.Lock()
	c, err := e.reachable(s, name)
	if err != nil {
		e.mu.Unlock()
		return err
	}
	body := struct {
		container.InspectResponse
		Node *inspectNode `json:",omitempty"` // added by UCP, as by classic Swarm
	}{InspectResponse: e.inspect(c)}
	if s.cluster() {
		body.Node = &inspectNode{ID: c.node.id, IP: c.node.addr, Addr: c.node.addr + ":12376", Name: c.node.name}
	}
	e.mu.Unlock()
	return writeJSON(w, http.StatusOK, body)
}

type inspectNode struct{ ID, IP, Addr, Name string }

func (e *engine) inspect(c *ctr) container.InspectResponse {
	config, host := *c.config, *c.host
	config.Labels = c.labels()
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return "0001-01-01T00:00:00Z"
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	state := &container.State{
		Status: c.state, Running: c.state == container.StateRunning, ExitCode: c.exitCode,
		StartedAt: stamp(c.started), FinishedAt: stamp(c.finished),
	}
	if h := e.health(c); h != "" && state.Running {
		state.Health = &container.Health{Status: h}
	}
	host.LogConfig.Type = cmp.Or(host.LogConfig.Type, "json-file")
	host.NetworkMode = cmp.Or(host.NetworkMode, "default")
	args := []string{}
	if len(config.Cmd) > 1 {
		args = config.Cmd[1:]
	}
	return container.InspectResponse{
		ID: c.id, Created: stamp(c.created), Args: args, State: state, Image: c.imageID,
		Name: "/" + c.name, Driver: "overlay2", Platform: "linux", HostConfig: &host,
		Mounts: []container.MountPoint{}, Config: &config,
		NetworkSettings: &container.NetworkSettings{Networks: c.endpoints()},
	}
}

var validName = regexp.MustCompile(`^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

func (e *engine) serveCreate(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	var req container.CreateRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return errorf(http.StatusBadRequest, "invalid JSON: %v", err)
	}
	if req.Config == nil || req.Image == "" {
		return errorf(http.StatusBadRequest, "Config cannot be empty in order to create a container")
	}
	if req.HostConfig == nil {
		req.HostConfig = &container.HostConfig{}
	}
	name := strings.TrimPrefix(r.URL.Query().Get("name"), "/")
	if name == "" {
		name = "unnamed_" + newID()[:8]
	} else if !validName.MatchString(name) {
		return errorf(http.StatusBadRequest, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	var id string
	err := e.change(func() error {
		for _, c := range e.containers {
			if s.covers(c.node) && c.name == name {
				return errorf(http.StatusConflict, "Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+name, c.id)
			}
		}
		n, err := e.place(s, req.Config)
		if err != nil {
			return err
		}
		if _, ok := n.images[release.NormalRef(req.Image)]; !ok {
			return errorf(http.StatusNotFound, "No such image: %s", release.NormalRef(req.Image))
		}
		id = e.add(n, name, req.Config, req.HostConfig).id
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, container.CreateResponse{ID: id, Warnings: []string{}})
}

// place picks the node for a new container. Through UCP the constraints in its
// environment or label decide, as in classic Swarm, and leave the environment;
// without any, a worker that has the image comes first.
const swarmConstraint = "com.docker.swarm.constraints"

func (e *engine) place(s scope, config *container.Config) (*node, error) {
	if !s.cluster() {
		return e.nodeByName(s.node), nil
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
	for _, n := range e.nodes {
		if !n.down && n.satisfies(constraints) {
			fits = append(fits, n)
		}
	}
	if len(fits) == 0 {
		return nil, errorf(http.StatusInternalServerError, "could not find any nodes on which the container could be created")
	}
	rank := func(n *node) int {
		if _, ok := n.images[release.NormalRef(config.Image)]; !ok {
			return 2
		} else if n.manager {
			return 1
		}
		return 0
	}
	return slices.MinFunc(fits, func(a, b *node) int { return rank(a) - rank(b) }), nil
}

func (n *node) satisfies(constraints []string) bool {
	for _, c := range constraints {
		if name, ok := strings.CutPrefix(c, "node=="); ok && name != n.name {
			return false
		}
		if name, ok := strings.CutPrefix(c, "node!="); ok && name == n.name {
			return false
		}
	}
	return true
}

// labels is a copy, never null in JSON.
func (c *ctr) labels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, c.config.Labels)
	return labels
}
