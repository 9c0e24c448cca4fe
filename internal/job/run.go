package job

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Step is the name of the step in which a job outside an upgrade is waited for.
const Step = "job"

// Options is a job to be run.
type Options struct {
	Action     string
	Parameters map[string]string
	// Detach has Run not wait for the end of the job.
	Detach bool
	// Progress is called with a sentence for every change; it may be nil.
	Progress func(string)
	Pace     wait.Pace
}

// Run runs one job of DTR and waits for its end, including the retries that DTR makes
// by itself. If a job of the same action and parameters waits or runs already, it
// waits for that one: a second one would only compete with it.
//
// It returns the latest attempt. Errors: *Error, *wait.DetachedError,
// *dtr.LostJobError and those of the client.
func Run(ctx context.Context, client *dtr.Client, o Options) (dtr.Job, error) {
	list := func(ctx context.Context) ([]dtr.Job, error) {
		return client.Jobs(ctx, dtr.JobFilter{Action: o.Action, Limit: Recent})
	}
	jobs, err := list(ctx)
	if err != nil {
		return dtr.Job{}, err
	}
	same := func(j dtr.Job) bool { return len(o.Parameters) == 0 || maps.Equal(o.Parameters, j.Parameters) }
	how := "joined"
	job, found := underWay(jobs, same)
	if !found {
		how = "started"
		if job, err = start(ctx, client, o, jobs, list); err != nil {
			return dtr.Job{}, err
		}
	}
	report := func(job dtr.Job, how string) {
		if o.Progress == nil {
			return
		}
		if job.WorkerID != "" {
			how += " on replica " + job.WorkerID
		}
		o.Progress(fmt.Sprintf("Job %s (%s): %s", job.ID, o.Action, how))
	}
	report(job, how)
	if o.Detach {
		return job, nil
	}
	w := &Waiter{Step: Step, Action: o.Action, Client: client, Pace: o.Pace.OrDefault(), Job: job}
	w.Read = func(ctx context.Context) (State, error) {
		jobs, err := list(ctx)
		if err != nil {
			return State{}, err
		}
		return StateOf(attemptsOf(job.ID, jobs), "")
	}
	w.Changed = func(_ context.Context, job dtr.Job) { report(job, string(job.Status)) }
	err = w.Wait(ctx, func(context.Context) (bool, error) { return w.State.Phase == Done, w.Overdue() })
	return w.Job, w.failed(ctx, err)
}

// start starts the job. Where the answer to that was lost, the job gets time to turn up
// among those that were not there before: it is never asked for twice.
func start(ctx context.Context, client *dtr.Client, o Options, before []dtr.Job, list func(context.Context) ([]dtr.Job, error)) (dtr.Job, error) {
	job, lost := client.RunJob(ctx, o.Action, o.Parameters)
	if unsure := (*dtr.LostJobError)(nil); !errors.As(lost, &unsure) {
		return job, lost
	}
	began, pace := time.Now(), o.Pace.OrDefault()
	err := wait.Until(ctx, pace, func(ctx context.Context) (bool, error) {
		jobs, err := list(ctx)
		if err != nil {
			return false, err
		}
		for _, j := range slices.Backward(jobs) {
			known := slices.ContainsFunc(before, func(b dtr.Job) bool { return b.ID == j.ID || b.ID == j.RetryFromID })
			if !known && maps.Equal(o.Parameters, j.Parameters) {
				job = j
				return true, nil
			}
		}
		if time.Since(began) > pace.MigrationStart {
			return false, wait.Fail(lost)
		}
		return false, nil
	})
	return job, wait.Detached(ctx, Step, err)
}

// underWay returns the newest job that matches, has not ended and was not retried, out
// of jobs that are listed newest first. One with an undocumented status or without a
// worker counts only if it is the first of the list: then it may be at work, or about
// to be.
func underWay(jobs []dtr.Job, match func(dtr.Job) bool) (dtr.Job, bool) {
	for i, job := range jobs {
		_, err := job.Status.Phase()
		sure := err == nil && !job.Status.Orphaned()
		if match(job) && !ended(job) && (sure || i == 0) && attemptsOf(job.ID, jobs)[0].ID == job.ID {
			return job, true
		}
	}
	return dtr.Job{}, false
}

// attemptsOf returns the job of an id and all retries of it, newest first like the jobs
// that they are picked from. A retry names the attempt that it repeats.
func attemptsOf(id string, jobs []dtr.Job) []dtr.Job {
	ours := map[string]bool{id: true}
	var attempts []dtr.Job
	for _, job := range slices.Backward(jobs) {
		if ours[job.ID] || ours[job.RetryFromID] {
			ours[job.ID] = true
			attempts = append(attempts, job)
		}
	}
	slices.Reverse(attempts)
	return attempts
}
