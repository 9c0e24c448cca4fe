package upgrade

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

// Labels that DTR puts on the rethinkdb container of a replica: the first on
// current releases, the second, which holds a sentence, on older ones.
const (
	labelVersion = "com.docker.dtr.version"
	labelProject = "com.docker.compose.project"
)

var projectVersion = regexp.MustCompile(`^Docker Trusted Registry (\S+) - \(Replica`)

// Inventory is what runs: every container of every replica.
type Inventory struct {
	Host     string    // DTR's external host
	Replicas []Replica // by id
	// Bootstrappers are the containers of a bootstrapper image, running or not.
	Bootstrappers []ucp.Container
}

// Replica is one replica and the containers of it that UCP shows.
type Replica struct {
	ID         string
	Node       string // as UCP calls it
	Listed     bool   // by DTR, as a replica of the cluster
	HTTPPort   int    // that it serves on, 0 where DTR does not say
	HTTPSPort  int
	Containers map[string]Container
}

// Container is one part of a replica.
type Container struct {
	Name    string
	Version *semver.Version // nil when it cannot be told
	State   string          // "running", "exited", ...
	Status  string          // Docker's sentence, with the health check's result
	Created time.Time
}

// Inspect reads the inventory: DTR says which replicas there are, UCP which
// containers run. The errors are a *NoReplicasError and those of the two clients.
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
	inventory := newInventory(c.DTR.URL(), settings, containers)
	return inventory, inventory.check(settings)
}

// externalHost is DTR's external host. The address that DTR was asked at stands in
// for one that is not set.
func externalHost(address string, settings dtr.Settings) string {
	if settings.DTRHost != "" {
		return settings.DTRHost
	}
	_, host, _ := strings.Cut(address, "://")
	return host
}

// isMeant refuses another external host than the one that is wanted, if one is.
// The error is an *OtherClusterError.
func isMeant(want, host string) error {
	if want != "" && !strings.EqualFold(want, host) {
		return &OtherClusterError{Want: want, Got: host}
	}
	return nil
}

// newInventory sorts containers by replica and part.
func newInventory(address string, settings dtr.Settings, containers []ucp.Container) *Inventory {
	replicas := make(map[string]*Replica)
	for id, s := range settings.Replicas {
		replicas[id] = &Replica{
			ID: id, Node: s.Node, Listed: true, HTTPPort: s.HTTPPort, HTTPSPort: s.HTTPSPort, Containers: map[string]Container{},
		}
	}
	inventory := &Inventory{Host: externalHost(address, settings)}
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
			continue // left behind on another node, perhaps: the lower version must not be hidden
		}
		r.Containers[part] = found
	}
	for _, id := range slices.Sorted(maps.Keys(replicas)) {
		inventory.Replicas = append(inventory.Replicas, *replicas[id])
	}
	return inventory
}

// containerVersion is the lowest of the versions that the container's image tag
// and labels tell: a label alone can be ahead of what runs.
func containerVersion(c ucp.Container) *semver.Version {
	words := []string{c.Labels[labelVersion]}
	if m := projectVersion.FindStringSubmatch(c.Labels[labelProject]); m != nil {
		words = append(words, m[1])
	}
	_, tag := splitImage(c.Image)
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

// lowerThan orders containers by version; one that cannot be told is the lowest.
func (c Container) lowerThan(other Container) bool {
	return other.Version != nil && (c.Version == nil || c.Version.LessThan(other.Version))
}

// splitImage splits an image reference into repository and tag; a digest is
// dropped, and the port of a registry is not a tag.
func splitImage(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}

// missing are the parts that the replica should have and UCP does not show.
func (r Replica) missing() []string {
	var names []string
	for _, p := range bootstrap.Parts {
		if _, ok := r.Containers[p.Name]; !ok {
			names = append(names, p.Name)
		}
	}
	return names
}

// Version is the lowest version that any container of the replica runs, nil
// when UCP shows none of them.
func (r Replica) Version() *semver.Version {
	var lowest *semver.Version
	for _, c := range r.Containers {
		if c.Version != nil && (lowest == nil || c.Version.LessThan(lowest)) {
			lowest = c.Version
		}
	}
	return lowest
}

// newest is when the latest of the replica's containers was created.
func (r Replica) newest() time.Time {
	var t time.Time
	for _, c := range r.Containers {
		if c.Created.After(t) {
			t = c.Created
		}
	}
	return t
}

// Versions are the distinct versions that run, ascending.
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
// container of any replica, nil when no container is to be seen.
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

// Problems are the reasons why the inventory is not a whole cluster at the
// target, in the order of replicas and parts; none when it is.
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
				problems = append(problems, Problem{r.ID, name, "does not tell its version"})
			case !c.Version.Equal(target):
				problems = append(problems, Problem{r.ID, name, "runs " + c.Version.String()})
			}
		}
	}
	return problems
}

// at says whether every container of every replica is there at the version.
func (i *Inventory) at(v *semver.Version) bool { return len(i.Problems(v)) == 0 }

// check makes sure that the replicas that DTR lists are to be seen, one of them at
// least. Where none is, this is another UCP than the one that DTR runs on.
func (i *Inventory) check(settings dtr.Settings) error {
	shown := slices.ContainsFunc(i.Replicas, func(r Replica) bool {
		_, listed := settings.Replicas[r.ID]
		return listed && r.Version() != nil
	})
	if !shown {
		return &NoReplicasError{Listed: len(settings.Replicas)}
	}
	return nil
}

// halfDone says whether some but not all containers of a member of the cluster are
// there, which is what a bootstrapper leaves that died in the middle of it.
func (i *Inventory) halfDone() bool {
	return slices.ContainsFunc(i.Replicas, func(r Replica) bool {
		return r.Listed && len(r.Containers) > 0 && len(r.missing()) > 0
	})
}

// replicaNodes are the nodes that run a replica, each once, in order.
func (i *Inventory) replicaNodes() []string {
	var nodes []string
	for _, r := range i.Replicas {
		if r.Node != "" {
			nodes = append(nodes, r.Node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// replica finds a replica by its id.
func (i *Inventory) replica(id string) (Replica, bool) {
	for _, r := range i.Replicas {
		if r.ID == id {
			return r, true
		}
	}
	return Replica{}, false
}

// NoReplicasError says that UCP shows no container of any replica.
type NoReplicasError struct {
	Listed int // replicas that DTR lists
}

func (e *NoReplicasError) Error() string {
	return fmt.Sprintf("DTR lists %d replicas, and UCP shows no container of any of them", e.Listed)
}
