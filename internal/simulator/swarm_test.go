package simulator_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// plain checks an answer of classic Swarm's own that is no success.
func plain(t *testing.T, what string, got answer, status int, text string) {
	t.Helper()
	if got.status != status || strings.TrimSpace(string(got.body)) != text || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Errorf("%s: %d %q, want %d %q", what, got.status, got.body, status, text)
	}
}

func TestRefusalsThroughUCP(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	h := httpClient(t, c)
	token := login(t, c, h)
	ask := func(method, path, body string) answer {
		t.Helper()
		return do(t, h, request{method: method, url: c.UCPURL() + path, body: body, bearer: token})
	}
	plain(t, "inspecting nothing", ask("GET", "/containers/nothing/json", ""), 404, "No such container: nothing")
	id := c.Containers()[1].ID
	plain(t, "removing what runs", ask("DELETE", "/containers/"+id, ""), 500,
		"Error response from daemon: You cannot remove a running container "+id+". Stop the container before attempting removal or force remove")
	plain(t, "a name that is taken", ask("POST", "/containers/create?name=ucp-controller", `{"Image":"docker/dtr-api:2.6.8"}`), 409,
		"Conflict: The name ucp-controller is already assigned. You have to delete (or rename) that container to be able to assign ucp-controller to a container again.")
	plain(t, "renaming to a name that is taken", ask("POST", "/containers/"+id+"/rename?name=ucp-controller", ""), 409,
		"Conflict: The name ucp-controller is already assigned. You have to delete (or rename) that container to be able to assign ucp-controller to a container again.")

	// What is passed on comes back as the engine answers it.
	got := ask("POST", "/containers/nothing/stop", "")
	if got.status != 404 {
		t.Errorf("stopping nothing: %d", got.status)
	}
	if _, err := create(t, docker(t, c), "created", "constraint:node==worker1"); err != nil {
		t.Fatal(err)
	}
	if got = ask("POST", "/containers/created/kill", ""); got.status != 409 || !json.Valid(got.body) {
		t.Errorf("killing what does not run: %d %s", got.status, got.body)
	}
	if got = ask("POST", "/containers/"+id+"/start", ""); got.status != 204 {
		t.Errorf("starting what runs: %d", got.status)
	}
	if _, err := directDocker(t, c, "1.39").ContainerRemove(t.Context(), "dtr-api-"+c.ReplicaIDs()[0], client.ContainerRemoveOptions{}); !cerrdefs.IsConflict(err) {
		t.Errorf("an engine itself: %v", err)
	}
}

// A name that was given on two engines directly means no container through UCP, and
// is taken all the same.
func TestNameOfTwoContainers(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	through := docker(t, c)
	if _, err := create(t, through, "twin", "constraint:node==worker2"); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t, directDocker(t, c, "1.39"), "twin"); err != nil {
		t.Fatal(err)
	}
	if _, err := through.ContainerInspect(t.Context(), "twin", client.ContainerInspectOptions{}); !cerrdefs.IsNotFound(err) {
		t.Errorf("inspected: %v", err)
	}
	if _, err := create(t, through, "twin", "constraint:node==worker3"); !cerrdefs.IsConflict(err) {
		t.Errorf("created: %v", err)
	}
	inspect(t, through, "worker2/twin")
	listed := names(t, through, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("name", "^twin$")})
	if diff := cmp.Diff([]string{"/worker1/twin", "/worker2/twin"}, listed); diff != "" {
		t.Error(diff)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Workers: 11})
	d := docker(t, c)
	for node, name := range map[string]string{"worker1": "dtr-upgrade-a", "worker11": "x-dtr-upgrade-b"} {
		c.AddImage("docker/dtr-api:2.6.8", node)
		if _, err := create(t, d, name, "constraint:node=="+node); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		filters client.Filters
		want    []string
	}{
		"part of a name":         {client.Filters{}.Add("name", "dtr-upgrade"), []string{"/worker1/dtr-upgrade-a", "/worker11/x-dtr-upgrade-b"}},
		"beginning of a name":    {client.Filters{}.Add("name", "^dtr-upgrade-"), []string{"/worker1/dtr-upgrade-a"}},
		"the name has no node":   {client.Filters{}.Add("name", "^worker1/"), nil},
		"one of several names":   {client.Filters{}.Add("name", "^dtr-upgrade-a$").Add("name", "^x-"), []string{"/worker1/dtr-upgrade-a", "/worker11/x-dtr-upgrade-b"}},
		"a label and its value":  {client.Filters{}.Add("label", "who=dtr-upgrade-a"), []string{"/worker1/dtr-upgrade-a"}},
		"every label":            {client.Filters{}.Add("label", "who").Add("label", "other"), nil},
		"status":                 {client.Filters{}.Add("status", "created"), []string{"/worker1/dtr-upgrade-a", "/worker11/x-dtr-upgrade-b"}},
		"what a node begins by":  {client.Filters{}.Add("node", "worker1").Add("name", "upgrade"), []string{"/worker1/dtr-upgrade-a", "/worker11/x-dtr-upgrade-b"}},
		"a node":                 {client.Filters{}.Add("node", "^worker1$").Add("name", "upgrade"), []string{"/worker1/dtr-upgrade-a"}},
		"an unknown one is void": {client.Filters{}.Add("ancestor", "nothing").Add("name", "^dtr-upgrade"), []string{"/worker1/dtr-upgrade-a"}},
	} {
		if diff := cmp.Diff(tt.want, names(t, d, client.ContainerListOptions{All: true, Filters: tt.filters})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := names(t, directDocker(t, c, "1.39"), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("name", "^dtr-upgrade")}); !slices.Equal(got, []string{"/dtr-upgrade-a"}) {
		t.Errorf("of an engine: %v", got)
	}
}

