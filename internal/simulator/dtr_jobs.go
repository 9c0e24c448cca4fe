package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Job is a job as DTR's API shows it.
type Job struct {
	ID           string            `json:"id"`
	RetryFromID  string            `json:"retryFromID"`
	WorkerID     string            `json:"workerID"`
	Status       string            `json:"status"`
	ScheduledAt  time.Time         `json:"scheduledAt"`
	LastUpdated  time.Time         `json:"lastUpdated"`
	Action       string            `json:"action"`
	RetriesLeft  int               `json:"retriesLeft"`
	RetriesTotal int               `json:"retriesTotal"`
	CapacityMap  map[string]int    `json:"capacityMap"`
	Parameters   map[string]string `json:"parameters"`
	Deadline     string            `json:"deadline"`
	StopTimeout  string            `json:"stopTimeout"`
}

// Jobs lists every job, newest first.
func (c *Cluster) Jobs() []Job {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	return c.dtr.selectJobs(func(Job) bool { return true })
}

func (d *dtr) selectJobs(f func(Job) bool) []Job {
	list := []Job{}
	for _, j := range slices.Backward(d.jobs) {
		if f(j.Job) {
			list = append(list, j.Job)
		}
	}
	return list
}

func (d *dtr) listJobs(c *call) (int, any, error) {
	query := c.URL.Query()
	is := func(name, value string) bool {
		want := query.Get(name)
		return want == "" || want == "any" || want == value
	}
	list := d.selectJobs(func(j Job) bool {
		return is("action", j.Action) && is("worker", j.WorkerID) &&
			is("running", strconv.FormatBool(j.Status == statusRunning))
	})
	start, err := number(query.Get("start"), 0)
	if err != nil {
		return 0, nil, err
	}
	limit, err := number(query.Get("limit"), 10)
	if err != nil {
		return 0, nil, err
	}
	list = list[min(start, len(list)):]
	return http.StatusOK, object{"jobs": list[:min(limit, len(list))]}, nil
}

// number reads a query parameter that counts something.
func number(s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, &dtrError{http.StatusBadRequest, "INVALID_PARAMETERS", "not a count: " + s}
	}
	return n, nil
}

func (d *dtr) postJob(c *call) (int, any, error) {
	var form struct {
		Action      string
		Retries     int
		Parameters  map[string]string
		CapacityMap map[string]int
		Deadline    string
		StopTimeout string
	}
	if err := c.decode(&form); err != nil {
		return 0, nil, err
	}
	if !slices.Contains(jobActions, form.Action) {
		return 0, nil, &dtrError{http.StatusBadRequest, "INVALID_PARAMETERS", "no such action: " + form.Action}
	}
	j := d.schedule(Job{
		Action: form.Action, RetriesLeft: form.Retries, RetriesTotal: form.Retries, Parameters: form.Parameters,
		CapacityMap: form.CapacityMap, Deadline: form.Deadline, StopTimeout: form.StopTimeout,
	})
	return http.StatusAccepted, j.Job, nil
}

func (d *dtr) findJob(c *call) (*job, error) {
	id := c.PathValue("id")
	i := slices.IndexFunc(d.jobs, func(j *job) bool { return j.ID == id })
	if i < 0 {
		return nil, errNoSuchJob
	}
	return d.jobs[i], nil
}

func (d *dtr) getJob(c *call) (int, any, error) {
	j, err := d.findJob(c)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, j.Job, nil
}

func (d *dtr) cancelJob(c *call) (int, any, error) {
	j, err := d.findJob(c)
	if err != nil {
		return 0, nil, err
	}
	j.cancel()
	j.setStatus(statusCanceled)
	return http.StatusNoContent, nil, nil
}

func (d *dtr) deleteJob(c *call) (int, any, error) {
	j, err := d.findJob(c)
	if err != nil {
		return 0, nil, err
	}
	j.cancel()
	d.jobs = slices.DeleteFunc(d.jobs, func(o *job) bool { return o == j })
	return http.StatusNoContent, nil, nil
}

func (d *dtr) jobLogs(c *call) (int, any, error) {
	j, err := d.findJob(c)
	if err != nil {
		return 0, nil, err
	}
	offset, err := number(c.URL.Query().Get("offset"), 0)
	if err != nil {
		return 0, nil, err
	}
	limit, err := number(c.URL.Query().Get("limit"), 0)
	if err != nil {
		return 0, nil, err
	}
	data, line := "data", "lineNum"
	if !c.replica.notBefore("2.5") {
		data, line = "Data", "LineNum"
	}
	list := []object{}
	for i, text := range j.log {
		if i >= offset && (limit == 0 || len(list) < limit) {
			list = append(list, object{data: text, line: i})
		}
	}
	return http.StatusOK, list, nil
}
