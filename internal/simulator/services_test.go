package simulator_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const (
	cacheName = "dtr-cache_cache"
	oldCache  = "docker/dtr-content-cache:2.6.8"
	newCache  = "docker/dtr-content-cache:2.6.9"
)

// setImage updates a service as "docker service update --image" does.
func setImage(t *testing.T, d *client.Client, image string) {
	t.Helper()
	s := service(t, d)
	s.Spec.TaskTemplate.ContainerSpec.Image = image
	if _, err := d.ServiceUpdate(t.Context(), s.ID, client.ServiceUpdateOptions{Version: s.Version, Spec: s.Spec}); err != nil {
		t.Fatal(err)
	}
}

func service(t *testing.T, d *client.Client) swarm.Service {
	t.Helper()
	s, err := d.ServiceInspect(t.Context(), cacheName, client.ServiceInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Service
}

func tasks(t *testing.T, d *client.Client) []swarm.Task {
	t.Helper()
	list, err := d.TaskList(t.Context(), client.TaskListOptions{Filters: client.Filters{}.Add("service", cacheName)})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// running lists the images of the tasks that run.
func running(all []swarm.Task) (images []string) {
	for _, task := range all {
		if task.Status.State == swarm.TaskStateRunning {
			images = append(images, task.Spec.ContainerSpec.Image)
		}
	}
	slices.Sort(images)
	return images
}

// ended waits until an update is over, and returns its state.
func ended(t *testing.T, d *client.Client) (s swarm.Service) {
	t.Helper()
	eventually(t, "the update ends", func() bool {
		s = service(t, d)
		return s.UpdateStatus != nil && s.UpdateStatus.State != swarm.UpdateStateUpdating && s.UpdateStatus.State != swarm.UpdateStateRollbackStarted
	})
	return s
}

func TestServiceUpdates(t *testing.T) {
	t.Parallel()
	missing := func(c *simulator.Cluster) { c.RemoveFromRegistry(newCache) }
	crashing := func(c *simulator.Cluster) { c.SetCrashing(newCache, true) }
	for name, c := range map[string]struct {
		service simulator.CacheService
		fail    func(*simulator.Cluster)
		state   swarm.UpdateState
		image   string
		running []string
		failed  swarm.TaskState
	}{
		"good":                           {simulator.CacheService{Replicas: 2}, nil, "completed", newCache, []string{newCache, newCache}, ""},
		"good, start first":              {simulator.CacheService{Order: "start-first"}, nil, "completed", newCache, []string{newCache}, ""},
		"image missing, pause":           {simulator.CacheService{Replicas: 2}, missing, "paused", newCache, []string{oldCache}, "rejected"},
		"image missing, start first":     {simulator.CacheService{Order: "start-first"}, missing, "paused", newCache, []string{oldCache}, "rejected"},
		"crash, roll back":               {simulator.CacheService{FailureAction: "rollback"}, crashing, "rollback_completed", oldCache, []string{oldCache}, "failed"},
		"crash, roll back, start first":  {simulator.CacheService{FailureAction: "rollback", Order: "start-first", Replicas: 2}, crashing, "rollback_completed", oldCache, []string{oldCache, oldCache}, "failed"},
		"image missing, continue":        {simulator.CacheService{FailureAction: "continue", Replicas: 2}, missing, "completed", newCache, nil, "rejected"},
		"nothing to roll back to either": {simulator.CacheService{FailureAction: "rollback"}, func(c *simulator.Cluster) { crashing(c); c.SetCrashing(oldCache, true) }, "rollback_paused", oldCache, nil, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
			c.service.Image = oldCache
			cluster.AddCacheService(c.service)
			d := docker(t, cluster)
			if s := service(t, d); s.UpdateStatus != nil || s.PreviousSpec != nil {
				t.Errorf("before any update: %+v", s)
			}
			if c.fail != nil {
				c.fail(cluster)
			}
			setImage(t, d, newCache)
			s := ended(t, d)
			if s.UpdateStatus.State != c.state || s.UpdateStatus.Message == "" ||
				(s.UpdateStatus.CompletedAt != nil) != strings.HasSuffix(string(c.state), "completed") {
				t.Errorf("%+v", s.UpdateStatus)
			}
			if image := s.Spec.TaskTemplate.ContainerSpec.Image; image != c.image {
				t.Errorf("the spec has %s", image)
			}
			all := tasks(t, d)
			if got := running(all); !slices.Equal(got, c.running) {
				t.Errorf("%q run, want %q", got, c.running)
			}
			failed := slices.ContainsFunc(all, func(task swarm.Task) bool { return task.Status.State == c.failed && task.Status.Err != "" })
			if failed != (c.failed != "") {
				t.Errorf("tasks: %+v", all)
			}
		})
	}
}

// TestPausedServiceIsTakenUp: a service that paused is updated anew by its own spec.
func TestPausedServiceIsTakenUp(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	cluster.AddCacheService(simulator.CacheService{Image: oldCache, Replicas: 2})
	cluster.RemoveFromRegistry(newCache)
	d := docker(t, cluster)
	setImage(t, d, newCache)
	ended(t, d)
	cluster.AddToRegistry(newCache)
	setImage(t, d, newCache)
	if s := ended(t, d); s.UpdateStatus.State != swarm.UpdateStateCompleted || len(running(tasks(t, d))) != 2 {
		t.Errorf("%+v", s.UpdateStatus)
	}
}

func TestServiceRefusals(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	cluster.AddCacheService(simulator.CacheService{Image: oldCache})
	d := docker(t, cluster)
	s := service(t, d)
	setImage(t, d, newCache)
	if _, err := d.ServiceUpdate(t.Context(), s.ID, client.ServiceUpdateOptions{Version: s.Version, Spec: s.Spec}); err == nil || !strings.Contains(err.Error(), "update out of sequence") {
		t.Errorf("a spec of before: %v", err)
	}
	if _, err := d.ServiceInspect(t.Context(), "nobody", client.ServiceInspectOptions{}); err == nil {
		t.Error("a service that is not there")
	}
	if _, err := d.ServiceCreate(t.Context(), client.ServiceCreateOptions{Spec: s.Spec}); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := directDocker(t, cluster, "1.39").ServiceInspect(t.Context(), cacheName, client.ServiceInspectOptions{}); err == nil || !strings.Contains(err.Error(), "not a swarm manager") {
		t.Errorf("of a worker: %v", err)
	}
}

// TestCacheAnswersWhileItRuns: as a service, and as a container by itself.
func TestCacheAnswersWhileItRuns(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	h := httpClient(t, cluster)
	ask := func() (int, error) {
		a, err := try(t, h, request{url: cluster.CacheURL() + "/v2/_catalog"})
		return a.status, err
	}
	if status, err := ask(); err == nil {
		t.Errorf("without a cache: %d", status)
	}
	cluster.AddCacheContainer("dtr-cache", oldCache, "worker1")
	if status, err := ask(); status != 401 || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	cluster.KillContainer("dtr-cache")
	cluster.AddCacheService(simulator.CacheService{Image: oldCache})
	if status, err := ask(); status != 401 || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	cluster.RemoveService(cacheName)
	if status, err := ask(); err == nil {
		t.Errorf("without a cache any more: %d", status)
	}
}

func TestFaultLetsSomePass(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, cluster)
	cluster.Inject(simulator.Fault{Path: "/api/v0/content_caches", Status: 503, Skip: 2, Times: 1})
	for i, want := range []int{200, 200, 503, 200} {
		if got := a.get("/api/v0/content_caches", nil).status; got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
}