func TestHostDown(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d, id := docker(t, c), c.ReplicaIDs()[1]
	if _, err := create(t, d, "created", "constraint:node==worker2"); err != nil {
		t.Fatal(err)
	}
	c.StopEngine("worker2")
	list, err := d.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("node", "worker2")})
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]container.ContainerState{}
	for _, ct := range list.Items {
		states[ct.Names[0]] = ct.State
		if ct.Status != "Host Down" {
			t.Errorf("%s: %s", ct.Names[0], ct.Status)
		}
	}
	if len(states) != 10 || states["/worker2/dtr-api-"+id] != container.StateRunning || states["/worker2/created"] != container.StateCreated {
		t.Errorf("not their last state: %v", states)
	}
	if got := names(t, d, client.ContainerListOptions{Filters: client.Filters{}.Add("node", "worker2")}); len(got) > 0 {
		t.Errorf("running: %v", got)
	}
	if _, err := d.ContainerInspect(t.Context(), "dtr-api-"+id, client.ContainerInspectOptions{}); !cerrdefs.IsInternal(err) || !strings.Contains(err.Error(), "Container dtr-api-"+id+" running on unhealthy node worker2") {
		t.Errorf("inspected: %v", err)
	}
	if _, err := create(t, d, "created", "constraint:node==worker1"); !cerrdefs.IsConflict(err) {
		t.Errorf("its name is free: %v", err)
	}
	c.StartEngine("worker2")
	if got := inspect(t, d, "created").State.Status; got != container.StateCreated {
		t.Errorf("after its return: %s", got)
	}
}

// lines are the messages of a pull or load.
func lines(t *testing.T, stream io.Reader) (all []string) {
	t.Helper()
	for d := json.NewDecoder(stream); ; {
		var m struct {
			ID, Status, Error string
			ErrorDetail       struct {
				Code    int
				Message string
			}
		}
		if err := d.Decode(&m); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if m.Error != "" {
			if m.ErrorDetail.Message != m.Error || m.ErrorDetail.Code != 1 {
				t.Errorf("error %q with detail %+v", m.Error, m.ErrorDetail)
			}
			all = append(all, "error: "+m.Error)
			continue
		}
		all = append(all, m.ID+" "+m.Status)
	}
}

