package provider

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// posts counts the jobs that were started by hand.
func posts(c *simulator.Cluster) (n int) {
	for _, r := range c.Requests() {
		if r.Method == http.MethodPost && r.Path == "/api/v0/jobs" {
			n++
		}
	}
	return n
}

func TestJobAction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config values
		faults simulator.MigrationFaults
		want   string // in the diagnostics, "" for none at all
		said   string // in the last of the progress
	}{
		{"done", values{"action": "onlinegc"}, simulator.MigrationFaults{}, "", "(onlinegc): done on replica "},
		{"with parameters", values{"action": "onlinegc", "parameters": values{"a": "b"}, "wait": true}, simulator.MigrationFaults{}, "", "done"},
		{"not waited for", values{"action": "onlinegc", "wait": false}, simulator.MigrationFaults{}, "", "started"},
		{"fails", values{"action": "false"}, simulator.MigrationFaults{}, "Error: The job false failed\n", "errored"},
		{"unknown status", values{"action": "metadatastoremigration"}, simulator.MigrationFaults{Status: "levitating"}, `unknown job status "levitating"`, "levitating"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.SetMigration(c.faults)
			said, diags := planner(t, cluster).invoke("dtr_job", c.config, nil)
			if text := render(diags); c.want == "" && text != "" || !strings.Contains(text, c.want) {
				t.Errorf("got:\n%s\nwant %q", text, c.want)
			}
			if c.want != "" && !strings.Contains(render(diags), "terraform apply -invoke=action.dtr_job.<name>\n") {
				t.Errorf("it is not said how to run the action again:\n%s", render(diags))
			}
			if len(said) == 0 || !strings.Contains(said[len(said)-1], c.said) {
				t.Errorf("progress %q, want %q in the last", said, c.said)
			}
			jobs := cluster.Jobs()
			if len(jobs) != 1 || posts(cluster) != 1 {
				t.Fatalf("jobs %+v, %d POSTs", jobs, posts(cluster))
			}
			if p, ok := c.config["parameters"].(values); ok && jobs[0].Parameters["a"] != p["a"] {
				t.Errorf("parameters %v", jobs[0].Parameters)
			}
		})
	}
}

func TestJobActionRefusals(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	p := planner(t, cluster)
	for name, c := range map[string]struct {
		config values
		want   string
	}{
		"not a name":   {values{"action": "Online GC"}, "Not the name of a DTR job's action"},
		"no action":    {values{}, "action"},
		"not a period": {values{"action": "onlinegc", "timeouts": values{"invoke": "soon"}}, "timeouts.invoke"},
	} {
		if text := render(p.planAction("dtr_job", c.config)); !strings.Contains(text, "Error: ") || !strings.Contains(text, c.want) {
			t.Errorf("%s: got:\n%s\nwant %q", name, text, c.want)
		}
	}
	unconnected := newProtocol(t, quick()...)
	unconnected.ok(nil, unconnected.configure(in(connected(cluster), values{"url": unknown{}})))
	for name, c := range map[string]struct {
		p      *protocol
		config values
		want   string
	}{
		"not connected":      {unconnected, values{"action": "onlinegc"}, "Error: The provider is not connected"},
		"unknown to DTR":     {p, values{"action": "levitate"}, "INVALID_PARAMETERS"},
		"limit that is past": {p, values{"action": "sleep", "timeouts": values{"invoke": "1ns"}}, "timeouts.invoke of 1ns passed"},
	} {
		if _, diags := c.p.invoke("dtr_job", c.config, nil); !strings.Contains(render(diags), c.want) || strings.Contains(render(diags), adviceRetry) {
			t.Errorf("%s: got:\n%s\nwant %q", name, render(diags), c.want)
		}
	}
	if len(cluster.Jobs()) > 0 {
		t.Errorf("jobs %+v", cluster.Jobs())
	}
}

// TestJobActionIsInterrupted cuts an invocation short. The next one joins the job
// that went on.
func TestJobActionIsInterrupted(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	release := cluster.Hold(simulator.JobStarted)
	defer release()
	p := planner(t, cluster)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	interrupted := *p
	interrupted.ctx = ctx
	said, diags := interrupted.invoke("dtr_job", values{"action": "sleep"}, func(text string) {
		if strings.Contains(text, "running") {
			cancel()
		}
	})
	text := render(diags)
	for _, want := range []string{
		"Error: Terraform stopped waiting for a job of DTR\n", "Terraform was interrupted.", "The job continues by itself", cluster.Jobs()[0].ID, "System > Job Logs",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("progress %q; got:\n%s\nwant %q", said, text, want)
		}
	}
	said, diags = p.invoke("dtr_job", values{"action": "sleep"}, func(string) { release() })
	p.ok(nil, diags)
	if len(said) == 0 || !strings.Contains(said[0], "joined") || posts(cluster) != 1 {
		t.Errorf("progress %q after %d POSTs", said, posts(cluster))
	}
}

