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

// preview is what the vendor puts behind the version of one that is not released.
// Whatever else stands there is a mirror's mark, as in 2.6.14-corp1.
var preview = regexp.MustCompile(`(?i)^(?:tp|rc|beta|alpha|pre|dev|latest)\b|^(?:tp|rc|beta|alpha|pre|dev)[.-]?[0-9]`)

// Inventory is what runs: every container of every replica.
type Inventory struct {
	Host     string    // DTR's external host
	Replicas []Replica // that DTR lists, by id
	// Unlisted are the replicas that DTR does not list and of which UCP shows
	// containers, by id: left of a removal, half made by a join, or another DTR's.
	// They count neither for a version nor for the cluster's being whole.
	Unlisted []Replica
	// Bootstrappers are the containers of a bootstrapper image, running or not. Those that
	// have this provider's labels are what the labels say.
	Bootstrappers []ucp.Container
	// Elsewhere stands in for a bootstrapper of this provider on an engine other than
	// UCP's, from before its start until it was seen to have ended; nil is none.
	Elsewhere *ucp.Container

	settings dtr.Settings // that the replicas are from
	disowned []string     // ids of those that have lost their labels
	// doubted are the labels of joins that the clocks of two nodes speak against, by id.
	doubted map[string]map[string]string
}

// Replica is one replica and the containers of it that UCP shows.
type Replica struct {
	ID         string
	Node       string // as UCP calls it; as DTR does where UCP shows no container
	Listed     bool   // by DTR, as a replica of the cluster
	HTTPPort   int    // that it serves on, 0 if DTR does not report it
	HTTPSPort  int
	Containers map[string]Container // by part
	Old        []string             // containers that only versions before bootstrap.LowestVersion have
}

// Container is one part of a replica.
type Container struct {
	ID       string
	Name     string
	Node     string // as UCP calls it
	Image    string
	Version  *semver.Version // nil when neither image nor labels tell it
	State    string          // "running", "exited", ...
	Status   string          // Docker's sentence, with the health check's result
	HostDown bool            // UCP does not reach the node, and State is the last that it knew
	Created  time.Time

	former bool // it has the name that the part had in earlier versions
}

// Running reports whether the container runs, and UCP can tell.
func (c Container) Running() bool { return c.State == StateRunning && !c.HostDown }

// State in words, for a container that does not run.
func (c Container) notRunning() string {
	if c.HostDown {
		return fmt.Sprintf("is on node %s, which is down", c.Node)
	}
	return "is " + c.State
}

// namePart is in the names of all containers of replicas, of the second phase, and of
// this provider.
const namePart = "dtr-"

// Inspect reads the inventory: the replicas from DTR, their containers from UCP, which
// is asked by name. Of the bootstrappers there are those of this provider, and second
// phases; InspectAll has the others. The errors are a *NoReplicasError, with which the
// inventory is returned as well, and those of the two clients.
func Inspect(ctx context.Context, c Cluster) (*Inventory, error) {
	return inspect(ctx, c, func(ctx context.Context, engine *ucp.Engine) ([]ucp.Container, error) {
		found, err := engine.ContainersNamed(ctx, namePart)
		if err == nil && len(found) == 0 { // perhaps it is the filter that finds nothing
			return listAll(ctx, c, engine)
		}
		return found, err
	})
}

// InspectAll is Inspect that has all bootstrappers, whatever their names: for that, UCP
// has to list all containers there are.
func InspectAll(ctx context.Context, c Cluster) (*Inventory, error) {
	return inspect(ctx, c, func(ctx context.Context, engine *ucp.Engine) ([]ucp.Container, error) {
		return listAll(ctx, c, engine)
	})
}

// listAll reads the list of all containers, and keeps what an inventory is made of.
func listAll(ctx context.Context, c Cluster, engine *ucp.Engine) ([]ucp.Container, error) {
	return engine.SelectContainers(ctx, patterns(c.Mirror), func(found ucp.Container) bool {
		_, part := bootstrap.ParseContainerName(found.Name)
		return part || isBootstrapper(found, c.Mirror)
	})
}

func inspect(ctx context.Context, c Cluster, list func(context.Context, *ucp.Engine) ([]ucp.Container, error)) (*Inventory, error) {
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
		containers, err = list(groupCtx, engine)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	inventory := newInventory(c.ExternalHost(settings), c, settings, containers)
	if err := inventory.checkJoins(ctx, c); err != nil {
		return nil, err
	}
	return inventory, inventory.Check(settings)
}

// NewInventory makes the inventory of the cluster with the external host: it sorts the
// containers by replica and part.
func NewInventory(host string, settings dtr.Settings, containers []ucp.Container) *Inventory {
	return newInventory(host, Cluster{}, settings, containers)
}

