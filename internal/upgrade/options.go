package upgrade

import (
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/window"
)

// Options is what a run is asked to do.
type Options struct {
	// Host is the external host of the cluster that is meant; "" accepts any.
	Host string

	Target *semver.Version
	Via    []*semver.Version // ascending, below Target

	// ExistingReplicaID is the replica that the bootstrapper connects to; "" is
	// the first healthy one by id.
	ExistingReplicaID string

	Images images.Source
	Backup *Backup // nil takes none

	// Applied is the target of the last run that succeeded, nil when there was
	// none. Nothing up to it is doubted: no images are asked for, and no migration
	// is missed that left no trace. As long as it is not Target, the cluster is
	// verified in every run, whatever else is due.
	Applied *semver.Version

	Window    *window.Window // when bootstrappers may be started; nil is always
	TimeLimit time.Duration  // of the apply that is planned; 0 while it is not known

	Retriggers      int           // how often a migration job that DTR gave up is started again
	MaxInterruption time.Duration // a longer measured interruption is a warning; 0 is no limit
	SkipChecks      map[preflight.Check]bool

	HCPTerraform bool // the run is on a worker of HCP Terraform, which is thrown away

	ProviderVersion string // written on the bootstrapper's container
	Pace            wait.Pace
	Now             func() time.Time // what the window is held against; nil is time.Now
}

// Backup asks for a backup before the first hop that is not begun.
type Backup struct {
	File   string           // must not exist; "" while it is not known
	Upload bool             // send it to a store as well
	Object *endpoint.Object // of that store; nil while it is not known
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// backupFile is the file of the backup, "" where none is asked for or its name is
// not known yet.
func (o Options) backupFile() string {
	if o.Backup == nil {
		return ""
	}
	return o.Backup.File
}

// stops are the versions to come by, the target last.
func (o Options) stops() []*semver.Version {
	return append(append(make([]*semver.Version, 0, len(o.Via)+1), o.Via...), o.Target)
}

// verified reports whether an earlier run has seen the cluster whole at the target.
func (o Options) verified() bool { return o.Applied != nil && o.Applied.Equal(o.Target) }

// ahead are the stops above what was applied already.
func (o Options) ahead() []*semver.Version {
	return slices.DeleteFunc(o.stops(), func(v *semver.Version) bool {
		return o.Applied != nil && !v.GreaterThan(o.Applied)
	})
}