func TestJobData(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	p := planner(t, cluster)
	for range 12 {
		_, diags := p.invoke("dtr_job", values{"action": "onlinegc", "parameters": values{"a": "b"}}, nil)
		p.ok(nil, diags)
	}
	_, diags := p.invoke("dtr_job", values{"action": "false"}, nil)
	if !hasErrors(diags) {
		t.Fatal("the job did not fail")
	}
	failed := cluster.Jobs()[0]
	cluster.ResetRequests()

	got := p.data("dtr_job", values{"id": failed.ID, "log_lines": 1})
	p.ok(nil, got.diags)
	want := values{
		"id": failed.ID, "retry_from_id": failed.ID, "worker_id": failed.WorkerID, "action": "false", "status": "errored", "phase": "failed",
		"scheduled_at": timeText(failed.ScheduledAt), "last_updated": timeText(failed.LastUpdated), "retries_left": 0, "retries_total": 0,
		"parameters": values{}, "capacity_map": values{}, "deadline": "", "stop_timeout": "",
		"log_lines": 1, "log": []any{"false failed: exit status 1"},
	}
	if diff := cmp.Diff(want, got.plain()); diff != "" {
		t.Error(diff)
	}
	if got := p.data("dtr_job", values{"id": failed.ID}); got.plain()["log"] != nil {
		t.Errorf("a log that was not asked for: %v", got.plain()["log"])
	}

	for name, c := range map[string]struct {
		config values
		want   int
	}{
		"as many as DTR lists": {values{}, 10},
		"all":                  {values{"limit": 100}, 13},
		"two":                  {values{"limit": 2}, 2},
		"of an action":         {values{"action": "false"}, 1},
		"of a worker":          {values{"worker": failed.WorkerID, "limit": 100}, 13},
		"of another worker":    {values{"worker": "0123456789ab"}, 0},
		"running":              {values{"running": true}, 0},
		"not running":          {values{"running": false, "limit": 3}, 3},
	} {
		got := p.data("dtr_jobs", c.config)
		p.ok(nil, got.diags)
		list := got.plain()["jobs"].([]any)
		if len(list) != c.want {
			t.Errorf("%s: %d jobs, want %d", name, len(list), c.want)
		}
		for i, j := range list {
			if all := cluster.Jobs(); c.config["action"] == nil && j.(values)["id"] != all[i].ID {
				t.Errorf("%s: job %d is %v, want %s", name, i, j, all[i].ID)
			}
		}
	}
	onlyReads(t, cluster)

	for name, c := range map[string]struct {
		source string
		config values
		want   string
	}{
		"no such job":    {"dtr_job", values{"id": "none"}, "Error: DTR has no such job\n"},
		"no id":          {"dtr_job", values{"id": ""}, "at id"},
		"no lines":       {"dtr_job", values{"id": "x", "log_lines": 0}, "at log_lines"},
		"no jobs":        {"dtr_jobs", values{"limit": 0}, "at limit"},
		"not a worker":   {"dtr_jobs", values{"worker": "worker1"}, "Not a replica id"},
		"not an action":  {"dtr_jobs", values{"action": "any job"}, "Not the name of a DTR job's action"},
		"DTR is away":    {"dtr_jobs", values{}, "Error: DTR does not answer\n"},
		"not an admin":   {"dtr_jobs", values{}, "Error: The DTR user is not an administrator\n"},
		"not yet a host": {"dtr_jobs", values{}, "name the resource that those values come from in its depends_on"},
	} {
		p := p
		switch name {
		case "DTR is away":
			away := start(t, "2.6.15")
			away.Inject(simulator.Fault{Reset: true})
			p = planner(t, away)
		case "not an admin":
			cluster.AddUser("reader", "reader-password")
			p = newProtocol(t, quick()...)
			p.ok(nil, p.configure(in(connected(cluster), values{"username": "reader", "password": "reader-password"})))
		case "not yet a host":
			p = newProtocol(t, quick()...)
			p.ok(nil, p.configure(in(connected(cluster), values{"url": unknown{}})))
		}
		if text := render(p.data(c.source, c.config).diags); !strings.Contains(text, "Error: ") || !strings.Contains(text, c.want) {
			t.Errorf("%s: got:\n%s\nwant %q", name, text, c.want)
		}
	}
}
