package simulator

import (
	"context"
	"fmt"
	"time"

	"github.com/Masterminds/semver/v3"
)

// Status words as the vendor's API description has them.
const (
	statusWaiting    = "waiting"
	statusRunning    = "running"
	statusDone       = "done"
	statusErrored    = "errored"
	statusCanceled   = "canceled"
	statusWorkerDead = "worker_dead" // from the documentation of the job queue
)

const (
	actionMigration   = "metadatastoremigration"
	actionUpdateDB    = "update_vuln_db"
	actionUpdateOldDB = "nautilus_update_db" // its name up to 2.4
	actionSleep       = "sleep"
	actionFalse       = "false"
)

// jobActions that may be posted.
var jobActions = []string{
	actionMigration, actionUpdateDB, actionSleep, actionFalse, actionUpdateOldDB, "scannedlayermigration",
	"tagmigration", "bloblinkmigration", "gc", "onlinegc", "onlinegc_metadata", "onlinegc_joblogs",
}

// migrationRetries is how often DTR itself runs a failed migration again.
const migrationRetries = 2

// job is a job with what runs it. All fields are guarded by DTR's lock.
type job struct {
	Job
	log    []string
	ctx    context.Context // until canceled or deleted
	cancel context.CancelFunc
	runner string             // id of the job runner's container that has it
	orphan context.CancelFunc // called when that container is gone
}

func (j *job) setStatus(word string) {
	j.Status, j.LastUpdated = word, time.Now().UTC()
}

func (j *job) logf(format string, args ...any) {
	j.log = append(j.log, fmt.Sprintf(format, args...))
}

// schedule adds a waiting job and has it run. The lock must be held.
func (d *dtr) schedule(job0 Job) *job {
	j := &job{Job: job0}
	j.ID, j.ScheduledAt = uuid(), time.Now().UTC()
	if j.RetryFromID == "" {
		j.RetryFromID = j.ID
	}
	if j.CapacityMap == nil {
		j.CapacityMap = map[string]int{}
	}
	if j.Parameters == nil {
		j.Parameters = map[string]string{}
	}
	j.setStatus(statusWaiting)
	j.ctx, j.cancel = context.WithCancel(d.ctx)
	d.jobs = append(d.jobs, j)
	d.jobsDone.Go(func() {
		defer j.cancel()
		d.runJob(j)
	})
	return j
}

// runJob takes a job through its life: a worker claims it, and another one
// when that one dies.
func (d *dtr) runJob(j *job) {
	for d.clock.Sleep(j.ctx, jobClaimTime) == nil {
		ctx, ok := d.claim(j)
		if !ok {
			// No worker is up: there is nothing to do until one is.
			if d.clock.Pause(j.ctx, pollInterval) != nil {
				return
			}
			continue
		}
		if ctx == nil {
			return // stays as it is
		}
		failure := d.work(ctx, j)
		d.mu.Lock()
		j.runner, j.orphan = "", nil
		switch {
		case j.ctx.Err() != nil:
			d.mu.Unlock()
			return
		case ctx.Err() != nil:
			j.logf("the worker %s is gone", j.WorkerID)
			j.setStatus(statusWorkerDead)
			d.mu.Unlock()
			continue
		}
		d.finish(j, failure)
		d.mu.Unlock()
		return
	}
}

// claim gives a job to a worker. The context it returns ends with the worker;
// nil when the job is to stay as it now is. False: no worker is up.
func (d *dtr) claim(j *job) (context.Context, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.ctx.Err() != nil {
		return nil, true
	}
	for _, id := range d.replicas() {
		runner, ok := d.component(id, "jobrunner")
		if !ok || !runner.Running() {
			continue
		}
		j.WorkerID = id
		if word := d.stuckAt(j.Action); word != "" {
			j.setStatus(word)
			return nil, true
		}
		j.setStatus(statusRunning)
		j.logf("%s started on worker %s", j.Action, id)
		ctx, orphan := context.WithCancel(j.ctx)
		j.runner, j.orphan = runner.ID, orphan
		return ctx, true
	}
	return nil, false
}

// stuckAt is the word that a job of the action shows instead of what happens.
func (d *dtr) stuckAt(action string) string {
	switch action {
	case actionMigration:
		return d.migration.faults.Status
	case actionUpdateDB, actionUpdateOldDB:
		return d.scanner.faults.Status
	}
	return ""
}

// watchWorkers orphans the jobs whose job runner's container is gone. The lock
// must be held.
func (d *dtr) watchWorkers() {
	up := map[string]bool{}
	for _, c := range d.seen {
		up[c.ID] = c.Running()
	}
	for _, j := range d.jobs {
		if j.orphan != nil && !up[j.runner] {
			j.orphan()
		}
	}
}

