package upgrade

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// The job that the upgrade from 2.5 to 2.6 is followed by (upgrade documentation,
// "Metadata Store Migration").
const (
	metadataStoreMigration = "metadatastoremigration"
	metadataStoreVersion   = "2.6"
)

// labelMigrated on the bootstrapper's container says that the metadata store had
// been migrated before the hop: DTR then has no migration to start.
const labelMigrated = "com.github.dtr-upgrade.metadata-store-migrated"

// migrationJobs are the jobs that move data from one minor version's form to the
// next one's, with the version that they lead to.
var migrationJobs = []struct{ action, leadsTo string }{
	{metadataStoreMigration, metadataStoreVersion},
	{"scannedlayermigration", "2.5"},
	{"tagmigration", "2.2"},
	{"bloblinkmigration", "2.2"},
}

// migrationSince is the time from which on attempts belong to the hop that made
// the containers that run now. DTR starts its job once the last is replaced.
func migrationSince(i *cluster.Inventory) time.Time {
	var t time.Time
	for _, r := range i.Replicas {
		if n := r.Newest(); n.After(t) {
			t = n
		}
	}
	return t
}

// pendingMigration is a migration of an earlier hop that is not done.
type pendingMigration struct {
	action string
	job.State
	err error // an unknown status word
}

// pendingMigration finds a migration that has to be over before anything else
// is done: one at work whatever the version, and one that failed on the version
// that it leads to. The metadata store's opt-in migration on 2.5 may have failed,
// since 2.6 makes it again.
func (obs *Observation) pendingMigration(current *semver.Version) *pendingMigration {
	for _, migration := range migrationJobs {
		state, err := job.StateOf(obs.Jobs[migration.action], time.Time{})
		p := &pendingMigration{action: migration.action, State: state, err: err}
		switch {
		case err != nil, state.Phase == job.Running, state.Phase == job.Retrying:
			return p
		case state.Phase == job.GaveUp && minor(current.String()) == migration.leadsTo:
			return p
		}
	}
	return nil
}

// owesMigration reports whether a cluster on 2.6 shows no sign of the metadata
// store's migration: DTR may not have started it yet when an earlier run was cut
// short. Online garbage collection is a sign, since it works on a migrated store
// alone; it outlasts the job in DTR's history.
func (obs *Observation) owesMigration(current *semver.Version) bool {
	state, err := job.StateOf(obs.Jobs[metadataStoreMigration], time.Time{})
	return minor(current.String()) == metadataStoreVersion && (err != nil || state.Phase != job.Done) && !obs.migrated()
}

// migrated reports whether the metadata store was migrated so long ago that DTR has
// dropped the job from its history. Having opted in to it is no proof, since the
// migration may have failed.
func (obs *Observation) migrated() bool {
	return obs.Features.OnlineGCEnabled && len(obs.Jobs[metadataStoreMigration]) == 0
}

// migratedBefore is migrated, asked of a cluster on which the hop to 2.6 has not
// begun: a replica on 2.6 may answer otherwise.
func (obs *Observation) migratedBefore() bool {
	onLater := func(v *semver.Version) bool { return v.Major() > 2 || v.Major() == 2 && v.Minor() > 5 }
	return !slices.ContainsFunc(obs.Versions(), onLater) && obs.migrated()
}

// migrated reports whether the hop has no migration, or all of them are done.
func (r *run) migrated(hop transition.Hop) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		attempts := 0
		for _, action := range hop.MigrationJobs {
			state, err := r.readMigration(ctx, hop, action)
			if unknown := (*dtr.UnknownStatusError)(nil); errors.As(err, &unknown) {
				return false, nil // migrate reports it with the job's log
			}
			if err != nil || state.Phase != job.Done {
				return false, err
			}
			attempts += state.Attempts
		}
		r.report.MigrationAttempts += attempts
		return true, nil
	}
}

// readMigration reads where a migration of the hop stands.
func (r *run) readMigration(ctx context.Context, hop transition.Hop, action string) (job.State, error) {
	jobs, err := r.cluster.DTR.Jobs(ctx, dtr.JobFilter{Action: action, Limit: job.Recent})
	if err != nil {
		return job.State{}, err
	}
	var since time.Time
	if !hop.From.Equal(hop.To) {
		inventory, err := cluster.Inspect(ctx, r.cluster)
		if err != nil {
			return job.State{}, err
		}
		since = migrationSince(inventory)
	}
	state, err := job.StateOf(jobs, since)
	if err == nil && state.Phase == job.Absent {
		c, found, err := r.runner.Find(ctx)
		if err != nil {
			return job.State{}, err
		}
		if found && c.Labels[labelMigrated] == "true" {
			state.Phase = job.Done
		}
	}
	return state, err
}

// migrate sees the migrations of a hop through: it waits for the jobs that DTR
// starts by itself, and starts one again when DTR has given it up. Its error is
// a *MigrationError, a *wait.DetachedError, or what kept it from looking.
func (r *run) migrate(ctx context.Context, hop transition.Hop) error {
	for _, action := range hop.MigrationJobs {
		m := &migration{retriggers: r.o.Retriggers, Waiter: &job.Waiter{
			Step: stepMigration, Action: action, Client: r.cluster.DTR, Pace: r.runner.Pace,
			Read: func(ctx context.Context) (job.State, error) { return r.readMigration(ctx, hop, action) },
		}}
		err := m.wait(ctx)
		r.report.MigrationAttempts += m.State.Attempts
		if err != nil {
			return err
		}
	}
	return nil
}

// migration is one migration that is waited for.
type migration struct {
	*job.Waiter
	retriggers int    // left
	failed     string // the attempt after which the job was started again
}

func (m *migration) wait(ctx context.Context) error {
	err := m.Wait(ctx, func(ctx context.Context) (bool, error) {
		cause := m.Overdue()
		switch {
		case cause == nil:
			return m.State.Phase == job.Done, nil
		case errors.Is(cause, job.ErrOrphaned):
			return false, cause // not started again: it may be taken on yet
		case m.State.Phase == job.GaveUp && m.State.Job.ID == m.failed && m.Waited() <= m.Pace.MigrationStart:
			return false, nil // a list that lags behind shows the attempt that was answered already
		case m.retriggers == 0:
			return false, cause
		}
		return false, m.retrigger(ctx)
	})
	var detached *wait.DetachedError
	if err == nil || errors.As(err, &detached) {
		return err
	}
	if errors.Is(err, job.ErrNotListed) && m.Job.ID == "" {
		err = nil // that DTR never started the job is said by the error itself
	}
	return (*MigrationError)(m.Failure(ctx, err))
}

// retrigger starts the job again.
func (m *migration) retrigger(ctx context.Context) error {
	m.retriggers--
	started, err := m.Client.RunJob(ctx, m.Action, nil)
	if err != nil {
		if ctx.Err() != nil {
			return m.Detached(context.Cause(ctx))
		}
		return err
	}
	tflog.Info(ctx, "Migration job is started again", map[string]any{"action": m.Action, "job_id": started.ID, "retriggers_left": m.retriggers})
	m.Since, m.failed = time.Now(), m.State.Job.ID
	return nil
}

// minor is the first two numbers of a version as it is written: Engine 18.09 is
// no semantic version.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
