package dtr

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// RunJob starts a job of the action now. The parameters, which may be nil, depend on the action.
// When the answer is lost it looks for the job, and does not ask again, since a job must not run twice: a request that
// DTR or a load balancer was late to answer may yet be carried out. A *LostJobError says that nobody can tell by now.
func (c *Client) RunJob(ctx context.Context, action string, parameters map[string]string) (Job, error) {
	if action == "" {
		return Job{}, errors.New("the job's action is empty")
	}
	return c.begin(ctx, []string{action}, neverLeft, func() (Job, error) { return c.postJob(ctx, action, parameters) })
}

// begin sends a request that makes DTR start a job of one of the actions. Whether it may be sent again when its answer is
// lost and no job is found, again says.
func (c *Client) begin(ctx context.Context, actions []string, again func(error) bool, send func() (Job, error)) (Job, error) {
	known := map[string]bool{}
	before, err := c.jobsOf(ctx, actions)
	if err != nil {
		return Job{}, err
	}
	for _, j := range before {
		known[j.ID] = true
	}
	return createOnce(ctx, c, again,
		func(context.Context) (Job, error) { return send() },
		func(ctx context.Context) (*Job, error) {
			for _, action := range actions {
				jobs, err := c.jobsOf(ctx, []string{action})
				if err != nil {
					return nil, err
				}
				if found := oldestNewJob(jobs, known); found != nil {
					return found, nil
				}
			}
			return nil, nil
		},
		func(err error) error { return &LostJobError{Action: actions[0], Err: err} })
}

// jobsOf lists the latest jobs of some actions, one action after the other.
func (c *Client) jobsOf(ctx context.Context, actions []string) (all []Job, err error) {
	for _, action := range actions {
		jobs, err := c.Jobs(ctx, JobFilter{Action: action, Limit: pageSize})
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

func (c *Client) postJob(ctx context.Context, action string, parameters map[string]string) (j Job, err error) {
	body, err := json.Marshal(struct {
		Action     string            `json:"action"`
		Parameters map[string]string `json:"parameters,omitempty"`
	}{action, parameters})
	if err != nil {
		return Job{}, err
	}
	r := c.request(jobsPath, nil)
	r.Method, r.JSON = http.MethodPost, body
	err = c.endpoint.Once(ctx, r, c.jobReader(&j))
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