func TestTransfersGoToEveryNode(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{
		Version: "2.6.8", Replicas: 1, Workers: 3, Nodes: map[string]simulator.NodeOptions{"worker3": {OS: "windows"}},
	})
	c.StopEngine("worker2")
	d := docker(t, c)
	var archive bytes.Buffer
	if err := release.WriteBundle(&archive, "docker/dtr", "2.6.9"); err != nil {
		t.Fatal(err)
	}
	const dead = "Cannot connect to the Docker daemon at tcp://10.0.0.12:12376. Is the docker daemon running?"

	loaded, err := d.ImageLoad(t.Context(), &archive)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"worker2 Loading Image... : " + dead, "worker3 Loading Image... : cannot load linux image on windows", "error: cannot load linux image on windows",
	}, lines(t, loaded)); diff != "" {
		t.Error(diff)
	}
	pulled, err := d.ImagePull(t.Context(), "docker/dtr:2.6.7", client.ImagePullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const pulling = " Pulling docker/dtr:2.6.7..."
	const wrong = `image operating system "linux" cannot be used on this platform`
	if diff := cmp.Diff([]string{
		"manager1" + pulling, "worker1" + pulling, "worker2" + pulling, "worker3" + pulling,
		"manager1" + pulling + " : downloaded", "worker1" + pulling + " : downloaded",
		"worker2" + pulling + " : " + dead, "worker3" + pulling + " : " + wrong, "error: " + wrong,
	}, lines(t, pulled)); diff != "" {
		t.Error(diff)
	}
	for node, want := range map[string]bool{"worker1": true, "worker2": false, "worker3": false} {
		list, err := d.ImageList(t.Context(), client.ImageListOptions{Filters: client.Filters{}.Add("node", node)})
		if err != nil {
			t.Fatal(err)
		}
		var refs []string
		for _, img := range list.Items {
			refs = append(refs, img.RepoTags...)
		}
		for _, ref := range []string{"docker/dtr-api:2.6.9", "docker/dtr:2.6.7"} {
			if slices.Contains(refs, ref) != want {
				t.Errorf("%s on %s: %v", ref, node, !want)
			}
		}
	}
}

func TestSessionsAreLimited(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Sessions: 2})
	c.AddUser("other", "secret")
	h := httpClient(t, c)
	works := func(token string) bool {
		return do(t, h, request{url: c.UCPURL() + "/info", bearer: token}).status == http.StatusOK
	}
	first, second := login(t, c, h), login(t, c, h)
	do(t, h, request{method: http.MethodPost, url: c.UCPURL() + "/auth/login", body: `{"username":"other","password":"secret"}`})
	if !works(second) || !works(first) {
		t.Error("two sessions do not work beside one of another user")
	}
	third := login(t, c, h)
	if !works(first) || works(second) || !works(third) {
		t.Error("not the session that was used least recently has ended")
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{
		Version: "2.6.8", DTRClockAhead: -time.Hour,
		Nodes: map[string]simulator.NodeOptions{"manager1": {ClockAhead: 10 * time.Hour}, "worker1": {ClockAhead: time.Hour}, "worker2": {ClockAhead: 2 * time.Hour}},
	})
	ahead := func(what string, got time.Time, want time.Duration) {
		t.Helper()
		if off := time.Until(got) - want; off < -time.Minute || off > time.Minute {
			t.Errorf("%s: %s, which is ahead by %s, want %s", what, got, time.Until(got), want)
		}
	}
	stamp := func(s string) time.Time {
		t.Helper()
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	h, d := httpClient(t, c), docker(t, c)
	token := login(t, c, h)
	ask := func(method, path string) time.Time {
		t.Helper()
		return serverTime(t, do(t, h, request{method: method, url: c.UCPURL() + path, bearer: token}))
	}
	c.KillContainer("dtr-api-" + c.ReplicaIDs()[1])
	on2 := "/containers/dtr-api-" + c.ReplicaIDs()[1]
	got := inspect(t, d, "dtr-api-"+c.ReplicaIDs()[1])
	ahead("FinishedAt", stamp(got.State.FinishedAt), 2*time.Hour)
	ahead("UCP's ping", ask("GET", "/_ping"), 10*time.Hour)
	ahead("the list", ask("GET", "/containers/json"), 10*time.Hour)
	ahead("what UCP answers of a container", ask("GET", on2+"/json"), 10*time.Hour)
	ahead("what UCP passes on", ask("GET", on2+"/logs?stdout=1"), 2*time.Hour)

	a := newAPI(t, c)
	ahead("DTR's answer", serverTime(t, a.get("/api/v0/meta/cluster_status", nil)), -time.Hour)
	for _, at := range a.status().Timestamp {
		ahead("a replica's report", at, -time.Hour)
	}
	a.post("/api/v0/jobs", `{"action":"sleep"}`)
	ahead("a job", c.Jobs()[0].ScheduledAt, -time.Hour)
}
