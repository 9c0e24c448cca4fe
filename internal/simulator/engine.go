package simulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// engine is the Docker side of the cluster: every node, image and container.
// One lock guards it all; it is never held while a request waits, a container
// runs, or DTR is told of a change.
type engine struct {
	ctx        context.Context // ends every container that runs
	clock      clock.Clock
	registry   *registry
	apiVersion string
	version    string // of the engines, unless a node says otherwise
	ucpVersion string
	program    program
	changed    func() // called without the lock after every change of containers
	reach      func(ctx context.Context, point string)
	active     sync.WaitGroup

	mu         sync.Mutex
	nodes      []*node
	containers map[string]*ctr // by id
	ended      []Container
	runs       map[string]int // first phases of the bootstrapper ever started, by command
	services   []*service
	changes    uint64          // of the swarm
	crashing   map[string]bool // images whose containers end as soon as they start
}

// program is what a container of the bootstrapper's image runs.
type program func(ctx context.Context, args, env []string, stdout, stderr io.Writer) int

// node is a machine with an engine.
type node struct {
	name, id, addr string
	manager, down  bool
	memory         int64
	version        string
	availability   string
	os             string
	images         map[string]image // by reference
}

type image struct{ id, digest string }

// ctr is a container. Its fields are guarded by the engine's lock.
type ctr struct {
	id, name, imageID string
	node              *node
	config            *container.Config
	host              *container.HostConfig
	created           time.Time
	started, finished time.Time
	state             container.ContainerState
	exitCode          int
	networks          []string // besides that of its network mode
	restarts          bool     // when the engine of its node comes back
	log               *logBuffer
	stop              context.CancelFunc // ends the program that runs in it
	exited            chan struct{}      // closed when it stops running
	removed           chan struct{}      // closed when it is gone
}

// engineError is an answer of the Engine API that is not a success.
type engineError struct {
	status  int
	message string
}

func (e *engineError) Error() string { return e.message }

func errorf(status int, format string, args ...any) error {
	return &engineError{status, fmt.Sprintf(format, args...)}
}

var errNotModified = errorf(http.StatusNotModified, "")

// scope is what an API endpoint covers: the cluster as UCP shows it, or the
// engine of one node.
type scope struct{ node string }

func (s scope) cluster() bool { return s.node == "" }

func (s scope) covers(n *node) bool { return s.cluster() || s.node == n.name }

