package ucp

import (
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
)

// Container is an entry of the list of containers.
type Container struct {
	ID string
	// Name is as the API says, without the leading slash: "dtr-api-0123456789ab", through UCP "worker1/dtr-api-0123456789ab".
	Name string
	// Node is the first part of the name, empty when the API is a single engine's.
	Node  string
	Image string
	// Command is the program and its arguments, in one line.
	Command string
	// State is a word ("running", "exited"), Status a sentence for people ("Up 3 hours").
	State, Status string
	Labels        map[string]string
	Created       time.Time
}

// hostDown is the status that UCP gives the containers of a node that it does not reach. Their state is then the last one that it knew.
const hostDown = "Host Down"

// HostDown reports whether UCP does not reach the container's node.
func (c Container) HostDown() bool { return strings.EqualFold(c.Status, hostDown) }

// Running reports whether the container has not come to its end: one that restarts or is paused may still go on.
// What its state was before its node went down proves nothing.
func (c Container) Running() bool { return running(c.State) && !c.HostDown() }

// Lost reports whether the container ran when UCP last reached its node, which is down: nobody knows whether it still does.
func (c Container) Lost() bool { return running(c.State) && c.HostDown() }

// ContainerState is an inspected container.
type ContainerState struct {
	ID, Name string
	// Status is created, running, paused, restarting, removing, exited or dead.
	Status string
	// Health is starting, healthy or unhealthy, and empty without a health check.
	Health string
	// ExitCode is meaningful when Status is exited.
	ExitCode int
	// Error is the engine's reason for not having started it.
	Error  string
	Labels map[string]string
	Env    []string
	Image  string // as it was asked for
	// ImageID is the image that the container was made from, whatever its name means by now.
	ImageID string
	// Args are what the image's program is given.
	Args    []string
	Created time.Time
	// StartedAt and FinishedAt are zero when it has not happened.
	StartedAt, FinishedAt time.Time
	// Restarts is how often the engine itself has started it again, since somebody last started it.
	Restarts   int
	AutoRemove bool // the container is removed when it stops
}

// Running reports whether the container has not come to its end: one that restarts or is paused may still go on.
func (s ContainerState) Running() bool { return running(s.Status) }

// Ended reports whether the container has run to its end. A look that comes just after a start may show what was
// before it: a container that has no time at which it ended.
func (s ContainerState) Ended() bool { return !s.Running() && !s.FinishedAt.IsZero() }

func running(state string) bool {
	switch container.ContainerState(state) {
	case container.StateRunning, container.StateRestarting, container.StatePaused:
		return true
	default:
		return false
	}
}

// CreateSpec describes a container to create. Empty fields take the engine's defaults.
type CreateSpec struct {
	Name, Image string
	// Args follow the image's entry point.
	Args, Env   []string
	Labels      map[string]string
	NetworkMode string
	// Node places the container on that node, through UCP only.
	Node      string
	LogDriver string
}

// Node is a node of the swarm.
type Node struct {
	ID, Hostname, Addr string
	// State is ready, down, ...; Availability is active, pause or drain.
	State, Availability string
	// Role is manager or worker; OS is linux, windows, or empty when the node does not say.
	Role, OS      string
	EngineVersion string
	MemoryBytes   int64
}

// Version tells what runs behind the API.
type Version struct {
	Engine string
	// UCP is empty when the API is a single engine's.
	UCP string
}
