package simulator_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const jobsPath = "/api/v0/jobs"

func TestFaultsOfAnswers(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	get := a.request(http.MethodGet, jobsPath, "")
	meet := func(f simulator.Fault) (answer, error) {
		t.Helper()
		f.Service, f.Path, f.Times = simulator.ServiceDTR, jobsPath, 1
		c.Inject(f)
		a.h.CloseIdleConnections() // or net/http repeats the GET by itself
		return try(t, a.h, get)
	}

	if got, err := meet(simulator.Fault{Status: 500, Body: `{"errors":[{"code":"INTERNAL_ERROR","message":"m"}]}`}); err != nil || got.status != 500 || got.code(t) != "INTERNAL_ERROR" {
		t.Errorf("status: %v %d %s", err, got.status, got.body)
	}
	if _, err := meet(simulator.Fault{Reset: true}); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("reset: %v", err)
	}
	if got, err := meet(simulator.Fault{Garbage: true}); err != nil || got.status != 200 || json.Valid(got.body) {
		t.Errorf("garbage: %v %d %s", err, got.status, got.body)
	}
	if got, err := meet(simulator.Fault{Truncate: true}); err == nil || got.status != 200 || len(got.body) == 0 || json.Valid(got.body) {
		t.Errorf("truncated: %v %d %s", err, got.status, got.body)
	}
	rewrite := func(status int, body []byte) (int, []byte) { return status + 3, append([]byte("was "), body...) }
	if got, err := meet(simulator.Fault{Rewrite: rewrite}); err != nil || got.status != 203 || !strings.HasPrefix(string(got.body), `was {"jobs"`) {
		t.Errorf("rewritten: %v %d %s", err, got.status, got.body)
	}
	other := func(r *http.Request) bool { return r.URL.Query().Has("action") }
	if got, err := meet(simulator.Fault{Status: 500, Matches: other}); err != nil || got.status != 200 {
		t.Errorf("a request that does not match: %v %d", err, got.status)
	}
	began := time.Now()
	if got, err := meet(simulator.Fault{Delay: 30 * time.Millisecond}); err != nil || got.status != 200 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("delay: %v %d after %v", err, got.status, time.Since(began))
	}
	if got := do(t, a.h, get); got.status != 200 {
		t.Errorf("once they are used up: %d", got.status)
	}
}

func TestFaultAfterEffect(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	c.Inject(simulator.Fault{Method: http.MethodPost, Path: jobsPath, AfterEffect: true, Times: 1})
	if _, err := try(t, a.h, a.request(http.MethodPost, jobsPath, `{"action":"gc"}`)); err == nil {
		t.Error("the answer arrived")
	}
	c.Inject(simulator.Fault{Method: http.MethodPost, Path: jobsPath, AfterEffect: true, Status: 502, Times: 1})
	if got := a.post(jobsPath, `{"action":"gc"}`); got.status != 502 {
		t.Errorf("status %d", got.status)
	}
	if got := len(jobsOf(c, "gc")); got != 2 {
		t.Errorf("%d jobs", got)
	}
}

