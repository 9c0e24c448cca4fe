package contentcache

import (
	"fmt"
	"strings"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// What runs a content cache.
const (
	KindService   = "service"
	KindContainer = "container"
)

// TakenError says that the name of a content cache is registered for another
// host.
type TakenError struct {
	Cache  dtr.ContentCache
	Wanted string // the host
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("content cache %s (id %s) is registered with host %s, not %s", e.Cache.Name, e.Cache.ID, e.Cache.Host, e.Wanted)
}

// MissingError says that what should run the cache is not there.
type MissingError struct{ Kind, Name, Node string }

func (e *MissingError) Error() string {
	if e.Node != "" {
		return fmt.Sprintf("there is no %s %s on node %s", e.Kind, e.Name, e.Node)
	}
	return fmt.Sprintf("there is no %s %s", e.Kind, e.Name)
}

// AmbiguousError says that several nodes have a container of the name.
type AmbiguousError struct {
	Name  string
	Nodes []string
	Node  string // that was asked for; the container there cannot be replaced, since UCP makes no second one of the name
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("container %s is on several nodes: %s", e.Name, strings.Join(e.Nodes, ", "))
}

// NodeDownError says that the container is on a node that is down: it is not known
// what becomes of it, and it cannot be replaced.
type NodeDownError struct{ Container, Node string }

func (e *NodeDownError) Error() string {
	return fmt.Sprintf("container %s is on node %s, which is down", e.Container, e.Node)
}

// LeftoverError says that a container has the name that the old one gets
// while a container is replaced, and is not the old one.
type LeftoverError struct{ Container, Leftover, Node string }

func (e *LeftoverError) Error() string {
	return fmt.Sprintf("container %s beside container %s on node %s is not the one that it replaced", e.Leftover, e.Container, e.Node)
}

// AutoRemoveError says that the cache's container removes itself when it is
// stopped. It could not be put back.
type AutoRemoveError struct{ Container, Node string }

func (e *AutoRemoveError) Error() string {
	return fmt.Sprintf("container %s on node %s removes itself when it is stopped", e.Container, e.Node)
}

// PutBack is how it went to put the old container back.
type PutBack struct {
	Container string
	Err       error // nil when it runs again
}

// UpdateError says that the cache did not come up with the new image.
type UpdateError struct {
	Kind, Name, Image string
	// State is the engine's word for how it ended, Message its reason.
	State, Message string
	Problems       []string // of the tasks
	PutBack        *PutBack // nil for a service, and when nothing was there to put back
}

func (e *UpdateError) Error() string {
	text := fmt.Sprintf("%s %s does not run %s: %s", e.Kind, e.Name, e.Image, e.State)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if len(e.Problems) > 0 {
		text += " (" + strings.Join(e.Problems, "; ") + ")"
	}
	return text
}

// ProbeError says that the cache does not answer as a registry does.
type ProbeError struct {
	Host    string
	After   time.Duration // 0 when nothing was changed yet
	PutBack *PutBack
	Err     error // what was seen last
}

func (e *ProbeError) Error() string {
	return fmt.Sprintf("the content cache at %s does not answer: %v", e.Host, e.Err)
}

func (e *ProbeError) Unwrap() error { return e.Err }
