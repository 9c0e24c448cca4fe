package upgrade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// The job that the upgrade from 2.5 to 2.6 is followed by (upgrade documentation,
// "Metadata Store Migration").
const (
	metadataStoreMigration = "metadatastoremigration"
	metadataStoreVersion   = "2.6"
)

// Labels of the bootstrapper's container that tell what DTR's jobs were before the hop.
// They are carried on to the container of another attempt at the hop.
const (
	// labelMigrated says that the metadata store had been migrated: DTR then has no
	// migration to start.
	labelMigrated = "com.github.dtr-upgrade.metadata-store-migrated"
	// labelEarlierJob, with an action after it, is the id of the newest job that DTR
	// listed, "" for none. Whether a job is of before the hop is told by that, since
	// the clocks of DTR and of the nodes need not agree.
	labelEarlierJob = "com.github.dtr-upgrade.earlier-job."
)

// migrationJobs are the jobs that move data from one minor version's form to the
// next one's, with the version that they lead to.
var migrationJobs = []struct{ action, leadsTo string }{
	{metadataStoreMigration, metadataStoreVersion},
	{"scannedlayermigration", "2.5"},
	{"tagmigration", "2.2"},
	{"bloblinkmigration", "2.2"},
}

// migrationLabels notes on the bootstrapper's container what is known of before the
// hop.
func (r *run) migrationLabels(ctx context.Context, obs *Observation, hop transition.Hop, labels map[string]string) error {
	earlier := obs.labelsOfHop(hop) // the replicas answer otherwise by now
	if obs.migratedBefore() || earlier[labelMigrated] == "true" {
		labels[labelMigrated] = "true"
	}
	if hop.From.Equal(hop.To) {
		return nil // all jobs are the hop's own
	}
	for _, action := range hop.MigrationJobs {
		id, known := earlier[labelEarlierJob+action]
		if !known {
			jobs, err := r.cluster.DTR.Jobs(ctx, dtr.JobFilter{Action: action, Limit: 1})
			if err != nil {
				return err
			}
			if len(jobs) > 0 {
				id = jobs[0].ID
			}
		}
		labels[labelEarlierJob+action] = id
	}
	return nil
}

// labelsOfHop are those of the containers that were made for the hop by attempts that
// broke off. All of them tell the same of before the hop, or nothing.
func (obs *Observation) labelsOfHop(hop transition.Hop) map[string]string {
	labels := map[string]string{}
	for _, c := range obs.Bootstrappers {
		if c.Labels[cluster.LabelCluster] == obs.Host && isForHop(c.Labels, hop) {
			maps.Copy(labels, c.Labels)
		}
	}
	return labels
}

// tellsOfBefore reports whether labels say something of before their hop that the
// cluster no longer shows.
func tellsOfBefore(labels map[string]string) bool {
	if labels[labelMigrated] == "true" {
		return true
	}
	for name := range labels {
		if strings.HasPrefix(name, labelEarlierJob) {
			return true
		}
	}
	return false
}

// pendingMigration is a migration of an earlier hop that is not done.
type pendingMigration struct {
	action string
	job.State
	err error // an unknown status word
}

// pendingMigration finds a migration that has to be over before anything else is
// done.
func (obs *Observation) pendingMigration() *pendingMigration {
	for _, migration := range migrationJobs {
		state, err := job.StateOf(obs.Jobs[migration.action], "")
		if err != nil || obs.mustEnd(state, migration.leadsTo) {
			return &pendingMigration{action: migration.action, State: state, err: err}
		}
	}
	return nil
}

// mustEnd reports whether nothing else may be begun while a migration is in the
// state: it is at work, or it has failed on the version that it leads to. What an
// earlier version left undone the cluster has come without since, and the metadata
// store's opt-in migration on 2.5 is made again by 2.6.
func (obs *Observation) mustEnd(s job.State, leadsTo string) bool {
	if s.Phase == job.Running && !s.Job.Status.Orphaned() {
		return true
	}
	return minor(obs.CurrentVersion().String()) == leadsTo && s.Phase != job.Absent && s.Phase != job.Done
}

