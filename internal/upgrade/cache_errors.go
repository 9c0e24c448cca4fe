package upgrade

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

// CacheTakenError says that the name of a content cache is registered for another
// host.
type CacheTakenError struct {
	Cache  dtr.ContentCache
	Wanted string // the host
}

func (e *CacheTakenError) Error() string {
	return fmt.Sprintf("content cache %s (id %s) is registered with host %s, not %s", e.Cache.Name, e.Cache.ID, e.Cache.Host, e.Wanted)
}

// CacheMissingError says that what should run the cache is not there.
type CacheMissingError struct{ Kind, Name, Node string }

func (e *CacheMissingError) Error() string {
	if e.Node != "" {
		return fmt.Sprintf("there is no %s %s on node %s", e.Kind, e.Name, e.Node)
	}
	return fmt.Sprintf("there is no %s %s", e.Kind, e.Name)
}

// CacheAmbiguousError says that several nodes have a container of the name.
type CacheAmbiguousError struct {
	Name  string
	Nodes []string
	Node  string // that was asked for; the container there cannot be replaced, since UCP makes no second one of the name
}

func (e *CacheAmbiguousError) Error() string {
	return fmt.Sprintf("container %s is on several nodes: %s", e.Name, strings.Join(e.Nodes, ", "))
}

// CacheLeftoverError says that a container has the name that the old one gets
// while a container is replaced, and is not the old one.
type CacheLeftoverError struct{ Container, Leftover, Node string }

func (e *CacheLeftoverError) Error() string {
	return fmt.Sprintf("container %s beside container %s on node %s is not the one that it replaced", e.Leftover, e.Container, e.Node)
}

// CacheAutoRemoveError says that the cache's container removes itself when it is
// stopped. It could not be put back.
type CacheAutoRemoveError struct{ Container, Node string }

func (e *CacheAutoRemoveError) Error() string {
	return fmt.Sprintf("container %s on node %s removes itself when it is stopped", e.Container, e.Node)
}

// PutBack is how it went to put the old container back.
type PutBack struct {
	Container string
	Err       error // nil when it runs again
}

// CacheUpdateError says that the cache did not come up with the new image.
type CacheUpdateError struct {
	Kind, Name, Image string
	// State is the engine's word for how it ended, Message its reason.
	State, Message string
	Problems       []string // of the tasks
	PutBack        *PutBack // nil for a service, and when nothing was there to put back
}

func (e *CacheUpdateError) Error() string {
	text := fmt.Sprintf("%s %s does not run %s: %s", e.Kind, e.Name, e.Image, e.State)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if len(e.Problems) > 0 {
		text += " (" + strings.Join(e.Problems, "; ") + ")"
	}
	return text
}

// CacheProbeError says that the cache does not answer as a registry does.
type CacheProbeError struct {
	Host    string
	After   time.Duration // 0 when nothing was changed yet
	PutBack *PutBack
	Err     error // what was seen last
}

func (e *CacheProbeError) Error() string {
	return fmt.Sprintf("the content cache at %s does not answer: %v", e.Host, e.Err)
}

func (e *CacheProbeError) Unwrap() error { return e.Err }

// CacheDetachedError says that the run stopped waiting. What was started goes on
// by itself; the next run continues from there.
type CacheDetachedError struct {
	Name  string
	Seen  []string // what was being waited for
	Cause error
}

func (e *CacheDetachedError) Error() string {
	return fmt.Sprintf("stopped waiting for content cache %s: %v", e.Name, e.Cause)
}

func (e *CacheDetachedError) Unwrap() error { return e.Cause }
