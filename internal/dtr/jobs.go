package dtr

import (
	"context"
	"time"
)

// Job is one entry of the job queue. A failed job that is tried again becomes a new job.
type Job struct {
	ID string
	// RetryFromID is ID itself for a first attempt, else the job that this one tries again.
	RetryFromID string
	// WorkerID is the replica that runs the job, empty while it waits.
	WorkerID string
	Action   string
	Status   JobStatus
	// ScheduledAt and LastUpdated are zero when DTR does not say.
	ScheduledAt, LastUpdated  time.Time
	RetriesLeft, RetriesTotal int
}

// JobFilter narrows a list of jobs.
type JobFilter struct {
	// Action is the name of the action; empty means any.
	Action string
	// Limit is how many of the newest are wanted; 0 means all.
	Limit int
}

// Jobs lists jobs, newest first, each once, also when new ones appear meanwhile.
func (c *Client) Jobs(ctx context.Context, f JobFilter) ([]Job, error) { return nil, errTODO }

// Job reads one job. An APIError with code CodeNoSuchJob says that there is none.
func (c *Client) Job(ctx context.Context, id string) (Job, error) { return Job{}, errTODO }

// RunJob starts a job of the action now.
// When the answer is lost it looks for the job, and asks again, once, only when there is none.
// A *LostJobError says that nobody can tell whether the job was started.
func (c *Client) RunJob(ctx context.Context, action string) (Job, error) { return Job{}, errTODO }

// JobLogs returns the last lines of a job's log; last <= 0 means all.
func (c *Client) JobLogs(ctx context.Context, id string, last int) ([]string, error) {
	return nil, errTODO
}