func TestFaultsMatch(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	remove := c.Inject(simulator.Fault{Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/meta/*", Status: 503})
	for path, want := range map[string]int{"/api/v0/meta/settings": 503, "/api/v0/meta/features": 503, jobsPath: 200, "/_ping": 200} {
		if got := a.get(path, nil); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
	remove()
	remove()
	if got := a.get("/api/v0/meta/settings", nil); got.status != 200 {
		t.Errorf("removed: %d", got.status)
	}

	d := docker(t, c)
	c.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/json", Status: 500, Body: `{"message":"no"}`, Times: 2})
	for range 2 {
		if _, err := d.ContainerList(t.Context(), client.ContainerListOptions{}); err == nil || !strings.Contains(err.Error(), "no") {
			t.Errorf("%v", err)
		}
	}
	if _, err := d.ContainerList(t.Context(), client.ContainerListOptions{}); err != nil {
		t.Error(err)
	}
	h := httpClient(t, c)
	c.Inject(simulator.Fault{Service: simulator.ServiceUCP, Path: "/auth/login", Reset: true, Times: 1})
	if _, err := try(t, h, request{method: http.MethodPost, url: c.UCPURL() + "/auth/login", body: "{}"}); err == nil {
		t.Error("the login was answered")
	}
}

func TestFaultsOfTheBootstrapperAlone(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	c.Inject(simulator.Fault{Bootstrapper: true, Path: "/networks/*", Status: 500, Body: `{"message":"only for you"}`})
	status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
	if status != 1 || !strings.Contains(output, "only for you") {
		t.Errorf("exit status %d\n%s", status, output)
	}
	if _, err := docker(t, c).NetworkInspect(t.Context(), "dtr-ol", client.NetworkInspectOptions{}); err != nil {
		t.Errorf("others: %v", err)
	}
}

func TestMalformedFaultPathPanics(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	c.Inject(simulator.Fault{Path: "["})
}

func TestRequestsAreRecorded(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	token := login(t, c, a.h)
	c.ResetRequests()
	a.get("/api/v0/jobs?limit=1", nil)
	do(t, a.h, request{url: c.UCPURL() + "/v1.39/info", bearer: token})
	do(t, a.h, request{url: c.UCPURL() + "/ca"})
	do(t, a.h, request{url: c.UCPURL() + "/nodes"})
	_, _ = directDocker(t, c, "1.39").Info(t.Context(), client.InfoOptions{})
	type seen struct {
		service, method, path, query string
		status                       int
	}
	var got []seen
	for _, r := range c.Requests() {
		got = append(got, seen{r.Service, r.Method, r.Path, r.Query, r.Status})
		if r.At.IsZero() || r.UserAgent == "" || r.Bootstrapper() {
			t.Errorf("%+v", r)
		}
	}
	want := []seen{
		{"dtr", "GET", "/api/v0/jobs", "limit=1", 200},
		{"engine", "GET", "/v1.39/info", "", 200},
		{"ucp", "GET", "/ca", "", 200},
		{"engine", "GET", "/nodes", "", 401},
		{"engine", "GET", "/v1.39/info", "", 200},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(seen{})); diff != "" {
		t.Error(diff)
	}
}

func TestBootstrapperFaults(t *testing.T) {
	t.Parallel()
	const failed = "Upgrade has failed"
	status := func(n int) *int { return &n }
	for name, tc := range map[string]struct {
		faults   simulator.BootstrapperFaults
		status   int
		versions map[string]int
		says     []string
		not      []string
	}{
		"dies before any replica": {
			faults: simulator.BootstrapperFaults{DieAtReplica: -1}, status: 1,
			versions: map[string]int{"2.6.8": 27}, says: []string{failed},
		},
		"dies with another record": {
			faults:   simulator.BootstrapperFaults{DieAtReplica: -1, FatalRecord: "connection reset by peer"},
			versions: map[string]int{"2.6.8": 27}, status: 1, says: []string{`level=fatal msg="connection reset by peer"`},
		},
		"dies at the first replica": {
			faults: simulator.BootstrapperFaults{DieAtReplica: 1}, status: 1,
			versions: map[string]int{"2.6.9": 4, "2.6.8": 23}, says: []string{failed},
		},
		"dies and claims success": {
			faults:   simulator.BootstrapperFaults{DieAtReplica: 3, ClaimSuccess: true},
			versions: map[string]int{"2.6.9": 22, "2.6.8": 5},
			says:     []string{"Successfully registered dtr with UCP"}, not: []string{failed, "fatal"},
		},
		"dies in silence": {
			faults: simulator.BootstrapperFaults{DieAtReplica: 2, Silent: true}, status: 1,
			versions: map[string]int{"2.6.9": 13, "2.6.8": 14}, not: []string{"level="},
		},
		"exit status of its own": {
			faults: simulator.BootstrapperFaults{ExitStatus: status(3)}, status: 3,
			versions: map[string]int{"2.6.9": 27}, not: []string{failed},
		},
		"dies with exit status 0": {
			faults:   simulator.BootstrapperFaults{DieAtReplica: 1, ExitStatus: status(0)},
			versions: map[string]int{"2.6.9": 4, "2.6.8": 23}, says: []string{failed},
		},
		"fatal record on success": {
			faults:   simulator.BootstrapperFaults{FatalRecord: "something broke"},
			versions: map[string]int{"2.6.9": 27}, says: []string{failed, `level=fatal msg="something broke"`},
		},
		"leaves a part of every replica": {
			faults:   simulator.BootstrapperFaults{LeaveOldPart: "nginx"},
			versions: map[string]int{"2.6.9": 24, "2.6.8": 3}, not: []string{failed, "dtr-nginx"},
		},
		"skips a replica": {
			faults:   simulator.BootstrapperFaults{SkipReplica: 2},
			versions: map[string]int{"2.6.9": 18, "2.6.8": 9}, not: []string{failed},
		},
		"long line": {
			faults:   simulator.BootstrapperFaults{LongLine: 100_000},
			versions: map[string]int{"2.6.9": 27}, says: []string{"msg=" + strings.Repeat("x", 100_000) + "\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
			c.SetBootstrapper(tc.faults)
			status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
			if status != tc.status {
				t.Errorf("exit status %d, want %d", status, tc.status)
			}
			if diff := cmp.Diff(tc.versions, everyVersion(c)); diff != "" {
				t.Error(diff)
			}
			for _, text := range tc.says {
				if !strings.Contains(output, text) {
					t.Errorf("the log does not say %.80q", text)
				}
			}
			for _, text := range tc.not {
				if strings.Contains(output, text) {
					t.Errorf("the log says %q", text)
				}
			}
		})
	}
}

func TestContentTrustStopsTheBootstrapper(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	c.SetContentTrust(true)
	d := directDocker(t, c, "1.39")
	status, output := wait(t, d, upgradeTo(c, "docker/dtr:2.6.9").start(t, d))
	if status != 1 || !strings.Contains(output, "signing policy") {
		t.Errorf("exit status %d\n%s", status, output)
	}
}

func TestEngineGoneAndBack(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := docker(t, c)
	id := c.ReplicaIDs()[1]
	c.StopEngine("worker2")
	list, err := d.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	down := 0
	for _, ct := range list.Items {
		if ct.Status == "Host Down" && strings.HasPrefix(ct.Names[0], "/worker2/") {
			down++
		}
	}
	if running := names(t, d, client.ContainerListOptions{}); down != 9 || len(running) != 19 {
		t.Errorf("%d containers on hosts that are down, %d running", down, len(running))
	}
	if _, err := d.ContainerInspect(t.Context(), "dtr-api-"+id, client.ContainerInspectOptions{}); err == nil {
		t.Error("a container of the node was inspected")
	}
	if len(c.Containers()) != 19 || len(c.ReplicaIDs()) != 3 {
		t.Errorf("%d containers, %d replicas", len(c.Containers()), len(c.ReplicaIDs()))
	}
	nodes, err := d.NodeList(t.Context(), client.NodeListOptions{})
	if err != nil || nodes.Items[2].Status.State != "down" {
		t.Errorf("%v: %+v", err, nodes.Items[2].Status)
	}
	a := newAPI(t, c)
	eventually(t, "its report is old", func() bool { return strings.Contains(a.status().Health[id], "too long ago") })

	c.StartEngine("worker2")
	if running := names(t, d, client.ContainerListOptions{}); len(running) != 28 {
		t.Errorf("%d containers run again", len(running))
	}
	eventually(t, "it is healthy again", func() bool { return allHealthy(a) })
}

func TestDirectEngineGone(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := directDocker(t, c, "1.39")
	c.StopEngine("worker1")
	if _, err := d.Info(t.Context(), client.InfoOptions{}); err == nil {
		t.Error("the engine answers")
	}
}

func TestMistakesOfATestPanic(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
	for name, f := range map[string]func(){
		"container": func() { c.KillContainer("nonsense") },
		"node":      func() { c.StopEngine("nonsense") },
		"replica":   func() { c.SetReplicaHealth("nonsense", "") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestDelayedRequestEndsWithItsClient holds that a request whose client hangs up while it
// is delayed is not carried out afterwards.
func TestDelayedRequestEndsWithItsClient(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15", Replicas: 1})
	a := newAPI(t, sim)
	const delay = 3 * time.Second
	sim.Inject(simulator.Fault{Method: http.MethodPost, Path: "/api/v0/content_caches", Delay: delay})
	impatient := httpClient(t, sim)
	impatient.Timeout = delay / 10
	if _, err := try(t, impatient, a.request(http.MethodPost, "/api/v0/content_caches", `{"name":"far","host":"https://cache.example.com"}`)); err == nil {
		t.Error("it was answered")
	}
	sim.Inject(simulator.Fault{Method: http.MethodGet, Path: jobsPath, Delay: delay + time.Second})
	a.get(jobsPath, nil) // which takes longer
	if n := len(sim.Caches()); n > 0 {
		t.Errorf("%d caches are registered", n)
	}
}
