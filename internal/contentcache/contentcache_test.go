package contentcache

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

const (
	oldCache = "docker/dtr-content-cache:2.6.8"
	newCache = "mirantis/dtr-content-cache:2.6.15"
)

// aTask is a task that is to run.
func aTask(image string, state string) ucp.Task {
	return ucp.Task{ID: "t", Image: image, Desired: ucp.TaskRunning, State: state}
}

// TestTasksOfService holds what the tasks of a service say of its version, and of
// whether an update of it is over.
func TestTasksOfService(t *testing.T) {
	t.Parallel()
	const running, preparing = ucp.TaskRunning, "preparing"
	gone := ucp.Task{ID: "g", Image: oldCache, Desired: "shutdown", State: running} // is being stopped
	lost := ucp.Task{ID: "l", Image: oldCache, Desired: ucp.TaskRunning, State: running, NodeID: "n2"}
	unplaced := ucp.Task{ID: "u", Image: newCache, Desired: ucp.TaskRunning, State: "pending", Error: "no suitable node"}
	nodes := []ucp.Node{{ID: "n1", Hostname: "worker1", State: "ready"}, {ID: "n2", Hostname: "worker2", State: "down"}}
	const isDown = "node worker2 is down"
	for name, c := range map[string]struct {
		replicas int
		image    string
		tasks    []ucp.Task
		version  string // none is not known
		problems []string
	}{
		"all new":                     {2, newCache, []ucp.Task{gone, aTask(newCache, running), aTask(newCache, running)}, "2.6.15", nil},
		"with a digest":               {1, newCache, []ucp.Task{aTask(newCache+"@sha256:00", running)}, "2.6.15", nil},
		"one old":                     {2, newCache, []ucp.Task{aTask(newCache, running), aTask(oldCache, running)}, "2.6.8", []string{"task t has image " + oldCache, isDown}},
		"start first":                 {1, newCache, []ucp.Task{aTask(oldCache, running), aTask(newCache, preparing)}, "2.6.8", []string{"task t has image " + oldCache, "task t is preparing", isDown}},
		"stop first":                  {1, newCache, []ucp.Task{gone, aTask(newCache, preparing)}, "", []string{"task t is preparing", isDown}},
		"not begun":                   {1, newCache, []ucp.Task{aTask(oldCache, running)}, "2.6.8", []string{"task t has image " + oldCache, isDown}},
		"too few":                     {3, newCache, []ucp.Task{aTask(newCache, running)}, "2.6.15", []string{"1 tasks, where 3 are wanted", isDown}},
		"none yet":                    {1, newCache, nil, "", []string{"0 tasks, where 1 are wanted", isDown}},
		"none wanted":                 {0, newCache, nil, "2.6.15", nil},
		"none on any node":            {-1, newCache, nil, "", []string{"0 tasks, where 1 are wanted", isDown}},
		"one on a node":               {-1, newCache, []ucp.Task{aTask(newCache, running)}, "2.6.15", nil},
		"a tag that is none":          {2, newCache, []ucp.Task{aTask("docker/dtr-content-cache:latest", running), aTask(newCache, running)}, "", []string{"task t has image docker/dtr-content-cache:latest", isDown}},
		"another repository":          {1, newCache, []ucp.Task{aTask("docker/dtr-content-cache:2.6.15", running)}, "2.6.15", []string{"task t has image docker/dtr-content-cache:2.6.15", isDown}},
		"2.10 is above 2.9":           {2, newCache, []ucp.Task{aTask("a/b:2.10.0", running), aTask("a/b:2.9.30", running)}, "2.9.30", []string{"task t has image a/b:2.10.0", "task t has image a/b:2.9.30", isDown}},
		"on a node that is down":      {2, newCache, []ucp.Task{aTask(newCache, running), lost}, "2.6.15", nil},
		"all on nodes that are down":  {1, newCache, []ucp.Task{lost}, "", []string{"all its tasks are on nodes that are down", isDown}},
		"has to be on a node that is": {2, newCache, []ucp.Task{aTask(newCache, running), unplaced}, "2.6.15", []string{"task u is pending: no suitable node", isDown}},
	} {
		s := viewOf(ucp.Service{Image: c.image, Replicas: c.replicas}, c.tasks, nodes)
		got := ""
		if v := s.runningVersion(); v != nil {
			got = v.String()
		}
		if got != c.version {
			t.Errorf("%s: version %q, want %q", name, got, c.version)
		}
		if problems := s.problems(newCache); !slices.Equal(problems, c.problems) {
			t.Errorf("%s: %q, want %q", name, problems, c.problems)
		}
	}
}

