package simulator

import (
	"net/http"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// Container is a container of the cluster as Docker reports it.
type Container struct {
	ID, Name, Node, Image          string // Name without the node
	Args, Env                      []string
	Labels                         map[string]string
	State                          string // created, running, restarting, exited or removing
	ExitCode, RestartCount         int
	Ports                          map[uint16]uint16 // published, by the container's own
	Networks                       []string          // by name, of simulated engines only
	Created, StartedAt, FinishedAt time.Time
}

// Inventory is what DTR's API is computed from: containers alone, so that it works
// with simulated engines and with real ones.
type Inventory interface {
	// List lists the containers of the nodes that are up, running or not.
	List() []Container
	// Ended lists the containers that stopped running since the last call, those
	// that are gone by now included.
	Ended() []Container
}

// Engines are real Docker Engines that a cluster uses, so that the containers are
// real and the rest of the cluster is simulated.
type Engines interface {
	Inventory
	// Handler serves the Docker Engine API of all engines the way UCP does: one
	// list for all nodes, and constraints that say where a container goes.
	Handler() http.Handler
	// APIVersion is the newest Engine API version that all of them speak.
	APIVersion() string
	// Watch calls observe after each change of containers, until stop is called.
	// Containers that ended before are not reported as ended.
	Watch(observe func()) (stop func())
}

// Running reports whether the container runs.
func (c Container) Running() bool { return c.State == "running" }

// unlisted reports whether the container is of a replica that DTR does not list.
func (c Container) unlisted() bool { return c.Labels[standin.LabelUnlisted] != "" }

// upgrades reports whether the container is a bootstrapper that changes the cluster.
func (c Container) upgrades() bool {
	return release.IsBootstrapper(c.Image) && !slices.Contains(c.Args, standin.CommandBackup)
}

// Version is the tag of the image.
func (c Container) Version() string {
	_, tag := release.SplitRef(c.Image)
	return tag
}

// Component splits the name of a replica's container into part ("nginx") and
// replica id.
func (c Container) Component() (partName, replica string, ok bool) {
	_, p, replica, ok := release.ParseContainerName(c.Name)
	return p.Name, replica, ok
}