func newID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (e *engine) nodeByName(name string) *node {
	i := slices.IndexFunc(e.nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	return e.nodes[i]
}

// find looks a container up by id, beginning of the id, name, or
// <node>/<name> through UCP. The lock must be held.
func (e *engine) find(s scope, ref string) (*ctr, error) {
	name := strings.TrimPrefix(ref, "/")
	var prefixed []*ctr
	for _, c := range e.containers {
		if !s.covers(c.node) {
			continue
		}
		if c.id == ref || c.name == name || s.cluster() && c.node.name+"/"+c.name == name {
			return c, nil
		}
		if strings.HasPrefix(c.id, ref) {
			prefixed = append(prefixed, c)
		}
	}
	switch len(prefixed) {
	case 0:
		return nil, errorf(http.StatusNotFound, "No such container: %s", ref)
	case 1:
		return prefixed[0], nil
	default:
		return nil, errorf(http.StatusBadRequest, "Multiple IDs found with provided prefix: %s", ref)
	}
}

// reachable is find for what needs the node's engine to answer.
func (e *engine) reachable(s scope, ref string) (*ctr, error) {
	c, err := e.find(s, ref)
	if err == nil && c.node.down {
		return nil, errorf(http.StatusInternalServerError, "Cannot connect to the docker engine endpoint of node %s", c.node.name)
	}
	return c, err
}

// add puts a container on a node. The lock must be held and the name free.
func (e *engine) add(n *node, name string, config *container.Config, host *container.HostConfig) *ctr {
	c := &ctr{
		id: newID(), name: name, node: n, config: config, host: host,
		imageID: n.images[release.NormalRef(config.Image)].id,
		created: time.Now(), state: container.StateCreated,
		log: newLogBuffer(host.LogConfig.Type), exited: make(chan struct{}), removed: make(chan struct{}),
	}
	e.containers[c.id] = c
	return c
}

// upgrades says whether what runs in the container is an upgrade's first phase.
func (c *ctr) upgrades() bool {
	return release.IsBootstrapper(c.config.Image) && len(c.config.Cmd) > 0 && c.config.Cmd[0] == standin.CommandUpgrade
}

// run starts a container. The lock must be held.
func (e *engine) run(c *ctr) {
	c.state, c.started, c.exitCode = container.StateRunning, time.Now(), 0 // when it last ended stays known
	c.exited = make(chan struct{})
	c.log.reopen()
	if e.crashing[release.NormalRef(c.config.Image)] {
		e.end(c, 1)
		return
	}
	if !release.IsBootstrapper(c.config.Image) {
		return
	}
	if len(c.config.Cmd) > 0 {
		e.runs[c.config.Cmd[0]]++
	}
	ctx, stop := context.WithCancel(e.ctx)
	c.stop = stop
	repository, version := release.SplitRef(c.config.Image)
	env := append([]string{ // what the image itself brings
		"HOSTNAME=" + c.id[:12],
		standin.EnvImageRepository + "=" + repository,
		standin.EnvImageVersion + "=" + version,
		fmt.Sprintf("%s=%g", standin.EnvSpeed, float64(e.clock)),
	}, c.config.Env...)
	exited := c.exited
	e.active.Go(func() {
		defer stop()
		status := e.program(ctx, c.config.Cmd, env, c.log.stream(stdcopy.Stdout), c.log.stream(stdcopy.Stderr))
		e.mu.Lock()
		ended := c.exited == exited && c.state == container.StateRunning // not killed
		if ended {
			e.end(c, status)
		}
		e.mu.Unlock()
		if ended {
			e.changed()
		}
	})
}

// end marks a running container as exited. The lock must be held.
func (e *engine) end(c *ctr, status int) {
	c.state, c.exitCode, c.finished = container.StateExited, status, time.Now()
	if c.stop != nil {
		c.stop()
	}
	c.log.close()
	e.ended = append(e.ended, c.describe())
	close(c.exited)
	if c.host.AutoRemove {
		e.delete(c)
	}
}

func (e *engine) delete(c *ctr) {
	delete(e.containers, c.id)
	c.log.close()
	close(c.removed)
}

// change runs f with the lock held, and tells DTR when f succeeded.
func (e *engine) change(f func() error) error {
	e.mu.Lock()
	err := f()
	e.mu.Unlock()
	if err == nil {
		e.changed()
	}
	return err
}

// List implements [Inventory].
func (e *engine) List() []Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []Container
	for _, c := range e.containers {
		if !c.node.down {
			list = append(list, c.describe())
		}
	}
	slices.SortFunc(list, func(a, b Container) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Name, b.Name))
	})
	return list
}

// Ended implements [Inventory].
func (e *engine) Ended() []Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.ended
	e.ended = nil
	return list
}

func (c *ctr) describe() Container {
	return Container{
		ID: c.id, Name: c.name, Node: c.node.name, Image: c.config.Image,
		Args: slices.Clone(c.config.Cmd), Env: slices.Clone(c.config.Env), Labels: c.labels(),
		State: string(c.state), ExitCode: c.exitCode, Ports: c.ports(), Networks: slices.Sorted(maps.Keys(c.endpoints())),
		Created: c.created, StartedAt: c.started, FinishedAt: c.finished,
	}
}

// ports are the ports that are published, by the container's own.
func (c *ctr) ports() map[uint16]uint16 {
	ports := map[uint16]uint16{}
	for port, bindings := range c.host.PortBindings {
		for _, b := range bindings {
			public, _ := strconv.ParseUint(b.HostPort, 10, 16)
			ports[port.Num()] = uint16(public)
		}
	}
	return ports
}

func (e *engine) setDigest(ref, digest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		if img, ok := n.images[ref]; ok {
			img.digest = digest
			n.images[ref] = img
		}
	}
}

// addImage puts an image on a node. The lock must be held.
func (e *engine) addImage(n *node, ref, digest string) {
	ref = release.NormalRef(ref)
	n.images[ref] = image{id: "sha256:" + release.StableID("image", ref, digest), digest: digest}
}