// work does what the action does, and says how it failed.
func (d *dtr) work(ctx context.Context, j *job) (failure string) {
	switch j.Action {
	case actionMigration:
		return d.migrate(ctx, j)
	case actionUpdateDB, actionUpdateOldDB:
		return d.load(ctx)
	case actionFalse:
		return "exit status 1"
	case actionSleep:
		d.points.reach(ctx, JobStarted)
		_ = d.clock.Sleep(ctx, sleepJobTime)
	default:
		_ = d.clock.Sleep(ctx, otherJobTime)
	}
	return ""
}

// finish ends a job, and schedules its retry when it failed and has one left.
// The lock must be held.
func (d *dtr) finish(j *job, failure string) {
	if j.Action == actionUpdateDB || j.Action == actionUpdateOldDB {
		d.loaded(failure)
	}
	if failure != "" {
		j.logf("%s failed: %s", j.Action, failure)
		j.setStatus(statusErrored)
		if j.RetriesLeft > 0 {
			d.schedule(Job{
				Action: j.Action, RetryFromID: j.ID, RetriesLeft: j.RetriesLeft - 1, RetriesTotal: j.RetriesTotal,
				CapacityMap: j.CapacityMap, Parameters: j.Parameters, Deadline: j.Deadline, StopTimeout: j.StopTimeout,
			})
		}
		return
	}
	if j.Action == actionMigration {
		d.migration.optedIn, d.migration.done = true, true
	}
	j.logf("%s finished", j.Action)
	j.setStatus(statusDone)
}

// migration is the state of the metadata store.
type migration struct {
	faults        MigrationFaults
	optedIn, done bool
}

// migrate moves the blob links, in a few steps that its log tells of.
func (d *dtr) migrate(ctx context.Context, j *job) (failure string) {
	d.points.reach(ctx, MigrationStarted)
	const steps = 4
	for i := range steps {
		d.mu.Lock()
		j.logf("migrating blob links: %d%%", 100*i/steps)
		fails := d.migration.faults.Fail
		d.mu.Unlock()
		if d.clock.Sleep(ctx, migrationTime/steps) != nil {
			return ""
		}
		if fails != 0 && i == steps/2 {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.migration.faults.Fail > 0 {
				d.migration.faults.Fail--
			}
			return "failed to migrate blob links: storage backend is not available"
		}
	}
	d.points.reach(ctx, MigrationFinished)
	return ""
}

func (d *dtr) setMigration(f MigrationFaults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.migration.faults = f
	if f.AlreadyDone && !d.migration.done {
		d.migration.optedIn, d.migration.done = true, true
		opted := time.Now().UTC().Add(-24 * time.Hour) // long before whatever happens now
		j := &job{Job: Job{
			ID: uuid(), Action: actionMigration, Status: statusDone, ScheduledAt: opted, LastUpdated: opted,
			CapacityMap: map[string]int{}, Parameters: map[string]string{},
		}, cancel: func() {}}
		j.RetryFromID, j.WorkerID = j.ID, d.replicas()[0]
		j.logf("%s finished", actionMigration)
		d.jobs = append(d.jobs, j)
	}
}

// upgrades is what DTR has seen of bootstrappers.
type upgrades struct {
	last time.Time // when the last one ended
	well bool      // and whether that was with 0
}

// watchUpgrades schedules the migration once an upgrade from 2.5 is over: no
// bootstrapper runs, the last one to end ended well, and every job runner is
// at 2.6 or later. The lock must be held.
func (d *dtr) watchUpgrades() {
	for _, c := range d.inventory.Ended() {
		if c.upgrades() && !c.FinishedAt.Before(d.upgrades.last) {
			d.upgrades = upgrades{last: c.FinishedAt, well: c.ExitCode == 0}
		}
	}
	for _, c := range d.seen {
		if c.upgrades() && c.Running() {
			return
		}
	}
	if !d.upgrades.well || d.migration.optedIn || d.migration.faults.NeverStart || !d.runnersAt("2.6") {
		return
	}
	d.migration.optedIn = true
	d.jobsDone.Go(func() {
		if d.clock.Sleep(d.ctx, migrationStartTime) != nil {
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.schedule(Job{Action: actionMigration, RetriesLeft: migrationRetries, RetriesTotal: migrationRetries})
	})
}

// runnersAt says whether every replica's job runner has reached a minor version.
func (d *dtr) runnersAt(minor string) bool {
	for _, id := range d.replicas() {
		c, ok := d.component(id, "jobrunner")
		if v, err := semver.NewVersion(c.Version()); !ok || err != nil || v.LessThan(semver.MustParse(minor)) {
			return false
		}
	}
	return len(d.reports) > 0
}
