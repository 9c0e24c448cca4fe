package simulator

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// ctr is a container. Its fields are guarded by the engine's lock.
type ctr struct {
	id, name, imageID string
	node              *node
	config            *container.Config
	host              *container.HostConfig
	created           time.Time
	started, finished time.Time
	state             container.ContainerState
	lastKnown         container.ContainerState // what UCP still shows while the engine is gone
	exitCode          int
	networks          []string // besides that of its network mode
	restarts          bool     // when the engine of its node comes back
	restartCount      int
	log               *logBuffer
	stop              context.CancelFunc // ends the program that runs in it
	exited            chan struct{}      // closed when it stops running
	removed           chan struct{}      // closed when it is gone
}

// shown is the state as it is listed: what was known last of a node that is gone.
func (c *ctr) shown() container.ContainerState {
	if c.node.down && c.lastKnown != "" {
		return c.lastKnown
	}
	return c.state
}

// runs reports whether the container runs, or is restarted by its engine: to Docker
// that is the same.
func (c *ctr) runs() bool {
	return c.state == container.StateRunning || c.state == container.StateRestarting
}

// upgrades reports whether the container runs an upgrade's first phase.
func (c *ctr) upgrades() bool {
	return release.IsBootstrapper(c.config.Image) && len(c.config.Cmd) > 0 && c.config.Cmd[0] == standin.CommandUpgrade
}

// volumes are the names of those that the container is bound to.
func (c *ctr) volumes() []string {
	var names []string
	for _, bind := range c.host.Binds {
		if name, _, _ := strings.Cut(bind, ":"); !strings.HasPrefix(name, "/") {
			names = append(names, name)
		}
	}
	return names
}

// describe is the container as the inventory shows it.
func (c *ctr) describe() Container {
	return Container{
		ID: c.id, Name: c.name, Node: c.node.name, Image: c.config.Image,
		Args: slices.Clone(c.config.Cmd), Env: slices.Clone(c.config.Env), Labels: c.labels(),
		State: string(c.state), ExitCode: c.exitCode, RestartCount: c.restartCount, Ports: c.ports(), Networks: slices.Sorted(maps.Keys(c.endpoints())),
		Created: c.created, StartedAt: c.started, FinishedAt: c.finished,
	}
}

// ports maps the container's ports to those that they are published on.
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

// labels is a copy, never null in JSON.
func (c *ctr) labels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, c.config.Labels)
	return labels
}

// endpoints are the networks that the container is connected to, by name.
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
