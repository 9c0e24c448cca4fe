package dtr_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func connect(t *testing.T, c *simulator.Cluster, change ...func(*dtr.Config)) *dtr.Client {
	t.Helper()
	config := dtr.Config{
		URL: c.DTRURL(), Username: c.Username(), Password: c.Password(), CACert: c.CACert(),
		Retry: endpoint.Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond},
	}
	for _, f := range change {
		f(&config)
	}
	client, err := dtr.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// posts counts the requests that ask DTR for a job.
func posts(c *simulator.Cluster) (n int) {
	for _, r := range c.Requests() {
		if r.Service == simulator.ServiceDTR && r.Method == http.MethodPost {
			n++
		}
	}
	return n
}

func jobsOf(c *simulator.Cluster, action string) (n int) {
	for _, j := range c.Jobs() {
		if j.Action == action {
			n++
		}
	}
	return n
}

func TestClusterOfEachMinorVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.5.6", "2.6.15", "2.7.8"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: version})
			c, ctx := connect(t, sim), t.Context()

			if v, err := c.Version(ctx); err != nil || !strings.HasPrefix(v, version) {
				t.Errorf("version %q, error %v", v, err)
			}
			if p, err := c.Ping(ctx, dtr.DefaultPingPath); err != nil || !p.Healthy {
				t.Errorf("ping %+v, error %v", p, err)
			}
			s, err := c.Settings(ctx)
			if err != nil || s.DTRHost == "" || len(s.Replicas) != 3 {
				t.Errorf("settings %+v, error %v", s, err)
			}
			for _, id := range sim.ReplicaIDs() {
				if r := s.Replicas[id]; r.Node == "" || r.HTTPSPort == 0 {
					t.Errorf("replica %s: %+v", id, r)
				}
			}
			status, err := c.ClusterStatus(ctx)
			if err != nil || status.Date.IsZero() || len(status.Health) != 3 || len(status.Timestamp) != 3 {
				t.Errorf("status %+v, error %v", status, err)
			}
			for id, word := range status.Health {
				if word != dtr.HealthOK {
					t.Errorf("replica %s: %s", id, word)
				}
			}
			if f, err := c.Features(ctx); err != nil || f.OnlineGCEnabled != (version != "2.5.6") {
				t.Errorf("features %+v, error %v", f, err)
			}
			if s, err := c.Database().Status(ctx); err != nil || s.DBUpdatedAt.IsZero() {
				t.Errorf("scanner %+v, error %v", s, err)
			}
			if _, err := c.Caches().List(ctx); err != nil {
				t.Error(err)
			}
			for _, r := range sim.Requests() {
				if r.Method != http.MethodGet {
					t.Errorf("%s %s was sent", r.Method, r.Path)
				}
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
	c := connect(t, sim)
	faults := map[string]simulator.Fault{
		"busy":    {Status: 503, Body: "busy"},
		"error":   {Status: 500, Body: `{"errors":[{"code":"INTERNAL_ERROR","message":"internal"}]}`},
		"reset":   {Reset: true},
		"garbage": {Garbage: true},
		"cut":     {Truncate: true},
		"delay":   {Delay: time.Millisecond},
	}
	calls := map[string]struct {
		path string
		call func(context.Context) error
	}{
		"version":  {"/api/v0/docs.json", func(ctx context.Context) error { _, err := c.Version(ctx); return err }},
		"settings": {"/api/v0/meta/settings", func(ctx context.Context) error { _, err := c.Settings(ctx); return err }},
		"status":   {"/api/v0/meta/cluster_status", func(ctx context.Context) error { _, err := c.ClusterStatus(ctx); return err }},
		"jobs":     {"/api/v0/jobs", func(ctx context.Context) error { _, err := c.Jobs(ctx, dtr.JobFilter{}); return err }},
	}
	for faultName, fault := range faults {
		for callName, call := range calls {
			t.Run(faultName+" "+callName, func(t *testing.T) {
				fault.Service, fault.Path = simulator.ServiceDTR, call.path
				fault.Times = 3
				remove := sim.Inject(fault)
				if err := call.call(t.Context()); err != nil {
					t.Errorf("three times: %v", err)
				}
				remove()
				if fault.Delay > 0 {
					return
				}
				fault.Times = 0
				defer sim.Inject(fault)()
				err := call.call(t.Context())
				var (
					api         *dtr.APIError
					unusable    *endpoint.ResponseError
					unreachable *endpoint.UnreachableError
					no          *dtr.NotDTRError
				)
				want := map[string]bool{
					"busy": errors.As(err, &api), "error": errors.As(err, &api), "reset": errors.As(err, &unreachable),
					"garbage": errors.As(err, &unusable), "cut": errors.As(err, &unusable),
				}
				if !want[faultName] || errors.As(err, &no) {
					t.Errorf("for ever: %v", err)
				}
			})
		}
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	sim.AddUser("reader", "read-only")
	tests := map[string]struct {
		username, password      string
		unauthorized, forbidden bool
	}{
		"right":          {sim.Username(), sim.Password(), false, false},
		"wrong password": {sim.Username(), "wrong-pa55word", true, false},
		"not an admin":   {"reader", "read-only", false, true},
		"nobody":         {"", "", true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := connect(t, sim, func(c *dtr.Config) { c.Username, c.Password = tt.username, tt.password })
			_, err := c.Settings(t.Context())
			var api *dtr.APIError
			if ok := errors.As(err, &api); ok != (tt.unauthorized || tt.forbidden) || ok && (api.Unauthorized() != tt.unauthorized || api.Forbidden() != tt.forbidden) {
				t.Errorf("error %v", err)
			}
			if err != nil && tt.password != "" && strings.Contains(err.Error(), tt.password) {
				t.Errorf("the password is in the error %v", err)
			}
		})
	}
}

