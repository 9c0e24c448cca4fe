package simulator

import (
	"net/http"
	"slices"
	"strconv"
)

// jobAPI is the part of DTR's API about jobs.
type jobAPI struct{ queue *jobQueue }

func (a jobAPI) routes() []dtrRoute {
	return []dtrRoute{
		{"GET /api/v0/workers", adminOnly, "", a.workers},
		{"GET /api/v0/jobs", adminOnly, "", a.list},
		{"POST /api/v0/jobs", adminOnly, "", a.post},
		{"GET /api/v0/jobs/{id}", adminOnly, "", a.get},
		{"DELETE /api/v0/jobs/{id}", adminOnly, "", a.remove},
		{"POST /api/v0/jobs/{id}/cancel", adminOnly, "", a.cancel},
		{"GET /api/v0/jobs/{id}/logs", adminOnly, "", a.logs},
	}
}

func (a jobAPI) workers(*call) (int, any, error) {
	list := []object{}
	for _, id := range a.queue.members.replicas() {
		status := "running"
		if !a.queue.members.runs(id, "jobrunner") {
			status = "dead"
		}
		list = append(list, object{
			"id": id, "status": status, "capacityMap": object{},
			"heartbeatExpiration": formatTime(a.queue.members.reports[id].refreshed.Add(2 * healthPeriod)),
		})
	}
	return http.StatusOK, object{"workers": list}, nil
}

func (a jobAPI) list(c *call) (int, any, error) {
	query := c.URL.Query()
	is := func(name, value string) bool {
		want := query.Get(name)
		return want == "" || want == "any" || want == value
	}
	list := a.queue.selectJobs(func(j Job) bool {
		return is("action", j.Action) && is("worker", j.WorkerID) &&
			is("running", strconv.FormatBool(j.Status == statusRunning))
	})
	start, err := parseCount(query.Get("start"), 0)
	if err != nil {
		return 0, nil, err
	}
	limit, err := parseCount(query.Get("limit"), 10)
	if err != nil {
		return 0, nil, err
	}
	list = list[min(start, len(list)):]
	return http.StatusOK, object{"jobs": list[:min(limit, len(list))]}, nil
}

// parseCount reads a query parameter that counts something.
func parseCount(s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, &dtrError{http.StatusBadRequest, "INVALID_PARAMETERS", "not a count: " + s}
	}
	return n, nil
}

func (a jobAPI) post(c *call) (int, any, error) {
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
	j := a.queue.schedule(Job{
		Action: form.Action, RetriesLeft: form.Retries, RetriesTotal: form.Retries, Parameters: form.Parameters,
		CapacityMap: form.CapacityMap, Deadline: form.Deadline, StopTimeout: form.StopTimeout,
	})
	return http.StatusAccepted, j.Job, nil
}

func (a jobAPI) find(c *call) (*job, error) {
	id := c.PathValue("id")
	i := slices.IndexFunc(a.queue.jobs, func(j *job) bool { return j.ID == id })
	if i < 0 {
		return nil, errNoSuchJob
	}
	return a.queue.jobs[i], nil
}

func (a jobAPI) get(c *call) (int, any, error) {
	j, err := a.find(c)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, j.Job, nil
}

func (a jobAPI) cancel(c *call) (int, any, error) {
	j, err := a.find(c)
	if err != nil {
		return 0, nil, err
	}
	j.cancel()
	a.queue.setStatus(j, statusCanceled)
	return http.StatusNoContent, nil, nil
}

func (a jobAPI) remove(c *call) (int, any, error) {
	j, err := a.find(c)
	if err != nil {
		return 0, nil, err
	}
	j.cancel()
	a.queue.jobs = slices.DeleteFunc(a.queue.jobs, func(o *job) bool { return o == j })
	return http.StatusNoContent, nil, nil
}

func (a jobAPI) logs(c *call) (int, any, error) {
	j, err := a.find(c)
	if err != nil {
		return 0, nil, err
	}
	offset, err := parseCount(c.URL.Query().Get("offset"), 0)
	if err != nil {
		return 0, nil, err
	}
	limit, err := parseCount(c.URL.Query().Get("limit"), 0)
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
