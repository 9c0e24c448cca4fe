package simulator

import (
	"path"
	"slices"
	"sync"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// Services that a [Fault] or a [Request] belongs to.
const (
	ServiceDTR    = "dtr"
	ServiceUCP    = "ucp"    // UCP's own API: login, CA, settings
	ServiceEngine = "engine" // the Docker Engine API, through UCP or directly
)

// Fault is something that goes wrong with matching requests. Empty matchers
// match everything; the first fault that matches is the one that happens.
type Fault struct {
	Service string // one of the Service constants
	Method  string
	Path    string // pattern of path.Match; Engine API paths without the /vX.Y prefix

	// Bootstrapper makes the fault happen to the bootstrapper's own requests,
	// and to no others. Without it they are left alone.
	Bootstrapper bool

	Delay    time.Duration // real time to wait first; alone, the request is then served
	Status   int           // answer with this status and Body
	Body     string
	Reset    bool // reset the connection; a Go client repeats a GET by itself if it had used it before
	Garbage  bool // answer 200 with a body that is not JSON
	Truncate bool // announce the whole answer, send half of it, close

	// AfterEffect carries the request out and loses the answer: the connection
	// is reset unless Status, Garbage or Truncate says otherwise.
	AfterEffect bool

	Skip  int // how many requests that match are let pass first
	Times int // how often; 0 is until removed
}

func (f Fault) matches(service, method, p string, bootstrapper bool) bool {
	if f.Bootstrapper != bootstrapper ||
		f.Service != "" && f.Service != service ||
		f.Method != "" && f.Method != method {
		return false
	}
	ok, _ := path.Match(f.Path, p)
	return ok || f.Path == ""
}

// Inject makes the fault happen from now on. Faults injected earlier come
// first. A malformed Path panics: it would never match.
func (c *Cluster) Inject(f Fault) (remove func()) {
	if _, err := path.Match(f.Path, ""); err != nil {
		panic("simulator: fault with a malformed path pattern: " + f.Path)
	}
	return c.front.inject(f)
}

// BootstrapperFaults say how bootstrappers go wrong, all of them until
// [Cluster.SetBootstrapper] is called again.
type BootstrapperFaults = standin.Faults

// SetBootstrapper sets how bootstrappers go wrong from now on, those that run
// included.
func (c *Cluster) SetBootstrapper(f BootstrapperFaults) { c.bootstrapper.set(f) }

// guarded is a value that one goroutine sets and others read.
type guarded[T any] struct {
	mu sync.Mutex
	v  T
}

func (g *guarded[T]) set(v T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.v = v
}

func (g *guarded[T]) get() T {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.v
}

// MigrationFaults says how the metadata store migration goes wrong.
type MigrationFaults struct {
	// Fail makes this many attempts fail from now on; -1 all of them.
	Fail int
	// Status is shown by a job once a worker has it, instead of what happens;
	// the job stays there.
	Status string
	// NeverStart: DTR does not schedule the job. One posted by hand runs.
	NeverStart bool
	// AlreadyDone: the cluster had opted in on 2.5, and did it there.
	AlreadyDone bool
}

// SetMigration sets how the migration goes wrong from now on.
func (c *Cluster) SetMigration(f MigrationFaults) { c.dtr.setMigration(f) }

// injector holds the faults put in and picks the one that a request meets.
type injector struct {
	mu     sync.Mutex
	faults []*Fault
}

func (i *injector) inject(f Fault) (remove func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.faults = append(i.faults, &f)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.faults = slices.DeleteFunc(i.faults, func(o *Fault) bool { return o == &f })
	}
}

func (i *injector) pick(service, method, p string, bootstrapper bool) (Fault, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, f := range i.faults {
		if !f.matches(service, method, p, bootstrapper) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		picked := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				i.faults = slices.Delete(i.faults, n, n+1)
			}
		}
		return picked, true
	}
	return Fault{}, false
}