func newInventory(host string, from Cluster, settings dtr.Settings, containers []ucp.Container) *Inventory {
	replicas := make(map[string]*Replica)
	for id, s := range settings.Replicas {
		replicas[id] = &Replica{
			ID: id, Node: s.Node, Listed: true, HTTPPort: s.HTTPPort, HTTPSPort: s.HTTPSPort, Containers: map[string]Container{},
		}
	}
	inventory := &Inventory{Host: host, settings: settings, doubted: map[string]map[string]string{}}
	var others []ucp.Container
	for _, c := range containers {
		of, ok := bootstrap.ParseContainerName(c.Name)
		if !ok {
			others = append(others, c)
			continue
		}
		r := replicas[of.ReplicaID]
		if r == nil {
			r = &Replica{ID: of.ReplicaID, Containers: map[string]Container{}}
			replicas[of.ReplicaID] = r
		}
		r.add(of, c)
	}
	for _, id := range slices.Sorted(maps.Keys(replicas)) {
		r := replicas[id]
		r.place()
		if r.Listed {
			inventory.Replicas = append(inventory.Replicas, *r)
		} else {
			inventory.Unlisted = append(inventory.Unlisted, *r)
		}
	}
	for _, c := range others {
		inventory.addBootstrapper(c, from)
	}
	return inventory
}

// add adds one of the replica's containers.
func (r *Replica) add(of bootstrap.ReplicaContainer, c ucp.Container) {
	if of.Old {
		r.Old = append(r.Old, BaseName(c.Name))
		return
	}
	found := Container{
		ID:       c.ID,
		Name:     BaseName(c.Name),
		Node:     of.Node,
		Image:    c.Image,
		Version:  containerVersion(c),
		State:    c.State,
		Status:   c.Status,
		HostDown: c.HostDown(),
		Created:  c.Created,
		former:   of.Former,
	}
	other, ok := r.Containers[of.Part]
	switch {
	case !ok:
	case other.former != found.former: // the earlier name is that of a left-over
		if found.former {
			return
		}
	case !found.lowerThan(other):
		return // a left-over on another node, perhaps: the lower version must not be hidden
	}
	r.Containers[of.Part] = found
}

// place takes the node from UCP, the one that has the most of the replica's
// containers. DTR may call it by another name, by which UCP would place nothing.
func (r *Replica) place() {
	count := map[string]int{}
	for _, c := range r.Containers {
		if c.Node != "" {
			count[c.Node]++
		}
	}
	most := count[r.Node]
	for _, node := range slices.Sorted(maps.Keys(count)) {
		if count[node] > most {
			r.Node, most = node, count[node]
		}
	}
}

// containerVersion is the lowest of the versions that the container's image tag
// and labels tell: a label alone can be ahead of what runs.
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
		if err != nil {
			continue
		}
		if v.Prerelease() != "" && !preview.MatchString(v.Prerelease()) {
			v = semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
		}
		if lowest == nil || v.LessThan(lowest) {
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

// HostDown reports whether UCP does not reach the node that the replica is on.
func (r Replica) HostDown() bool {
	for _, c := range r.Containers {
		if c.HostDown {
			return true
		}
	}
	return false
}

// NotRunning are the replica's containers that are there and do not run.
func (r Replica) NotRunning() []Problem {
	var problems []Problem
	for _, p := range bootstrap.Parts {
		if c, ok := r.Containers[p.Name]; ok && !c.Running() {
			problems = append(problems, Problem{r.ID, c.Name, c.notRunning()})
		}
	}
	return problems
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
			switch {
			case !ok:
				problems = append(problems, Problem{r.ID, p.ContainerName(r.ID), "is missing"})
			case c.Version == nil:
				problems = append(problems, Problem{r.ID, c.Name, "runs an unknown version, image " + c.Image})
			case !c.Version.Equal(target):
				problems = append(problems, Problem{r.ID, c.Name, "runs " + c.Version.String()})
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
		return len(r.Containers) > 0 && len(r.Missing()) > 0
	})
}

// ReplicaNodes are the nodes on which UCP shows a replica, each once, in order. Where
// it shows none, only DTR names a node, and perhaps otherwise than UCP.
func (i *Inventory) ReplicaNodes() []string {
	var nodes []string
	for _, r := range i.Replicas {
		if r.Node != "" && len(r.Containers) > 0 {
			nodes = append(nodes, r.Node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// Replica finds a replica by its id, also one that DTR does not list: what a join
// has half made, or a removal has left.
func (i *Inventory) Replica(id string) (Replica, bool) {
	for _, r := range slices.Concat(i.Replicas, i.Unlisted) {
		if r.ID == id {
			return r, true
		}
	}
	return Replica{}, false
}

// IDs are the ids of the replicas that DTR lists, in order.
func (i *Inventory) IDs() []string {
	var ids []string
	for _, r := range i.Replicas {
		ids = append(ids, r.ID)
	}
	return ids
}

// Listed returns the replicas that DTR lists, without the given one.
func (i *Inventory) Listed(except string) []Replica {
	return slices.DeleteFunc(slices.Clone(i.Replicas), func(r Replica) bool { return r.ID == except })
}

// PartlyReplaced reports whether the replica has containers, but not all of them, not
// all running, or not all of one version.
func (r Replica) PartlyReplaced() bool {
	if len(r.Containers) > 0 && len(r.Missing()) > 0 {
		return true
	}
	lowest := r.Version()
	for _, c := range r.Containers {
		if !c.Running() || c.Version != nil && !c.Version.Equal(lowest) {
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

func (p Problem) subject() subject { return subject{p.ReplicaID, p.Container} }

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