// ownMigration reports whether the hop itself waits for the migration, and starts it
// again where it fails.
func (obs *Observation) ownMigration(hop transition.Hop, action string) bool {
	return slices.Contains(hop.MigrationJobs, action) && slices.ContainsFunc(obs.Versions(), hop.To.Equal)
}

// awaitMigrations waits for migrations that DTR runs by itself, other than the hop's
// own: no bootstrapper is started beside one. Its errors are those of migrate.
func (r *run) awaitMigrations(ctx context.Context, obs *Observation, hop transition.Hop) error {
	for _, migration := range migrationJobs {
		if obs.ownMigration(hop, migration.action) {
			continue
		}
		w := r.waiter(migration.action)
		w.Read = func(ctx context.Context) (job.State, error) {
			jobs, err := r.jobs(ctx, migration.action)
			if err != nil {
				return job.State{}, err
			}
			state, err := job.StateOf(jobs, "")
			if err == nil && !obs.mustEnd(state, migration.leadsTo) {
				return job.State{}, nil
			}
			return state, err
		}
		err := w.Wait(ctx, func(context.Context) (bool, error) {
			if w.State.Phase == job.Absent {
				return true, nil
			}
			return false, w.Overdue()
		})
		if err != nil {
			return migrationError(ctx, w, err)
		}
	}
	return nil
}

// resumesMigration reports whether a run on 2.6 has the metadata store's migration to
// see through: it is not over, or there is no sign of it, as where DTR had not started
// it yet when an earlier run was cut short. A state that was applied on 2.6 already
// misses none, nor does a patch upgrade.
func (obs *Observation) resumesMigration(current *semver.Version, o Options) bool {
	if minor(current.String()) != metadataStoreVersion {
		return false
	}
	pending := obs.pendingMigration()
	if pending != nil && pending.action == metadataStoreMigration {
		return true
	}
	return (o.Applied == nil || before26(o.Applied)) && obs.owesMigration(current)
}

// owesMigration reports whether a cluster on 2.6 shows no sign of the metadata
// store's migration. Online garbage collection is a sign, since it works on a migrated
// store alone; it outlasts the job in DTR's history.
func (obs *Observation) owesMigration(current *semver.Version) bool {
	state, err := job.StateOf(obs.Jobs[metadataStoreMigration], "")
	return minor(current.String()) == metadataStoreVersion && (err != nil || state.Phase != job.Done) && !obs.migrated()
}

// before26 reports whether a version is one that the metadata store is migrated after.
func before26(v *semver.Version) bool { return v.Major() < 2 || v.Major() == 2 && v.Minor() < 6 }

// migrated reports whether the metadata store was migrated so long ago that DTR has
// dropped the job from its history. Having opted in to it is no proof, since the
// migration may have failed.
func (obs *Observation) migrated() bool {
	return obs.Features.OnlineGCEnabled && len(obs.Jobs[metadataStoreMigration]) == 0
}

// migratedBefore is migrated, asked of a cluster on which the hop to 2.6 has not
// begun: a replica on 2.6 may answer otherwise.
func (obs *Observation) migratedBefore() bool {
	later := func(v *semver.Version) bool { return !before26(v) }
	return !slices.ContainsFunc(obs.Versions(), later) && obs.migrated()
}

// jobs are the latest jobs of an action.
func (r *run) jobs(ctx context.Context, action string) ([]dtr.Job, error) {
	return r.cluster.DTR.Jobs(ctx, dtr.JobFilter{Action: action, Limit: job.Recent})
}

func (r *run) waiter(action string) *job.Waiter {
	return &job.Waiter{Step: stepMigration, Action: action, Client: r.cluster.DTR, Pace: r.runner.Pace}
}

// migrationError is the error of a wait for a migration: a *wait.DetachedError, and
// what a container is in the way of, stay what they are; anything else becomes a
// *MigrationError.
func migrationError(ctx context.Context, w *job.Waiter, err error) error {
	_, detached := errors.AsType[*wait.DetachedError](err)
	_, blocked := errors.AsType[*runner.BlockedError](err)
	_, foreign := errors.AsType[*runner.ForeignContainerError](err)
	if detached || blocked || foreign {
		return err
	}
	if errors.Is(err, job.ErrNotListed) && w.Job.ID == "" {
		err = nil // that DTR never started the job is said by the error itself
	}
	return (*MigrationError)(w.Failure(ctx, err))
}

