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

// judgeMigration looks at the jobs of one action, newest first. Attempts that
// ended before since belong to an earlier version and only count when they
// succeeded: what is migrated stays migrated. A status word that nobody
// published is an error.
func judgeMigration(jobs []dtr.Job, since time.Time) (migration, error) {
	var m migration
	var done *dtr.Job
	var open []dtr.Job // the attempts that count, newest first
	for _, job := range jobs {
		phase, err := job.Status.Phase()
		ended := err == nil && phase != dtr.PhaseWaiting && phase != dtr.PhaseRunning
		if ended && phase == dtr.PhaseDone && done == nil {
			done = &job
		}
		if !ended || !job.ScheduledAt.Before(since) {
			open = append(open, job)
		}
	}
	m.attempts = len(open)
	if done != nil {
		m.phase, m.job = migrationDone, *done
		return m, nil
	}
	if len(open) == 0 {
		return m, nil
	}
	m.job = open[0]
	phase, err := m.job.Status.Phase()
	switch {
	case err != nil:
		return m, err
	case phase == dtr.PhaseWaiting || phase == dtr.PhaseRunning:
		m.phase = migrationRunning
	case phase == dtr.PhaseFailed && m.job.RetriesLeft > 0:
		m.phase = migrationRetrying
	default:
		m.phase = migrationGaveUp
	}
	return m, nil
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
// is done. The metadata store's opt-in migration on 2.5 may have failed: 2.6
// makes it anew.
func (obs *Observation) pendingMigration(current *semver.Version) *pending {
	for _, action := range migrationActions {
		m, err := judgeMigration(obs.Jobs[action], time.Time{})
		p := &pending{action: action, migration: m, err: err}
		switch {
		case err != nil, m.phase == migrationRunning, m.phase == migrationRetrying:
			return p
		case action == metadataStoreMigration && beforeMetadataStore(current):
		case m.phase == migrationGaveUp:
			return p
		}
	}
	return nil
}

// beforeMetadataStore says whether the metadata store is still an option of the
// version, and not yet its only way.
func beforeMetadataStore(v *semver.Version) bool {
	return v.Major() < 2 || v.Major() == 2 && v.Minor() < 6
}

// migratedBefore says whether the metadata store was migrated on 2.5 so long ago
// that DTR has dropped the job from its history. Online garbage collection tells
// of it, which works on a migrated store alone; having opted in does not, since
// the migration may have failed since.
func (obs *Observation) migratedBefore() bool {
	return obs.Features.OnlineGCEnabled && len(obs.Jobs[metadataStoreMigration]) == 0
}
