package dtr

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// RunJob starts a job of the action now.
// When the answer is lost it looks for the job, and asks again, once, only when there is none: a job must not run twice.
// A *LostJobError says that nobody can tell whether the job was started.
func (c *Client) RunJob(ctx context.Context, action string) (Job, error) {
	if action == "" {
		return Job{}, errors.New("the job's action is empty")
	}
	before, err := c.Jobs(ctx, JobFilter{Action: action, Limit: pageSize})
	if err != nil {
		return Job{}, err
	}
	known := make(map[string]bool, len(before))
	for _, j := range before {
		known[j.ID] = true
	}
	return createOnce(ctx, c,
		func(ctx context.Context) (Job, error) { return c.postJob(ctx, action) },
		func(ctx context.Context) (*Job, error) {
			jobs, err := c.Jobs(ctx, JobFilter{Action: action, Limit: pageSize})
			return oldestNewJob(jobs, known), err
		},
		func(err error) error { return &LostJobError{Action: action, Err: err} })
}

func (c *Client) postJob(ctx context.Context, action string) (j Job, err error) {
	body, err := json.Marshal(map[string]string{"action": action})
	if err != nil {
		return Job{}, err
	}
	r := c.request(jobsPath, nil)
	r.Method, r.JSON = http.MethodPost, body
	err = c.endpoint.Once(ctx, r, func(a *endpoint.Answer) error {
		j, err = c.readJob(a)
		return err
	})
	return j, err
}

// oldestNewJob picks, of jobs that are listed newest first, the first attempt: DTR may have tried it again by now,
// and it may have tried an older job again, which is none of ours.
func oldestNewJob(jobs []Job, known map[string]bool) (found *Job) {
	for _, j := range jobs {
		if known[j.ID] {
			break // what is older was there before
		}
		if !known[j.RetryFromID] {
			found = &j
		}
	}
	return found
}
