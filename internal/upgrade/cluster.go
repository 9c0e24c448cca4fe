package upgrade

import (
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Cluster is the way to one DTR cluster and to the UCP cluster that it runs on.
type Cluster struct {
	DTR *dtr.Client
	UCP *ucp.Client
	// Login is what the bootstrapper is given to reach UCP with. An empty CA
	// means: ask UCP for its own, once the connection to it is verified.
	Login bootstrap.UCP
	// Docker is the engine that runs the bootstrapper; nil runs it through UCP,
	// on the node of the replica that it connects to.
	Docker *ucp.DockerConfig
	// NetworkMode is the network mode of the bootstrapper's container; "" is
	// the engine's default.
	NetworkMode string
}

// Options is what a run is asked to do.
type Options struct {
	// Host is the external host of the cluster that is meant; "" accepts any.
	Host string

	Target *semver.Version
	Via    []*semver.Version // ascending, below Target

	// ExistingReplicaID is the replica that the bootstrapper connects to; "" is
	// the first healthy one by id.
	ExistingReplicaID string

	Repository string            // of the bootstrapper's image; "" is the vendor's for the version
	Pull       PullPolicy        // "" is PullMissing
	Digests    map[string]string // version to sha256:...; other content is refused
	Archives   map[string]string // version to a file that docker save wrote; nothing is pulled for that version

	Backup *Backup // nil takes none

	// Applied is the target of the last run that succeeded, nil when there was
	// none. Nothing up to it is doubted: no images are asked for, and no migration
	// is missed that left no trace.
	Applied *semver.Version

	Window *Window // when bootstrappers may be started; nil is always

	Retriggers      int           // how often a migration job that DTR gave up is started again
	MaxInterruption time.Duration // a longer measured interruption is a warning; 0 is no limit
	SkipChecks      map[Check]bool

	ProviderVersion string // written on the bootstrapper's container
	Pace            Pace
	Now             func() time.Time // what the window is held against; nil is time.Now

	applying bool // by a run, which is on the machine whose files count
	backedUp bool // by this run
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Backup asks for a backup before the first hop that is not begun.
type Backup struct {
	File string // must not exist; "" while it is not known
}

// stops are the versions to come by, the target last; none without a target.
func (o Options) stops() []*semver.Version {
	if o.Target == nil {
		return nil
	}
	return append(append(make([]*semver.Version, 0, len(o.Via)+1), o.Via...), o.Target)
}

// ahead are the stops above what was applied already.
func (o Options) ahead() []*semver.Version {
	return slices.DeleteFunc(o.stops(), func(v *semver.Version) bool {
		return o.Applied != nil && !v.GreaterThan(o.Applied)
	})
}

// bootstrapperImages are the bootstrapper's images at all stops.
func (o Options) bootstrapperImages() []string {
	var images []string
	for _, v := range o.ahead() {
		images = append(images, bootstrap.Image(o.Repository, v))
	}
	return images
}

// componentImages are the images of a replica's parts at all stops.
func (o Options) componentImages() []string {
	var images []string
	for _, v := range o.ahead() {
		images = append(images, bootstrap.ComponentImages(o.Repository, v)...)
	}
	return images
}

// archived says whether an image comes out of an archive.
func (o Options) archived(image string) bool {
	_, version := splitImage(image)
	return o.Archives[version] != ""
}

// PullPolicy says when the bootstrapper's image is pulled.
type PullPolicy string

// The pull policies, with the meaning they have for containers elsewhere.
const (
	PullMissing PullPolicy = "missing"
	PullAlways  PullPolicy = "always"
	PullNever   PullPolicy = "never"
)

// Pace is how often a run looks and how long it puts up with what it sees.
// Fields that are zero take the value of DefaultPace.
type Pace struct {
	// Poll is the longest pause between two looks at the cluster. The first
	// pauses are shorter, so that what is quick is not waited for.
	Poll time.Duration
	// Probe is the pause between two availability probes, and the time that one
	// may take.
	Probe time.Duration
	// Consistent is how long UCP's inventory may lag behind a bootstrapper that
	// has ended.
	Consistent time.Duration
	// Healthy is how long replicas may take to report good health once their
	// containers run the target.
	Healthy time.Duration
	// MigrationStart is how long DTR may take to start its migration job, and to
	// start a job again that it means to retry.
	MigrationStart time.Duration
	// CacheAnswer is how long a content cache may take to answer once it runs.
	CacheAnswer time.Duration
	// Outage is how long DTR, UCP or the engine may be out of reach while a run
	// waits on them.
	Outage time.Duration
}

// DefaultPace suits real clusters. Healthy follows the bootstrapper's own limit
// for the database, 600 seconds.
var DefaultPace = Pace{
	Poll:           5 * time.Second,
	Probe:          500 * time.Millisecond,
	Consistent:     30 * time.Second,
	Healthy:        12 * time.Minute,
	MigrationStart: 5 * time.Minute,
	CacheAnswer:    2 * time.Minute,
	Outage:         10 * time.Minute,
}

func (p Pace) orDefault() Pace {
	for _, f := range []struct{ value, fallback *time.Duration }{
		{&p.Poll, &DefaultPace.Poll},
		{&p.Probe, &DefaultPace.Probe},
		{&p.Consistent, &DefaultPace.Consistent},
		{&p.Healthy, &DefaultPace.Healthy},
		{&p.MigrationStart, &DefaultPace.MigrationStart},
		{&p.CacheAnswer, &DefaultPace.CacheAnswer},
		{&p.Outage, &DefaultPace.Outage},
	} {
		if *f.value == 0 {
			*f.value = *f.fallback
		}
	}
	return p
}
