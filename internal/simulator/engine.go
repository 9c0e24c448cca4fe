package simulator

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

const (
	statusKilled     = 128 + 9  // SIGKILL
	statusTerminated = 128 + 15 // SIGTERM
)

// engine is the Docker side of the cluster: every node, image and container.
// One lock guards it all; it is never held while a request waits, a container
// runs, or DTR is told of a change.
type engine struct {
	id         string
	ctx        context.Context // ends every container that runs
	clock      clock.Clock
	apiVersion string
	version    string // of the engines, unless a node says otherwise
	ucpVersion string
	logDriver  string // of containers that were created without one
	program    program
	changed    func() // called without the lock after every change of containers
	reach      func(ctx context.Context, point string)
	active     sync.WaitGroup

	mu         sync.Mutex
	nodes      []*node
	containers map[string]*ctr // by id
	ended      []Container
	runs       map[string]int  // first phases of the bootstrapper ever started, by command
	crashing   map[string]bool // images whose containers end as soon as they start
	ghosts     map[string]int  // names that are taken by nothing
}

// program is what a container of the bootstrapper's image runs.
type program func(ctx context.Context, args, env []string, stdout, stderr io.Writer) int

// nodeByName returns nil for a node that does not exist. The lock must be held.
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
	if s.cluster() {
		return e.findInSwarm(ref)
	}
	name := strings.TrimPrefix(ref, "/")
	var prefixed []*ctr
	for _, c := range e.containers {
		if !s.covers(c.node) {
			continue
		}
		if c.id == ref || c.name == name {
			return c, nil
		}
		if strings.HasPrefix(c.id, ref) {
			prefixed = append(prefixed, c)
		}
	}
	switch len(prefixed) {
	case 0:
		return nil, s.noSuchContainer(ref)
	case 1:
		return prefixed[0], nil
	default:
		return nil, errorf(http.StatusBadRequest, "Multiple IDs found with provided prefix: %s", ref)
	}
}

// reachable is find for requests that the node's engine must answer.
func (e *engine) reachable(s scope, ref string) (*ctr, error) {
	c, err := e.find(s, ref)
	if err == nil && c.node.down {
		return nil, swarmErrorf(http.StatusInternalServerError, "Container %s running on unhealthy node %s", ref, c.node.name)
	}
	return c, err
}

// add puts a container on a node. The lock must be held and the name free.
func (e *engine) add(n *node, name string, config *container.Config, host *container.HostConfig) *ctr {
	c := &ctr{
		id: newID(), name: name, node: n, config: config, host: host,
		imageID: n.images[release.NormalRef(config.Image)].id,
		created: time.Now(), state: container.StateCreated,
		log: newLogBuffer(cmp.Or(host.LogConfig.Type, e.logDriver)), exited: make(chan struct{}), removed: make(chan struct{}),
	}
	e.containers[c.id] = c
	for _, volume := range c.volumes() {
		if _, there := n.volumes[volume]; !there {
			n.volumes[volume] = c.created
		}
	}
	return c
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

// delete removes a container. The lock must be held.
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

// kill ends a running container with a status. The lock must be held.
func (e *engine) kill(s scope, name string, status int) error {
	c, err := e.reachable(s, name)
	if err != nil {
		return err
	}
	if !c.runs() {
		return errorf(http.StatusConflict, "Cannot kill container: %s: Container %s is not running", name, c.id)
	}
	e.end(c, status)
	return nil
}

// finish makes a change and answers 204.
func (e *engine) finish(w http.ResponseWriter, f func() error) error {
	if err := e.change(f); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// now is the time by the clock of the swarm's manager, which UCP runs on.
func (e *engine) now() time.Time { return e.nodes[0].date(time.Now()).UTC() }

// known is nodeByName for nodes that must exist.
func (e *engine) known(nodeName string) (*node, error) {
	if n := e.nodeByName(nodeName); n != nil {
		return n, nil
	}
	return nil, errorf(http.StatusNotFound, "no such node: %s", nodeName)
}
