package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// JobOptions is a job to be run.
type JobOptions struct {
	Action     string
	Parameters map[string]string
	// Detach leaves the job alone once it is there.
	Detach bool
	// Progress, which may be nil, is told of every change in the words for people.
	Progress func(string)
	Pace     Pace
}

// JobError says that a job did not get done.
type JobError MigrationError

func (e *JobError) Error() string { return (*MigrationError)(e).Error() }

func (e *JobError) Unwrap() error { return e.Cause }

// JobDetachedError says that the waiting for a job has ended and the job has not.
type JobDetachedError struct {
	Action string
	Job    string // its id; "" when it is not known
	URL    string // of DTR's web interface
	Cause  error  // as in a DetachedError
}

func (e *JobDetachedError) Error() string {
	return fmt.Sprintf("stopped waiting for the job %s %s, which goes on: %v", e.Action, e.Job, e.Cause)
}

func (e *JobDetachedError) Unwrap() error { return e.Cause }

// RunJob runs one job of DTR and sees it to its end, the retries that DTR makes by
// itself included. A job of the same action and parameters that waits or runs
// already is joined: a second one would only compete with it.
//
// The job is its latest attempt. Errors: *JobError, *JobDetachedError,
// *dtr.LostJobError and those of the client.
func RunJob(ctx context.Context, client *dtr.Client, o JobOptions) (dtr.Job, error) {
	w := &jobWait{client: client, o: o, pace: o.Pace.orDefault()}
	jobs, err := client.Jobs(ctx, dtr.JobFilter{Action: o.Action, Limit: recentJobs})
	if err != nil {
		return dtr.Job{}, err
	}
	var found bool
	if w.job, found = underWay(jobs, func(j dtr.Job) bool { return len(o.Parameters) == 0 || maps.Equal(o.Parameters, j.Parameters) }); found {
		w.say(ctx, "joined")
	} else {
		if w.job, err = client.RunJob(ctx, o.Action, o.Parameters); err != nil {
			return dtr.Job{}, err
		}
		w.say(ctx, "started")
	}
	if o.Detach {
		return w.job, nil
	}
	w.first = w.job.ID
	return w.wait(ctx)
}

// underWay is the newest of some jobs, listed newest first, that matches and has
// not come to its end, nor been tried again. Of the very newest a status word that
// nobody published, and a worker that is gone, count as well: the job may be at
// work, or be about to.
func underWay(jobs []dtr.Job, match func(dtr.Job) bool) (dtr.Job, bool) {
	for i, job := range jobs {
		_, err := job.Status.Phase()
		sure := err == nil && !job.Status.Orphaned()
		if match(job) && !over(job) && (sure || i == 0) && attemptsOf(job.ID, jobs)[0].ID == job.ID {
			return job, true
		}
	}
	return dtr.Job{}, false
}

// jobWait waits for one job and its retries.
type jobWait struct {
	client *dtr.Client
	o      JobOptions
	pace   Pace

	first string // id of the job that was started or joined
	job   dtr.Job
	since time.Time // when job was first seen with its status
}

func (w *jobWait) wait(ctx context.Context) (dtr.Job, error) {
	w.since = time.Now()
	var failure error
	err := poll(ctx, w.pace, func(ctx context.Context) (bool, error) {
		jobs, err := w.client.Jobs(ctx, dtr.JobFilter{Action: w.o.Action, Limit: recentJobs})
		if err != nil {
			return false, err
		}
		m, err := judgeMigration(attemptsOf(w.first, jobs), time.Time{})
		if m.job.ID != "" {
			w.note(ctx, m.job)
		}
		if err != nil {
			failure = w.failure(ctx, m.attempts, err)
			return true, nil
		}
		done, failed := w.judge(m)
		switch {
		case failed && m.phase == migrationAbsent:
			failure = w.failure(ctx, 1, errJobGone)
		case failed && m.phase == migrationRunning:
			failure = w.failure(ctx, m.attempts, errJobOrphaned)
		case failed:
			failure = w.failure(ctx, m.attempts, nil)
		}
		return done || failed, nil
	})
	if err != nil {
		return w.job, &JobDetachedError{Action: w.o.Action, Job: w.job.ID, URL: w.client.URL(), Cause: err}
	}
	return w.job, failure
}

var (
	errJobGone     = errors.New("DTR does not list it any more")
	errJobOrphaned = errors.New("its worker is gone, and no other one has taken it on; cancel it in DTR, and check that dtr-jobrunner of every replica runs")
)

// judge says whether the job is done, or has failed. A retry that DTR is to make,
// another worker for a job whose own is gone, and a job that is not listed, which
// may be a list that lags behind, are waited for, though not for ever.
func (w *jobWait) judge(m migration) (done, failed bool) {
	switch m.phase {
	case migrationDone:
		return true, false
	case migrationGaveUp:
		return false, true
	case migrationRunning:
		return false, m.job.Status.Orphaned() && time.Since(w.since) > w.pace.MigrationStart
	case migrationRetrying, migrationAbsent:
		return false, time.Since(w.since) > w.pace.MigrationStart
	}
	return false, false
}

func (w *jobWait) failure(ctx context.Context, attempts int, cause error) error {
	return &JobError{Action: w.o.Action, Job: w.job, Attempts: attempts, URL: w.client.URL(), Cause: cause, Log: jobLog(ctx, w.client, w.job.ID)}
}

// note takes the latest look and tells what is new in it.
func (w *jobWait) note(ctx context.Context, job dtr.Job) {
	before := w.job
	w.job = job
	if job.ID != before.ID || job.Status != before.Status {
		w.since = time.Now()
		w.say(ctx, string(job.Status))
	}
}

func (w *jobWait) say(ctx context.Context, what string) {
	tflog.Info(ctx, "Job changed", map[string]any{"action": w.o.Action, "job_id": w.job.ID, "status": string(w.job.Status), "what": what})
	if w.o.Progress == nil {
		return
	}
	where := ""
	if w.job.WorkerID != "" {
		where = " on replica " + w.job.WorkerID
	}
	w.o.Progress(fmt.Sprintf("Job %s (%s): %s%s", w.job.ID, w.o.Action, what, where))
}

// attemptsOf are, of jobs that are listed newest first, the one with the id and
// its retries, each of which names an earlier attempt.
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

// jobLog is the end of a job's log, as far as it can be had.
func jobLog(ctx context.Context, client *dtr.Client, id string) []string {
	if id == "" {
		return nil
	}
	lines, err := client.JobLogs(ctx, id, tailLength)
	if err != nil {
		tflog.Warn(ctx, "The job's log could not be read", map[string]any{"job_id": id, "error": err.Error()})
	}
	return lines
}