func TestSameImage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{newCache, newCache, true},
		{newCache + "@sha256:00", newCache, true},
		{"docker.io/" + newCache, newCache, true},
		{newCache, oldCache, false},
		{"docker/dtr-content-cache:2.6.15", newCache, false},
		{"registry.example.com:5000/a/b:1.0.0", "registry.example.com:5000/a/b:1.0.0", true},
		{"registry.example.com:5000/a/b", "registry.example.com:5000/a/b", false}, // the newest, whichever that is
		{"a/b@sha256:00", "a/b@sha256:00", false},
	} {
		if sameImage(c.a, c.b) != c.same || sameImage(c.b, c.a) != c.same {
			t.Errorf("%s and %s: want %t", c.a, c.b, c.same)
		}
	}
}

func TestFindRegistration(t *testing.T) {
	t.Parallel()
	s := &State{Registered: []dtr.ContentCache{
		{ID: "1", Name: "main", Host: "https://one.example.com"},
		{ID: "2", Name: "other", Host: "https://two.example.com"},
		{ID: "3", Name: "main", Host: "https://three.example.com"},
	}}
	for _, c := range []struct{ id, name, host, want string }{
		{"1", "main", "https://one.example.com", "1"},
		{"3", "main", "https://one.example.com", "3"},
		{"2", "main", "https://one.example.com", "2"},
		{"9", "other", "https://two.example.com/", "2"},
		{"", "main", "https://three.example.com", "3"},
		{"9", "other", "https://one.example.com", ""}, // has the name, and may be anybody's
		{"9", "nobody", "https://one.example.com", ""},
		{"", "", "", ""},
	} {
		if got, ok := s.Find(c.id, c.name, c.host); got.ID != c.want || ok != (c.want != "") {
			t.Errorf("%+v: %q", c, got.ID)
		}
	}
}

// TestCacheImageOfID holds that the id of an image is not taken for a repository.
func TestCacheImageOfID(t *testing.T) {
	t.Parallel()
	r := newRun(cluster.Cluster{}, Options{Version: clustertest.Version("2.6.15")})
	for running, want := range map[string]string{
		"sha256:d74508fb6632491cea586a1fd7d748dfc5274cd6fdfedee309ecdcbc2bf5cb82": newCache,
		oldCache: newCache,
		"registry.example.com:5000/a/b@sha256:00": "registry.example.com:5000/a/b:2.6.15",
	} {
		if got := r.image(running); got != want {
			t.Errorf("%s: %s, want %s", running, got, want)
		}
	}
}

// TestCacheOnANodeThatIsDown holds that the node is named, and not the bare answer of
// an engine that cannot be asked.
func TestCacheOnANodeThatIsDown(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.AddCacheContainer("dtr-cache", oldCache, "worker2")
	sim.StopEngine("worker2")
	state, err := Look(t.Context(), c, Options{Container: "dtr-cache", Version: clustertest.Version("2.6.15")})
	if err != nil {
		t.Fatal(err)
	}
	if down := clustertest.AsError[*NodeDownError](t, state.Workload.Problem); down.Node != "worker2" || state.Workload.Settled {
		t.Errorf("%+v", state.Workload)
	}
}

// TestServiceUpdateOutlastsAnOutage has UCP away when the update is to be sent.
func TestServiceUpdateOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.AddCacheService(simulator.CacheService{Image: oldCache})
	r := newRun(c, Options{Service: "dtr-cache_cache", Version: clustertest.Version("2.6.15"), Pace: clustertest.Pace})
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: "GET", Path: "/services/*", Status: 502, Times: 9})
	if err := r.updateService(clustertest.Limited(t), engine); err != nil {
		t.Fatal(err)
	}
	if s := sim.ServiceState("dtr-cache_cache"); s.Image != newCache {
		t.Errorf("the service runs %s", s.Image)
	}
}

// TestWaitForACacheIsTold has a cache take some minutes to become what it is to be.
func TestWaitForACacheIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began := time.Now()
		r := newRun(cluster.Cluster{}, Options{Name: "berlin"})
		seen := func() []string { return []string{"its tasks do not all run", "task: starting"} }
		err := r.until(tflogtest.RootLogger(t.Context(), &out), seen, func(context.Context) (bool, error) {
			return time.Since(began) > 150*time.Second, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		line := `"The wait for content cache berlin goes on, since ` + began.Format(time.TimeOnly) + `; its tasks do not all run; task: starting"`
		if n := strings.Count(out.String(), line); n != 2 {
			t.Errorf("%d lines in two minutes:\n%s", n, out.String())
		}
	})
}
