package simulator

import (
	"context"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
)

// MigrationFaults say how the metadata store migration goes wrong.
type MigrationFaults struct {
	// Fail makes this many attempts fail from now on; -1 all of them.
	Fail int
	// Status is shown by a job once a worker has it, instead of what happens;
	// the job stays there.
	Status string
	// NeverStart keeps DTR from scheduling the job. One posted by hand runs.
	NeverStart bool
	// AlreadyDone makes it a cluster that opted in on 2.5 and migrated there.
	AlreadyDone bool
}

// migration is the state of the metadata store.
type migration struct {
	mu      *sync.Mutex // DTR's
	queue   *jobQueue
	members *members

	faults        MigrationFaults
	optedIn, done bool
	upgrades      upgradeHistory
}

// kind is what a job of the migration does.
func (m *migration) kind() jobKind {
	return jobKind{
		work:  m.migrate,
		stuck: func() string { return m.faults.Status },
		ended: func(failure string) {
			if failure == "" {
				m.optedIn, m.done = true, true
			}
		},
	}
}

// migrate moves the blob links, in a few steps that it logs.
func (m *migration) migrate(ctx context.Context, j *job) (failure string) {
	m.queue.points.reach(ctx, MigrationStarted)
	const steps = 4
	for i := range steps {
		m.mu.Lock()
		j.logf("migrating blob links: %d%%", 100*i/steps)
		fails := m.faults.Fail
		m.mu.Unlock()
		if m.queue.clock.Sleep(ctx, migrationTime/steps) != nil {
			return ""
		}
		if fails != 0 && i == steps/2 {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.faults.Fail > 0 {
				m.faults.Fail--
			}
			return "failed to migrate blob links: storage backend is not available"
		}
	}
	m.queue.points.reach(ctx, MigrationFinished)
	return ""
}

// upgradeHistory is what DTR has seen of bootstrappers.
type upgradeHistory struct {
	last time.Time // when the last one ended
	well bool      // and whether that was with 0
}

// migrationJob is the job that DTR schedules by itself.
var migrationJob = Job{Action: actionMigration, RetriesLeft: migrationRetries, RetriesTotal: migrationRetries}

// watch schedules the migration once an upgrade from 2.5 is over: no
// bootstrapper runs, the last one to end ended well, and every job runner is
// at 2.6 or later. The lock must be held.
func (m *migration) watch(ended []Container) {
	for _, c := range ended {
		if c.upgrades() && !c.FinishedAt.Before(m.upgrades.last) {
			m.upgrades = upgradeHistory{last: c.FinishedAt, well: c.ExitCode == 0}
		}
	}
	for _, c := range m.members.seen {
		if c.upgrades() && c.Running() {
			return
		}
	}
	if !m.upgrades.well || m.optedIn || m.faults.NeverStart || !m.runnersAt("2.6") {
		return
	}
	m.optedIn = true
	m.queue.scheduleAfter(migrationStartTime, migrationJob)
}

// runnersAt reports whether every replica's job runner has reached a minor version.
func (m *migration) runnersAt(minor string) bool {
	for _, id := range m.members.replicas() {
		c, ok := m.members.component(id, "jobrunner")
		if v, err := semver.NewVersion(c.Version()); !ok || err != nil || v.LessThan(semver.MustParse(minor)) {
			return false
		}
	}
	return len(m.members.reports) > 0
}

// SetMigration sets how the migration goes wrong from now on.
func (m *migration) SetMigration(f MigrationFaults) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = f
	if f.AlreadyDone && !m.done {
		m.optedIn, m.done = true, true
		opted := m.members.now().UTC().Add(-24 * time.Hour) // long before whatever happens now
		j := &job{Job: Job{
			ID: newUUID(), Action: actionMigration, Status: statusDone, ScheduledAt: opted, LastUpdated: opted,
			CapacityMap: map[string]int{}, Parameters: map[string]string{},
		}, cancel: func() {}}
		j.RetryFromID, j.WorkerID = j.ID, m.members.replicas()[0]
		j.logf("%s finished", actionMigration)
		m.queue.jobs = append(m.queue.jobs, j)
	}
}

// ScheduleMigration has DTR start the metadata store migration by itself now, to
// be retried where it fails.
func (m *migration) ScheduleMigration() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue.schedule(migrationJob)
}
