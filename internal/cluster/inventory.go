package cluster

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Labels that DTR puts on the rethinkdb container of a replica: the first on current
// releases, the second, which holds a sentence, on older ones.
const (
	labelVersion = "com.docker.dtr.version"
	labelProject = "com.docker.compose.project"
)

var projectVersion = regexp.MustCompile(`^Docker Trusted Registry (\S+) - \(Replica`)

// Inventory is every container of every replica, and the bootstrappers' containers.
type Inventory struct {
	Host     string    // DTR's external host
	Replicas []Replica // by id
	// Bootstrappers are the containers of a bootstrapper image, running or not.
	Bootstrappers []ucp.Container
}

// Replica is one replica and the containers of it that UCP shows.
type Replica struct {
	ID         string
	Node       string // its name in UCP
	Listed     bool   // by DTR, as a replica of the cluster
	HTTPPort   int    // that it serves on, 0 if DTR does not report it
	HTTPSPort  int
	Containers map[string]Container
}

// Container is one part of a replica.
type Container struct {
	Name    string
	Version *semver.Version // nil if neither image nor labels name it
	State   string          // "running", "exited", ...
	Status  string          // Docker's sentence, with the health check's result
	Created time.Time
}

// Inspect reads the inventory: the replicas from DTR, their containers from UCP. The
// errors are a *NoReplicasError, with which the inventory is returned as well, and
// those of the two clients.
func Inspect(ctx context.Context, c Cluster) (*Inventory, error) {
	var settings dtr.Settings
	var containers []ucp.Container
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		settings, err = c.DTR.Settings(groupCtx)
		return err
	})
	group.Go(func() error {
		engine, err := c.UCP.Engine(groupCtx)
		if err != nil {
			return err
		}
		containers, err = engine.Containers(groupCtx, nil)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	inventory := NewInventory(c.ExternalHost(settings), settings, containers)
	return inventory, inventory.Check(settings)
}

// NewInventory makes the inventory of the cluster with the external host: it sorts the
// containers by replica and part.
func NewInventory(host string, settings dtr.Settings, containers []ucp.Container) *Inventory {
	replicas := make(map[string]*Replica)
	for id, s := range settings.Replicas {
		replicas[id] = &Replica{
			ID: id, Node: s.Node, Listed: true, HTTPPort: s.HTTPPort, HTTPSPort: s.HTTPSPort, Containers: map[string]Container{},
		}
	}
	inventory := &Inventory{Host: host}
	for _, c := range containers {
		node, part, id, ok := bootstrap.ParseContainerName(c.Name)
		if !ok {
			if isBootstrapper(c) {
				inventory.Bootstrappers = append(inventory.Bootstrappers, c)
			}
			continue
		}
		r := replicas[id]
		if r == nil { // a replica that DTR does not list still counts for the lowest version
			r = &Replica{ID: id, Node: node, Containers: map[string]Container{}}
			replicas[id] = r
		}
		found := Container{
			Name:    "dtr-" + part + "-" + id,
			Version: containerVersion(c),
			State:   c.State,
			Status:  c.Status,
			Created: c.Created,
		}
		if other, ok := r.Containers[part]; ok && !found.lowerThan(other) {
			continue // an old one on another node, perhaps: the lower version must not be hidden
		}
		r.Containers[part] = found
	}
	for _, id := range slices.Sorted(maps.Keys(replicas)) {
		inventory.Replicas = append(inventory.Replicas, *replicas[id])
	}
	return inventory
}

// containerVersion is the lowest of the versions in the container's image tag and its
// labels: a label alone can be ahead of what runs.
func containerVersion(c ucp.Container) *semver.Version {
	words := []string{c.Labels[labelVersion]}
	if m := projectVersion.FindStringSubmatch(c.Labels[labelProject]); m != nil {
		words = append(words, m[1])
	}
	_, tag := ParseImage(c.Image)
	words = append(words, tag)

	var lowest *semver.Version
	for _, w := range words {
		v, err := transition.ParseWire(w)
		if err == nil && (lowest == nil || v.LessThan(lowest)) {
			lowest = v
		}
	}
	return lowest
}

// lowerThan reports whether the container's version is lower; an unknown version is
// the lowest.
func (c Container) lowerThan(other Container) bool {
	return other.Version != nil && (c.Version == nil || c.Version.LessThan(other.Version))
}

// Missing returns the parts that the replica should have and UCP does not show.
func (r Replica) Missing() []string {
	var names []string
	for _, p := range bootstrap.Parts {
		if _, ok := r.Containers[p.Name]; !ok {
			names = append(names, p.Name)
		}
	}
	return names
}

// Version is the lowest version that any container of the replica runs, nil if UCP
// shows none of them.
func (r Replica) Version() *semver.Version {
	var lowest *semver.Version
	for _, c := range r.Containers {
		if c.Version != nil && (lowest == nil || c.Version.LessThan(lowest)) {
			lowest = c.Version
		}
	}
	return lowest
}

// Newest is the time at which the newest of the replica's containers was created.
func (r Replica) Newest() time.Time {
	var t time.Time
	for _, c := range r.Containers {
		if c.Created.After(t) {
			t = c.Created
		}
	}
	return t
}

// Versions returns the distinct versions that run, ascending.
func (i *Inventory) Versions() []*semver.Version {
	var versions []*semver.Version
	for _, r := range i.Replicas {
		for _, c := range r.Containers {
			if c.Version != nil {
				versions = append(versions, c.Version)
			}
		}
	}
	slices.SortFunc(versions, (*semver.Version).Compare)
	return slices.CompactFunc(versions, (*semver.Version).Equal)
}

// CurrentVersion is the version of the cluster: the lowest that runs in any
// container of any replica, nil if UCP shows no container.
func (i *Inventory) CurrentVersion() *semver.Version {
	if versions := i.Versions(); len(versions) > 0 {
		return versions[0]
	}
	return nil
}

// ReplicaVersions maps each replica to its lowest version, nil for one that DTR
// lists and UCP does not show.
func (i *Inventory) ReplicaVersions() map[string]*semver.Version {
	versions := make(map[string]*semver.Version, len(i.Replicas))
	for _, r := range i.Replicas {
		versions[r.ID] = r.Version()
	}
	return versions
}

// Problems returns each container that is missing or not at the target, in the order
// of replicas and parts. There are none if the whole cluster is at the target.
func (i *Inventory) Problems(target *semver.Version) []Problem {
	if len(i.Replicas) == 0 {
		return []Problem{{Text: "no replica is listed"}}
	}
	var problems []Problem
	for _, r := range i.Replicas {
		for _, p := range bootstrap.Parts {
			c, ok := r.Containers[p.Name]
			name := "dtr-" + p.Name + "-" + r.ID
			switch {
			case !ok:
				problems = append(problems, Problem{r.ID, name, "is missing"})
			case c.Version == nil:
				problems = append(problems, Problem{r.ID, name, "runs an unknown version"})
			case !c.Version.Equal(target):
				problems = append(problems, Problem{r.ID, name, "runs " + c.Version.String()})
			}
		}
	}
	return problems
}

// At reports whether every container of every replica is there at the version.
func (i *Inventory) At(v *semver.Version) bool { return len(i.Problems(v)) == 0 }

// Check returns a *NoReplicasError unless UCP shows at least one of the replicas that
// DTR lists. If it shows none, it is not the UCP that DTR runs on.
func (i *Inventory) Check(settings dtr.Settings) error {
	shown := slices.ContainsFunc(i.Replicas, func(r Replica) bool {
		_, listed := settings.Replicas[r.ID]
		return listed && r.Version() != nil
	})
	if !shown {
		return &NoReplicasError{Listed: len(settings.Replicas)}
	}
	return nil
}

// HalfDone reports whether a replica that DTR lists has some but not all of its
// containers, as after a bootstrapper that died in the middle of it.
func (i *Inventory) HalfDone() bool {
	return slices.ContainsFunc(i.Replicas, func(r Replica) bool {
		return r.Listed && len(r.Containers) > 0 && len(r.Missing()) > 0
	})
}

// ReplicaNodes returns the nodes that run a replica, each once, in order.
func (i *Inventory) ReplicaNodes() []string {
	var nodes []string
	for _, r := range i.Replicas {
		if r.Node != "" {
			nodes = append(nodes, r.Node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// Replica finds a replica by its id.
func (i *Inventory) Replica(id string) (Replica, bool) {
	for _, r := range i.Replicas {
		if r.ID == id {
			return r, true
		}
	}
	return Replica{}, false
}

// IDs returns the ids of the replicas, in order.
func (i *Inventory) IDs() []string {
	var ids []string
	for _, r := range i.Replicas {
		ids = append(ids, r.ID)
	}
	return ids
}

// Listed returns the replicas that DTR lists, without the given one.
func (i *Inventory) Listed(except string) []Replica {
	return slices.DeleteFunc(slices.Clone(i.Replicas), func(r Replica) bool { return !r.Listed || r.ID == except })
}

// PartlyReplaced reports whether the replica has containers, but not all of them, not
// all running, or not all of one version.
func (r Replica) PartlyReplaced() bool {
	if len(r.Containers) > 0 && len(r.Missing()) > 0 {
		return true
	}
	lowest := r.Version()
	for _, c := range r.Containers {
		if c.State != StateRunning || c.Version != nil && !c.Version.Equal(lowest) {
			return true
		}
	}
	return false
}

// Problem is one reason why a cluster is not completely at a version, or unhealthy.
type Problem struct {
	ReplicaID string // "" for the cluster as a whole
	Container string // "" for the replica as a whole
	Text      string // "runs 2.5.6", "health: ..."
}

func (p Problem) String() string {
	switch {
	case p.Container != "":
		return p.Container + " " + p.Text
	case p.ReplicaID != "":
		return "replica " + p.ReplicaID + " " + p.Text
	}
	return p.Text
}

// ProblemsText is the problems in one line.
func ProblemsText(problems []Problem) string {
	texts := make([]string, 0, len(problems))
	for _, p := range problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}

// NoReplicasError says that UCP shows no container of any replica.
type NoReplicasError struct {
	Listed int // replicas that DTR lists
}

func (e *NoReplicasError) Error() string {
	return fmt.Sprintf("DTR lists %d replicas, and UCP shows no container of any of them", e.Listed)
}