// noMigration reports whether the hop has none.
func noMigration(hop transition.Hop) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return len(hop.MigrationJobs) == 0, nil }
}

// migrate sees the migrations of a hop through: it waits for the jobs that DTR
// starts by itself, and starts one again when DTR has given it up. Its error is
// one of migrationError.
func (r *run) migrate(ctx context.Context, hop transition.Hop) error {
	for _, action := range hop.MigrationJobs {
		m := &migration{Waiter: r.waiter(action), retriggers: r.o.Retriggers, lock: &postLock{run: r}}
		var labels map[string]string // of the container, which another apply may remove meanwhile
		gone := wait.Lasting{Limit: r.runner.Pace.Consistent}
		m.Read = func(ctx context.Context) (job.State, error) {
			if labels == nil {
				c, found, err := r.runner.Find(ctx)
				if err != nil {
					return job.State{}, err
				}
				// Without it an attempt from before the hop would count.
				if !found && hop.Rule != transition.Same && !gone.Seen(true) {
					return job.State{}, fmt.Errorf("container %s is not shown", r.runner.ContainerName())
				}
				labels = c.Labels
			}
			jobs, err := r.jobs(ctx, action)
			if err != nil {
				return job.State{}, err
			}
			state, err := job.StateOf(jobs, labels[labelEarlierJob+action])
			if err == nil && state.Phase == job.Absent && labels[labelMigrated] == "true" {
				state.Phase = job.Done
			}
			return state, err
		}
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
	retriggers int // left
	lock       *postLock

	posted bool   // by this run, and DTR does not list the job yet
	after  string // the attempt that DTR listed last when it was
	unsure error  // of a post whose answer was lost
}

func (m *migration) wait(ctx context.Context) error {
	defer func() {
		if m.unsure == nil || ctx.Err() == nil { // else the next apply must not be sooner than the job
			m.lock.release(ctx)
		}
	}()
	err := m.Wait(ctx, func(ctx context.Context) (bool, error) {
		if m.posted && m.State.Job.ID != m.after {
			m.posted, m.unsure = false, nil
			m.lock.release(ctx)
		}
		cause := m.Overdue()
		switch {
		case m.posted && m.State.Phase != job.Done:
			if m.Waited() <= m.Pace.MigrationStart {
				return false, nil // a list that lags behind shows the attempt before
			}
			return false, cmp.Or(m.unsure, job.ErrNotListed)
		case cause == nil:
			return m.State.Phase == job.Done, nil
		case errors.Is(cause, job.ErrOrphaned):
			return false, cause // not started again: it may be taken on yet
		case m.retriggers == 0:
			return false, cause
		}
		return false, m.retrigger(ctx)
	})
	if err == nil {
		return nil
	}
	return migrationError(ctx, m.Waiter, err)
}

// retrigger starts the job again, unless another apply is about to, or has done so by
// now. A post whose answer was lost is not repeated: the job may turn up late.
func (m *migration) retrigger(ctx context.Context) error {
	locked, err := m.lock.take(ctx)
	if blocked, ok := errors.AsType[*runner.BlockedError](err); ok {
		return blocked
	}
	if err != nil || !locked {
		return job.Outage(err)
	}
	now, err := m.Read(ctx)
	if err != nil || now.Phase != m.State.Phase || now.Job.ID != m.State.Job.ID {
		m.lock.release(ctx)
		return job.Outage(err)
	}
	m.retriggers--
	m.posted, m.after, m.Since = true, now.Job.ID, time.Now()
	started, err := m.Client.RunJob(ctx, m.Action, nil)
	var lost *dtr.LostJobError
	switch {
	case err == nil:
		tflog.Info(ctx, "Migration job is started again", map[string]any{"action": m.Action, "job_id": started.ID, "retriggers_left": m.retriggers})
		return nil
	case ctx.Err() != nil:
		return m.Detached(context.Cause(ctx))
	case errors.As(err, &lost):
		tflog.Warn(ctx, "The answer to the start of a migration job was lost; the job is looked for", map[string]any{"action": m.Action, "error": err.Error()})
		m.unsure = err
		return nil
	}
	return err
}

// minor is the first two numbers of a version as it is written: Engine 18.09 is
// no semantic version.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
