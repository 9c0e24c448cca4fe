package upgrade

import (
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// migrationPhase is where a migration stands.
type migrationPhase int

const (
	migrationAbsent   migrationPhase = iota // no attempt is known
	migrationRunning                        // an attempt waits or runs
	migrationRetrying                       // an attempt failed and DTR is to make another
	migrationGaveUp                         // the last attempt failed and DTR makes no other
	migrationDone
)

// migration is a job's attempts, judged.
type migration struct {
	phase    migrationPhase
	job      dtr.Job // the latest attempt
	attempts int
}

// judgeMigration looks at the jobs of one action, newest first: the newest rules.
// One that failed before since belongs to an earlier version, and says nothing
// about this one. A status word that nobody published is an error.
func judgeMigration(jobs []dtr.Job, since time.Time) (migration, error) {
	var m migration
	for _, job := range jobs {
		if !over(job) || !job.ScheduledAt.Before(since) {
			m.attempts++
		}
	}
	if len(jobs) == 0 {
		return m, nil
	}
	newest := jobs[0]
	phase, err := newest.Status.Phase()
	switch {
	case err != nil:
		m.job = newest
		return m, err
	case phase == dtr.PhaseDone:
		m.phase = migrationDone
	case phase == dtr.PhaseWaiting || phase == dtr.PhaseRunning:
		m.phase = migrationRunning
	case newest.ScheduledAt.Before(since):
		return m, nil
	case phase == dtr.PhaseFailed && newest.RetriesLeft > 0:
		m.phase = migrationRetrying
	default:
		m.phase = migrationGaveUp
	}
	m.job = newest
	return m, nil
}

// over says whether a job has come to its end.
func over(job dtr.Job) bool {
	phase, err := job.Status.Phase()
	return err == nil && phase != dtr.PhaseWaiting && phase != dtr.PhaseRunning
}

// migrationSince is the time from which on attempts belong to the hop that made
// the containers that run now. DTR starts its job once the last is replaced.
func (i *Inventory) migrationSince() time.Time {
	var t time.Time
	for _, r := range i.Replicas {
		if n := r.newest(); n.After(t) {
			t = n
		}
	}
	return t
}

// pending is a migration of an earlier hop that is not done.
type pending struct {
	action string
	migration
	err error // an unknown status word
}

// pendingMigration finds a migration that has to be over before anything else
// is done: one at work whatever the version, and one that failed on the version
// that it leads to. The metadata store's opt-in migration on 2.5 may have failed,
// since 2.6 makes it anew.
func (obs *Observation) pendingMigration(current *semver.Version) *pending {
	for _, job := range migrationJobs {
		m, err := judgeMigration(obs.Jobs[job.action], time.Time{})
		p := &pending{action: job.action, migration: m, err: err}
		switch {
		case err != nil, m.phase == migrationRunning, m.phase == migrationRetrying:
			return p
		case m.phase == migrationGaveUp && minor(current.String()) == job.leadsTo:
			return p
		}
	}
	return nil
}

// owesMigration says whether a cluster on 2.6 shows no sign of the metadata
// store's migration: DTR may not have started it yet when an earlier run was cut
// short. Online garbage collection is a sign, since it works on a migrated store
// alone; it outlasts the job in DTR's history.
func (obs *Observation) owesMigration(current *semver.Version) bool {
	m, err := judgeMigration(obs.Jobs[metadataStoreMigration], time.Time{})
	return minor(current.String()) == metadataStoreVersion && (err != nil || m.phase != migrationDone) && !obs.migrated()
}

// migrated says whether the metadata store was migrated so long ago that DTR has
// dropped the job from its history. Having opted in to it is no proof, since the
// migration may have failed.
func (obs *Observation) migrated() bool {
	return obs.Features.OnlineGCEnabled && len(obs.Jobs[metadataStoreMigration]) == 0
}

// migratedBefore is migrated, asked of a cluster on which the hop to 2.6 has not
// begun: a replica on 2.6 may answer otherwise.
func (obs *Observation) migratedBefore() bool {
	for _, v := range obs.Versions() {
		if v.Major() > 2 || v.Major() == 2 && v.Minor() > 5 {
			return false
		}
	}
	return obs.migrated()
}
