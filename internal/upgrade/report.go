package upgrade

import (
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// StepBackup is the step before the first hop, and StepUpload its second part.
const (
	StepBackup = "backup"
	StepUpload = "upload of the backup"
	// The same of a backup without an upgrade.
	StepBackupAlone = "backup without an upgrade"
	StepUploadAlone = "upload of the backup without an upgrade"
)

// The steps of a hop, besides the images and the verification.
const (
	stepUpgrade = "upgrade"
	stepTidy    = "tidy"
)

// Report is what a run did and saw.
type Report struct {
	From, To              string // From is that of the first hop of this run: after a resume, the hop's own
	PathFrom              string // the version that the way began with, in an earlier run it may be
	StartedAt, FinishedAt time.Time
	Hops                  []transition.Hop // that were not finished at the start
	Resumed               bool             // an earlier run's hop was seen to its end

	BootstrapperRuns  int // started or adopted
	MigrationAttempts int // of all migration jobs of this run's hops

	Probes, FailedProbes int
	LongestInterruption  time.Duration

	Warnings  preflight.Findings // that a plan could not show, and that still hold at the end
	Inventory *cluster.Inventory // as it was at the end; nil when the cluster did not answer
}

// Worked reports whether there was anything to do.
func (r *Report) Worked() bool { return r.Resumed || len(r.Hops) > 0 }

// run is one run of an upgrade, from its first look to its report.
type run struct {
	cluster    cluster.Cluster
	o          Options
	runner     *runner.Runner
	migrations *migration.Run
	report     *Report
	began      time.Time // by DTR's clock; zero where that is not known
	backedUp   bool      // there is a backup of before this run's hops
	looked     bool      // the first look is done: from here on an outage is waited for
	verified   bool      // the cluster was seen whole at the target
	verifiedAt time.Time // at the version of a hop, last

	seen     *cluster.Inventory // as of the last checks
	accepted map[string]bool    // replicas whose bad health was accepted then

	planned preflight.Findings // of the first look, which are those of the plan
	current *transition.Hop    // that was worked on last; nil before the first one
}

func newRun(c cluster.Cluster, o Options) *run {
	c.Mirror = o.Images.Repository
	bootstrappers := &runner.Runner{Cluster: c, ProviderVersion: o.ProviderVersion, Pace: o.Pace.OrDefault()}
	return &run{
		cluster: c, o: o, report: &Report{},
		runner:     bootstrappers,
		migrations: &migration.Run{Runner: bootstrappers, Retriggers: o.Retriggers},
	}
}
