package dtr

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// Job is one entry of the job queue. A failed job that is tried again becomes a new job.
type Job struct {
	ID string `json:"id"`
	// RetryFromID is ID itself for a first attempt, else the job that this one tries again.
	RetryFromID string `json:"retryFromID"`
	// WorkerID is the replica that runs the job, empty while it waits.
	WorkerID string    `json:"workerID"`
	Action   string    `json:"action"`
	Status   JobStatus `json:"status"`
	// ScheduledAt and LastUpdated are zero when DTR does not say.
	ScheduledAt  time.Time         `json:"scheduledAt"`
	LastUpdated  time.Time         `json:"lastUpdated"`
	RetriesLeft  int               `json:"retriesLeft"`
	RetriesTotal int               `json:"retriesTotal"`
	Parameters   map[string]string `json:"parameters"`
	CapacityMap  map[string]int    `json:"capacityMap"`
	// Deadline and StopTimeout are durations as DTR writes them, empty for none.
	Deadline    string `json:"deadline"`
	StopTimeout string `json:"stopTimeout"`
}

// JobFilter narrows a list of jobs.
type JobFilter struct {
	// Action is the name of the action; empty means any.
	Action string
	// Worker is the replica that runs the job; empty means any.
	Worker string
	// Running narrows it to jobs that a worker is at work on, or to those that none is; nil means any.
	// A job whose status is no word that the vendor documents counts as both.
	Running *bool
	// Limit is how many of the newest are wanted; 0 means all.
	Limit int
}

const (
	jobsPath = "/api/v0/jobs"
	// pageSize is asked for; pageDefault is what DTR gives unless asked, so that no DTR gives less.
	pageSize, pageDefault = 100, 10
	// maxJobs and maxJobText bound what is kept of a list, whose pages have each a bound of their own.
	maxJobs, maxJobText = 50_000, 32 << 20
	// maxPage and maxPageText bound a page of a DTR that does not heed how many were asked for.
	maxPage, maxPageText = 10_000, 4 << 20
)

var errTooManyJobs = fmt.Errorf("the list has more than %d jobs or more than %d bytes", maxJobs, maxJobText)

// Jobs lists jobs, newest first, each once, also when new ones appear meanwhile.
func (c *Client) Jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	size := pageSize
	if f.Limit > 0 {
		size = min(size, f.Limit)
	}
	var jobs []Job
	seen, read := map[string]bool{}, 0
	for start := 0; ; {
		page, length, err := c.jobPage(ctx, f, start, size)
		if err != nil {
			return nil, err
		}
		if read += length; read > maxJobText || len(seen)+len(page) > maxJobs {
			return nil, fmt.Errorf("GET %s: %w", jobsPath, errTooManyJobs)
		}
		known := len(seen)
		for _, j := range page {
			// A job that was scheduled since the last page has moved the others back by one.
			if seen[j.ID] {
				continue
			}
			seen[j.ID] = true
			if !f.matches(j) {
				continue
			}
			jobs = append(jobs, j)
			if len(jobs) == f.Limit {
				return jobs, nil
			}
		}
		// DTR tells no total, and could give less than was asked for while there is more.
		// A page without anything new ends the list too, else a server that ignores start would be asked for ever.
		if len(page) < min(size, pageDefault) || len(seen) == known {
			return jobs, nil
		}
		start += len(page)
	}
}

// matches is what of the filter DTR may not have applied: it documents that running shows only the jobs that run, and not how to see the others.
func (f JobFilter) matches(j Job) bool {
	if f.Worker != "" && f.Worker != j.WorkerID {
		return false
	}
	phase, err := j.Status.Phase()
	return f.Running == nil || err != nil || *f.Running == (phase == PhaseRunning)
}

// jobPage reads one page, and says how many bytes it had.
func (c *Client) jobPage(ctx context.Context, f JobFilter, start, limit int) (jobs []Job, length int, err error) {
	running := "any"
	if f.Running != nil && *f.Running {
		running = "true"
	}
	var list struct {
		Jobs []json.RawMessage `json:"jobs"`
	}
	r := c.request(jobsPath, url.Values{
		"action":  {cmp.Or(f.Action, "any")},
		"worker":  {cmp.Or(f.Worker, "any")},
		"running": {running},
		"start":   {strconv.Itoa(start)},
		"limit":   {strconv.Itoa(limit)},
	})
	body := atMost(&r, maxPageText)
	err = c.endpoint.Repeat(ctx, r, func(a *endpoint.Answer) error {
		body(a)
		length, jobs = len(a.Body), nil
		if err := c.reader(&list)(a); err != nil {
			return err
		}
		if len(list.Jobs) > maxPage {
			return c.endpoint.Unusable(a, fmt.Errorf("the page has %d jobs, and %d were asked for", len(list.Jobs), limit))
		}
		for _, text := range list.Jobs {
			var j Job
			if err := json.Unmarshal(text, &j); err != nil {
				return c.endpoint.Unusable(a, err)
			}
			jobs = append(jobs, j)
		}
		return nil
	})
	return jobs, length, err
}

// Job reads one job. An APIError with code CodeNoSuchJob says that there is none.
func (c *Client) Job(ctx context.Context, id string) (j Job, err error) {
	path, err := jobPath(id)
	if err != nil {
		return Job{}, err
	}
	err = c.endpoint.Repeat(ctx, c.request(path, nil), c.jobReader(&j))
	return j, err
}

// jobReader takes a job without an id for no answer at all.
func (c *Client) jobReader(j *Job) func(*endpoint.Answer) error {
	return func(a *endpoint.Answer) error {
		*j = Job{}
		if err := c.reader(j)(a); err != nil {
			return err
		}
		if j.ID == "" {
			return c.endpoint.Unusable(a, errors.New("it is not a job"))
		}
		return nil
	}
}

// JobLogs returns the last lines of a job's log; last <= 0 means all.
func (c *Client) JobLogs(ctx context.Context, id string, last int) ([]string, error) {
	path, err := jobPath(id)
	if err != nil {
		return nil, err
	}
	var log []logLine
	if err := c.get(ctx, path+"/logs", &log); err != nil {
		return nil, err
	}
	slices.SortStableFunc(log, func(a, b logLine) int { return cmp.Compare(a.LineNum, b.LineNum) })
	lines := make([]string, len(log))
	for i, l := range log {
		lines[i] = c.endpoint.Secrets().Hide(l.Data)
	}
	if last > 0 {
		lines = lines[max(0, len(lines)-last):]
	}
	return lines, nil
}

func jobPath(id string) (string, error) {
	if id == "" {
		return "", errors.New("the job's id is empty")
	}
	return jobsPath + "/" + url.PathEscape(id), nil
}