func TestRunJobOnCluster(t *testing.T) {
	t.Parallel()
	const action = "onlinegc_joblogs"
	tests := map[string]simulator.Fault{
		"nothing wrong":         {},
		"answer lost":           {AfterEffect: true},
		"answer garbled":        {AfterEffect: true, Garbage: true},
		"answer cut":            {Truncate: true},
		"gateway gave up":       {AfterEffect: true, Status: 504},
		"connection reset":      {Reset: true},
		"nobody there to do it": {Status: 503},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
			c := connect(t, sim)
			if _, err := c.RunJob(t.Context(), action, nil); err != nil { // one that was there before
				t.Fatal(err)
			}
			known := jobsOf(sim, action)
			fault.Service, fault.Method, fault.Path, fault.Times = simulator.ServiceDTR, "POST", "/api/v0/jobs", 1
			if name != "nothing wrong" {
				sim.Inject(fault)
			}
			sim.ResetRequests()
			j, err := c.RunJob(t.Context(), action, nil)
			if n := posts(sim); n != 1 {
				t.Errorf("%d POSTs", n)
			}
			if fault.Reset || fault.Status == 503 { // it may yet arrive, for all that anybody knows
				if _, lost := errors.AsType[*dtr.LostJobError](err); !lost {
					t.Errorf("job %s, error %v", j.ID, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := jobsOf(sim, action) - known; n != 1 {
				t.Errorf("%d jobs", n)
			}
			if id := sim.Jobs()[0].ID; j.ID != id {
				t.Errorf("got %s, want the new one, %s", j.ID, id)
			}
		})
	}
}

func TestJobToItsEnd(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
	c := connect(t, sim)
	j, err := c.RunJob(t.Context(), "false", nil)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if j, err = c.Job(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
		phase, err := j.Status.Phase()
		if err != nil {
			t.Fatal(err)
		}
		if phase == dtr.PhaseFailed {
			break
		}
		if !slices.Contains([]dtr.Phase{dtr.PhaseWaiting, dtr.PhaseRunning}, phase) {
			t.Fatalf("status %s", j.Status)
		}
	}
	lines, err := c.JobLogs(t.Context(), j.ID, 1)
	if err != nil || len(lines) != 1 {
		t.Errorf("log %q, error %v", lines, err)
	}
	var api *dtr.APIError
	if _, err := c.Job(t.Context(), "unknown"); !errors.As(err, &api) || api.Code != dtr.CodeNoSuchJob {
		t.Errorf("error %v", err)
	}
}
