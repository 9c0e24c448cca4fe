// Package migration sees the jobs through that move DTR's data from one minor version's
// form to the next one's: it tells what is left to do, waits, and starts a job again
// that DTR has given up. It starts no bootstrapper, and knows nothing of Terraform.
package migration

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

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Step is the name of the wait for migrations.
const Step = "migration"

// The job that the upgrade from 2.5 to 2.6 is followed by (upgrade documentation,
// "Metadata Store Migration").
const (
	MetadataStore        = "metadatastoremigration"
	MetadataStoreVersion = "2.6"
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

// jobs are those that move data from one minor version's form to the next one's, with
// the version that they lead to.
var jobs = []struct{ action, leadsTo string }{
	{MetadataStore, MetadataStoreVersion},
	{"scannedlayermigration", "2.5"},
	{"tagmigration", "2.2"},
	{"bloblinkmigration", "2.2"},
}

// Seen is what is known of a cluster's migrations.
type Seen struct {
	*cluster.Snapshot

	Features dtr.Features
	Jobs     map[string][]dtr.Job // migration jobs by action, newest first
}

// Actions are those of the migration jobs.
func Actions() []string {
	var actions []string
	for _, migration := range jobs {
		actions = append(actions, migration.action)
	}
	return actions
}

// ActionsAt are the actions of the migrations that may be under way, or have failed for
// good, on a cluster of the versions: those that lead to one of them, and the metadata
// store's, which is opted in to a version before and may go on a version after.
func ActionsAt(versions []*semver.Version) []string {
	at := func(lines ...string) bool {
		return slices.ContainsFunc(versions, func(v *semver.Version) bool { return slices.Contains(lines, minor(v)) })
	}
	var actions []string
	for _, migration := range jobs {
		if at(migration.leadsTo) || migration.action == MetadataStore && at("2.5", "2.7") {
			actions = append(actions, migration.action)
		}
	}
	return actions
}

// Latest are the latest jobs of an action.
func Latest(ctx context.Context, c *dtr.Client, action string) ([]dtr.Job, error) {
	return c.Jobs(ctx, dtr.JobFilter{Action: action, Limit: job.Recent})
}

// Run is the part of an upgrade's run that has to do with migrations.
type Run struct {
	*runner.Runner

	Retriggers int // how often a job that DTR gave up is started again
	Attempts   int // of all jobs of the hops, so far
}

// Labels notes on the bootstrapper's container what is known of before the hop. The
// labels of its earlier containers are carried on, since the replicas answer otherwise
// by now.
func (r *Run) Labels(ctx context.Context, seen *Seen, hop transition.Hop, earlier, labels map[string]string) error {
	if seen.migratedBefore() || earlier[labelMigrated] == "true" {
		labels[labelMigrated] = "true"
	}
	if hop.From.Equal(hop.To) {
		return nil // all jobs are the hop's own
	}
	for _, action := range hop.MigrationJobs {
		id, known := earlier[labelEarlierJob+action]
		if !known {
			last, err := r.Cluster.DTR.Jobs(ctx, dtr.JobFilter{Action: action, Limit: 1})
			if err != nil {
				return err
			}
			if len(last) > 0 {
				id = last[0].ID
			}
		}
		labels[labelEarlierJob+action] = id
	}
	return nil
}

// TellsOfBefore reports whether labels say something of before their hop that the
// cluster no longer shows.
func TellsOfBefore(labels map[string]string) bool {
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

// TellsOfJobs reports whether labels tell of each of the hop's jobs what was before it, as
// those of every container do that was made for the hop.
func TellsOfJobs(labels map[string]string, hop transition.Hop) bool {
	return !slices.ContainsFunc(hop.MigrationJobs, func(action string) bool { _, told := labels[labelEarlierJob+action]; return !told })
}

// Finished reports whether DTR lists each of the hop's jobs as done since what the labels
// tell of before it: then nothing is left to spare, start or wait for on their word.
func (seen *Seen) Finished(labels map[string]string, hop transition.Hop) bool {
	return TellsOfJobs(labels, hop) && !slices.ContainsFunc(hop.MigrationJobs, func(action string) bool {
		state, err := job.StateOf(seen.Jobs[action], labels[labelEarlierJob+action])
		return err != nil || state.Phase != job.Done
	})
}

// Pending is a migration of an earlier hop that is not done.
type Pending struct {
	Action string
	job.State
	Err error // an unknown status word
}

// PendingMigration finds a migration that has to be over before anything else is
// done.
func (seen *Seen) PendingMigration() *Pending {
	for _, migration := range jobs {
		state, err := job.StateOf(seen.Jobs[migration.action], "")
		if err != nil || seen.mustEnd(state, migration.leadsTo) {
			return &Pending{Action: migration.action, State: state, Err: err}
		}
	}
	return nil
}

// mustEnd reports whether nothing else may be begun while a migration is in the
// state: it is at work, or it has failed on the version that it leads to. What an
// earlier version left undone the cluster has come without since, and the metadata
// store's opt-in migration on 2.5 is made again by 2.6.
func (seen *Seen) mustEnd(s job.State, leadsTo string) bool {
	if s.Phase == job.Running && !s.Job.Status.Orphaned() {
		return true
	}
	return minor(seen.CurrentVersion()) == leadsTo && s.Phase != job.Absent && s.Phase != job.Done
}

// OwnMigration reports whether the hop itself waits for the migration, and starts it
// again where it fails.
func (seen *Seen) OwnMigration(hop transition.Hop, action string) bool {
	return slices.Contains(hop.MigrationJobs, action) && slices.ContainsFunc(seen.Versions(), hop.To.Equal)
}

// Await waits for migrations that DTR runs by itself, other than the hop's
// own: no bootstrapper is started beside one. Its errors are those of Migrate.
func (r *Run) Await(ctx context.Context, seen *Seen, hop transition.Hop) error {
	for _, migration := range jobs {
		if seen.OwnMigration(hop, migration.action) {
			continue
		}
		w := r.waiter(migration.action)
		w.Read = func(ctx context.Context) (job.State, error) {
			latest, err := Latest(ctx, r.Cluster.DTR, migration.action)
			if err != nil {
				return job.State{}, err
			}
			state, err := job.StateOf(latest, "")
			if err == nil && !seen.mustEnd(state, migration.leadsTo) {
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
			return failure(ctx, w, err)
		}
	}
	return nil
}

// ResumesMigration reports whether a run on 2.6 has the metadata store's migration to
// see through: it is not over, or there is no sign of it, as where DTR had not started
// it yet when an earlier run was cut short. A state that was applied on 2.6 already
// misses none, nor does a patch upgrade. The version applied is nil when there is none.
func (seen *Seen) ResumesMigration(current, applied *semver.Version) bool {
	if minor(current) != MetadataStoreVersion {
		return false
	}
	pending := seen.PendingMigration()
	if pending != nil && pending.Action == MetadataStore {
		return true
	}
	return (applied == nil || before26(applied)) && seen.OwesMigration(current)
}

// OwesMigration reports whether a cluster on 2.6 shows no sign of the metadata
// store's migration. Online garbage collection is a sign, since it works on a migrated
// store alone; it outlasts the job in DTR's history.
func (seen *Seen) OwesMigration(current *semver.Version) bool {
	state, err := job.StateOf(seen.Jobs[MetadataStore], "")
	return minor(current) == MetadataStoreVersion && (err != nil || state.Phase != job.Done) && !seen.migrated()
}

// before26 reports whether a version is one that the metadata store is migrated after.
func before26(v *semver.Version) bool { return v.Major() < 2 || v.Major() == 2 && v.Minor() < 6 }

// migrated reports whether the metadata store was migrated so long ago that DTR has
// dropped the job from its history. Having opted in to it is no proof, since the
// migration may have failed.
func (seen *Seen) migrated() bool {
	return seen.Features.OnlineGCEnabled && len(seen.Jobs[MetadataStore]) == 0
}

// migratedBefore is migrated, asked of a cluster on which the hop to 2.6 has not
// begun: a replica on 2.6 may answer otherwise.
func (seen *Seen) migratedBefore() bool {
	later := func(v *semver.Version) bool { return !before26(v) }
	return !slices.ContainsFunc(seen.Versions(), later) && seen.migrated()
}

func minor(v *semver.Version) string { return fmt.Sprintf("%d.%d", v.Major(), v.Minor()) }

func (r *Run) waiter(action string) *job.Waiter {
	return &job.Waiter{Step: Step, Action: action, Client: r.Cluster.DTR, Pace: r.Pace}
}

// Error says that a migration job did not get done.
type Error job.Error

func (e *Error) Error() string { return (*job.Error)(e).Error() }

func (e *Error) Unwrap() error { return e.Cause }

// failure is the error of a wait for a migration: a *wait.DetachedError, and
// what a container is in the way of, stay what they are; anything else becomes a
// *Error.
func failure(ctx context.Context, w *job.Waiter, err error) error {
	_, detached := errors.AsType[*wait.DetachedError](err)
	_, blocked := errors.AsType[*runner.BlockedError](err)
	_, foreign := errors.AsType[*runner.ForeignContainerError](err)
	if detached || blocked || foreign {
		return err
	}
	if errors.Is(err, job.ErrNotListed) && w.Job.ID == "" {
		err = nil // that DTR never started the job is said by the error itself
	}
	return (*Error)(w.Failure(ctx, err))
}

// Migrate sees the migrations of a hop through: it waits for the jobs that DTR
// starts by itself, and starts one again when DTR has given it up. Its error is
// one of failure.
func (r *Run) Migrate(ctx context.Context, hop transition.Hop) error {
	for _, action := range hop.MigrationJobs {
		m := &migration{Waiter: r.waiter(action), retriggers: r.Retriggers, lock: &postLock{run: r}}
		var labels map[string]string              // of the container, which another apply may remove meanwhile
		var foreign *runner.ForeignContainerError // what has the container's name instead
		gone, newer := wait.Lasting{Limit: r.Pace.Consistent}, wait.Lasting{Limit: r.Pace.Consistent}
		m.Read = func(ctx context.Context) (job.State, error) {
			if labels == nil {
				c, found, err := r.Find(ctx)
				if errors.As(err, &foreign) {
					return job.State{}, wait.Fail(err)
				}
				if err != nil {
					return job.State{}, err
				}
				found = found && cluster.IsUpgrade(c.Labels)
				// Without it an attempt from before the hop would count.
				if !found && hop.Rule != transition.Same && !gone.Seen(true) {
					return job.State{}, fmt.Errorf("container %s is not shown", r.ContainerName())
				}
				couldHave := true
				if found {
					couldHave, err = r.couldHaveMade(ctx, c, hop)
				}
				if err == nil && !couldHave && TellsOfJobs(c.Labels, hop) { // what is done is not started again on anybody's word
					latest, listErr := Latest(ctx, r.Cluster.DTR, action)
					state, stateErr := job.StateOf(latest, c.Labels[labelEarlierJob+action])
					couldHave, err = stateErr == nil && state.Phase == job.Done, listErr
				}
				switch {
				case err != nil:
					return job.State{}, err
				case newer.Seen(!couldHave):
					foreign = &runner.ForeignContainerError{Container: c.Name, Image: c.Image, Status: c.Status}
					return job.State{}, wait.Fail(foreign)
				case !couldHave:
					return job.State{}, fmt.Errorf("container %s cannot have made the hop to %s", c.Name, hop.To)
				}
				labels = c.Labels
			}
			latest, err := Latest(ctx, r.Cluster.DTR, action)
			if err != nil {
				return job.State{}, err
			}
			state, err := job.StateOf(latest, labels[labelEarlierJob+action])
			if err == nil && state.Phase == job.Absent && labels[labelMigrated] == "true" {
				state.Phase = job.Done
			}
			return state, err
		}
		err := m.wait(ctx)
		if foreign != nil {
			err = foreign
		}
		r.Attempts += m.State.Attempts
		if err != nil {
			return err
		}
	}
	return nil
}

// couldHaveMade is false for what has the name of the hop's container, but does not tell
// of before a hop that others do, or was made after all that runs, unless an earlier
// container of the hop tells the same: a bootstrapper that is run again may have nothing
// left to make. The clock of an engine of its own is not compared with those of UCP's nodes.
func (r *Run) couldHaveMade(ctx context.Context, c runner.Container, hop transition.Hop) (bool, error) {
	if !hop.From.Equal(hop.To) && !TellsOfJobs(c.Labels, hop) {
		return false, nil
	}
	if !TellsOfBefore(c.Labels) || r.Cluster.Docker != nil {
		return true, nil
	}
	inventory, err := cluster.Inspect(ctx, r.Cluster)
	if err != nil || inventory.Predates(c.Created) {
		return err == nil, err
	}
	earlier, found, err := r.FindNamed(ctx, r.EarlierName())
	if foreign := (*runner.ForeignContainerError)(nil); errors.As(err, &foreign) {
		return false, nil
	}
	return err == nil && found && inventory.Predates(earlier.Created) && tellTheSame(earlier.Labels, c.Labels), err
}

// tellTheSame reports whether the labels of two containers are of one hop, and tell the
// same of before it.
func tellTheSame(a, b map[string]string) bool {
	ofBefore := func(labels map[string]string) map[string]string {
		told := maps.Clone(labels)
		maps.DeleteFunc(told, func(name, _ string) bool {
			return name != cluster.LabelFrom && name != cluster.LabelTo && name != labelMigrated && !strings.HasPrefix(name, labelEarlierJob)
		})
		return told
	}
	return maps.Equal(ofBefore(a), ofBefore(b))
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
	wrong := wait.Lasting{Limit: m.Pace.Consistent} // a list that lags behind shows the attempt before
	err := m.Wait(ctx, func(ctx context.Context) (bool, error) {
		if m.posted && m.State.Job.ID != m.after {
			m.posted, m.unsure = false, nil
			m.lock.release(ctx)
		}
		cause := m.Overdue()
		lasting := wrong.Seen(cause != nil)
		switch {
		case m.posted && m.State.Phase != job.Done:
			if m.Waited() <= m.Pace.MigrationStart {
				return false, nil // a list that lags behind shows the attempt before
			}
			return false, cmp.Or(m.unsure, job.ErrNotListed)
		case cause == nil:
			return m.State.Phase == job.Done, nil
		case !lasting:
			return false, nil
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
	return failure(ctx, m.Waiter, err)
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
		log.Info(ctx, "Migration job "+m.Action+" is started again", map[string]any{"action": m.Action, "job_id": started.ID, "retriggers_left": m.retriggers})
		return nil
	case ctx.Err() != nil:
		return m.Detached(context.Cause(ctx))
	case errors.As(err, &lost):
		log.Warn(ctx, "The answer to the start of a migration job was lost; the job is looked for", map[string]any{"action": m.Action, "error": err.Error()})
		m.unsure = err
		return nil
	}
	return err
}
