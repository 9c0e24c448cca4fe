package simulator

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
)

// jobQueue is DTR's queue of jobs, and the workers that take them.
type jobQueue struct {
	mu      *sync.Mutex     // DTR's
	ctx     context.Context // ends every job
	clock   clock.Clock
	points  *points
	members *members
	kinds   map[string]jobKind // by action, of those that do more than pass time
	done    sync.WaitGroup

	jobs []*job // oldest first
}

// jobKind is what the jobs of an action do.
type jobKind struct {
	work  func(ctx context.Context, j *job) (failure string)
	stuck func() (status string) // the status that a job stays at, "" for none; called with the lock held
	ended func(failure string)   // called with the lock held
}

// schedule adds a waiting job and starts it. The lock must be held.
func (q *jobQueue) schedule(job0 Job) *job {
	j := &job{Job: job0}
	j.ID, j.ScheduledAt = newUUID(), q.members.now().UTC()
	if j.RetryFromID == "" {
		j.RetryFromID = j.ID
	}
	if j.CapacityMap == nil {
		j.CapacityMap = map[string]int{}
	}
	if j.Parameters == nil {
		j.Parameters = map[string]string{}
	}
	q.setStatus(j, statusWaiting)
	j.ctx, j.cancel = context.WithCancel(q.ctx)
	q.jobs = append(q.jobs, j)
	q.done.Go(func() {
		defer j.cancel()
		q.runJob(j)
	})
	return j
}

// scheduleAfter schedules a job when a time has passed.
func (q *jobQueue) scheduleAfter(d time.Duration, j Job) {
	q.done.Go(func() {
		if q.clock.Sleep(q.ctx, d) != nil {
			return
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.schedule(j)
	})
}

// runJob runs a job to its end: a worker claims it, and another one if that worker
// dies.
func (q *jobQueue) runJob(j *job) {
	for q.clock.Sleep(j.ctx, jobClaimTime) == nil {
		ctx, ok := q.claim(j)
		if !ok {
			// No worker is up: there is nothing to do until one is.
			if q.clock.Pause(j.ctx, pollInterval) != nil {
				return
			}
			continue
		}
		if ctx == nil {
			return // stays as it is
		}
		failure := q.work(ctx, j)
		q.mu.Lock()
		j.runner, j.orphan = "", nil
		switch {
		case j.ctx.Err() != nil:
			q.mu.Unlock()
			return
		case ctx.Err() != nil:
			j.logf("the worker %s is gone", j.WorkerID)
			q.setStatus(j, statusWorkerDead)
			q.mu.Unlock()
			continue
		}
		q.finish(j, failure)
		q.mu.Unlock()
		return
	}
}

// claim gives a job to a worker. The context that it returns ends with the worker;
// it is nil when the job is to stay as it is. False means that no worker is up.
func (q *jobQueue) claim(j *job) (context.Context, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j.ctx.Err() != nil {
		return nil, true
	}
	for _, id := range q.members.replicas() {
		runner, ok := q.members.component(id, "jobrunner")
		if !ok || !runner.Running() {
			continue
		}
		j.WorkerID = id
		if stuck := q.kinds[j.Action].stuck; stuck != nil && stuck() != "" {
			q.setStatus(j, stuck())
			return nil, true
		}
		q.setStatus(j, statusRunning)
		j.logf("%s started on worker %s", j.Action, id)
		ctx, orphan := context.WithCancel(j.ctx)
		j.runner, j.orphan = runner.ID, orphan
		return ctx, true
	}
	return nil, false
}

// watchWorkers interrupts the jobs whose job runner's container is gone. The lock
// must be held.
func (q *jobQueue) watchWorkers() {
	up := map[string]bool{}
	for _, c := range q.members.seen {
		up[c.ID] = c.Running()
	}
	for _, j := range q.jobs {
		if j.orphan != nil && !up[j.runner] {
			j.orphan()
		}
	}
}

// work does what the action does, and returns why it failed.
func (q *jobQueue) work(ctx context.Context, j *job) (failure string) {
	if work := q.kinds[j.Action].work; work != nil {
		return work(ctx, j)
	}
	switch j.Action {
	case actionFalse:
		return "exit status 1"
	case actionSleep:
		q.points.reach(ctx, JobStarted)
		_ = q.clock.Sleep(ctx, sleepJobTime)
	default:
		_ = q.clock.Sleep(ctx, otherJobTime)
	}
	return ""
}

// finish ends a job, and schedules its retry when it failed and has one left.
// The lock must be held.
func (q *jobQueue) finish(j *job, failure string) {
	if ended := q.kinds[j.Action].ended; ended != nil {
		ended(failure)
	}
	if failure != "" {
		j.logf("%s failed: %s", j.Action, failure)
		q.setStatus(j, statusErrored)
		if j.RetriesLeft > 0 {
			q.schedule(Job{
				Action: j.Action, RetryFromID: j.ID, RetriesLeft: j.RetriesLeft - 1, RetriesTotal: j.RetriesTotal,
				CapacityMap: j.CapacityMap, Parameters: j.Parameters, Deadline: j.Deadline, StopTimeout: j.StopTimeout,
			})
		}
		return
	}
	j.logf("%s finished", j.Action)
	q.setStatus(j, statusDone)
}

// setStatus changes a job's status, and when that was. The lock must be held.
func (q *jobQueue) setStatus(j *job, word string) {
	j.Status, j.LastUpdated = word, q.members.now().UTC()
}

// Jobs lists every job, newest first.
func (q *jobQueue) Jobs() []Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.selectJobs(func(Job) bool { return true })
}

// selectJobs lists the jobs that pass a filter, newest first. The lock must be held.
func (q *jobQueue) selectJobs(f func(Job) bool) []Job {
	list := []Job{}
	for _, j := range slices.Backward(q.jobs) {
		if f(j.Job) {
			list = append(list, j.Job)
		}
	}
	return list
}

// DeleteJobs ends all jobs and has DTR forget them.
func (q *jobQueue) DeleteJobs() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.jobs {
		j.cancel()
	}
	q.jobs = nil
}
