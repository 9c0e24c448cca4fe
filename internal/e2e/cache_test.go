//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

const (
	cacheService   = "dtr-cache_cache"
	cacheContainer = "dtr-cache"
)

// swarmManager is the engine that manages the swarm.
func swarmManager() *client.Client { return engines.Nodes[0].Docker }

// deployCache runs a cache as a service of the swarm, until the test ends.
func deployCache(t *testing.T, image, failureAction string) {
	t.Helper()
	replicas := uint64(2)
	_, err := swarmManager().ServiceCreate(t.Context(), client.ServiceCreateOptions{Spec: swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: cacheService, Labels: map[string]string{"com.docker.stack.namespace": "dtr-cache"}},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: image, Env: []string{"A=B"}}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &replicas}},
		UpdateConfig: &swarm.UpdateConfig{
			Parallelism: 1, FailureAction: swarm.FailureAction(failureAction), Monitor: time.Second, Order: swarm.UpdateOrderStartFirst,
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeCache(t) })
	waitUntil(t, "the cache runs", func() bool { return slices.Equal(cacheImages(t), []string{image, image}) })
}

// removeCache removes the service and waits until its containers are gone.
func removeCache(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if _, err := swarmManager().ServiceRemove(ctx, cacheService, client.ServiceRemoveOptions{}); err != nil {
		t.Error(err)
	}
	waitUntil(t, "the cache's containers are gone", func() bool {
		return !slices.ContainsFunc(engines.List(), func(c simulator.Container) bool { return strings.HasPrefix(c.Name, cacheService+".") })
	})
}

// waitUntil looks every now and then until it is so.
func waitUntil(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !so() {
		select {
		case <-limit:
			t.Fatalf("it never came to this: %s", what)
		case <-ticker.C:
		}
	}
}

func service(t *testing.T) swarm.Service {
	t.Helper()
	s, err := swarmManager().ServiceInspect(context.WithoutCancel(t.Context()), cacheService, client.ServiceInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Service
}

// cacheImages are the images of the service's tasks that run and are to run.
func cacheImages(t *testing.T) (images []string) {
	t.Helper()
	list, err := swarmManager().TaskList(context.WithoutCancel(t.Context()), client.TaskListOptions{Filters: client.Filters{}.Add("service", cacheService)})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range list.Items {
		if task.DesiredState == swarm.TaskStateRunning && task.Status.State == swarm.TaskStateRunning {
			images = append(images, task.Spec.ContainerSpec.Image)
		}
	}
	return images
}

// aCache is a content cache in Terraform's language.
func aCache(c *simulator.Cluster, version, runBy string) string {
	return fmt.Sprintf(`
resource "dtr_content_cache" "main" {
  name    = "main"
  host    = %q
  version = %s
  %s
  probe   = { ca_cert = file("ca.pem") }
}
`, c.CacheURL(), version, runBy)
}

// The cache follows DTR in the same apply, and its service keeps all but the image.
func TestCacheInSwarm(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	repository, _ := publish(t, "2.6.15")
	deployCache(t, repository+"-content-cache:2.6.14", "rollback")
	before := service(t)
	w := newStage(t, c, settings{
		Target: "2.6.15", Repository: repository, More: aCache(c, "dtr_upgrade.main.current_version", "service = {}"),
	})
	w.mustApply(t)
	image := repository + "-content-cache:2.6.15"
	if images := cacheImages(t); !slices.Equal(images, []string{image, image}) {
		t.Errorf("%q run", images)
	}
	after := service(t)
	if after.UpdateStatus == nil || after.UpdateStatus.State != swarm.UpdateStateCompleted {
		t.Errorf("%+v", after.UpdateStatus)
	}
	if u := after.Spec.UpdateConfig; u == nil || *u != *before.Spec.UpdateConfig || !slices.Equal(after.Spec.TaskTemplate.ContainerSpec.Env, []string{"A=B"}) {
		t.Errorf("the spec was changed: %+v", after.Spec)
	}
	if caches := c.Caches(); len(caches) != 1 || caches[0].Host != c.CacheURL() {
		t.Errorf("%+v", caches)
	}
	w.wantNoChanges(t)
	if err := w.tf.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	if service(t).Version != after.Version || len(c.Caches()) > 0 {
		t.Error("destroying left the registration, or did not leave the service")
	}
}

// An update that the swarm rolls back, or pauses, is an error with its own words;
// the next apply takes it up again.
func TestCacheImageMissing(t *testing.T) {
	for action, state := range map[string]string{"rollback": "rollback_completed", "pause": "paused"} {
		t.Run(action, func(t *testing.T) {
			c := freshCluster(t, "2.6.15")
			repository, _, err := engines.Publish(t.Context(), "caches-"+action+"/dtr", "2.6.15")
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := engines.Publish(t.Context(), "caches-"+action+"/dtr", "2.6.14"); err != nil {
				t.Fatal(err)
			}
			image := repository + "-content-cache:2.6.15"
			if err := engines.Unpublish(t.Context(), image); err != nil {
				t.Fatal(err)
			}
			mirrored, _ := publish(t, "2.6.15")
			deployCache(t, repository+"-content-cache:2.6.14", action)
			w := newStage(t, c, settings{Target: "2.6.15", Repository: mirrored, More: aCache(c, `"2.6.15"`, "service = {}")})
			err = w.apply(t.Context())
			if err == nil || !strings.Contains(err.Error(), state) || !strings.Contains(err.Error(), "No such image") {
				t.Errorf("error %v", err)
			}
			if images := cacheImages(t); !slices.Contains(images, repository+"-content-cache:2.6.14") {
				t.Errorf("%q run", images)
			}
			if _, _, err := engines.Publish(t.Context(), "caches-"+action+"/dtr", "2.6.15"); err != nil {
				t.Fatal(err)
			}
			w.mustApply(t)
			if images := cacheImages(t); !slices.Equal(images, []string{image, image}) {
				t.Errorf("%q run", images)
			}
			w.wantNoChanges(t)
		})
	}
}

// A container by itself is replaced where it is, with what it was given and what
// its new image brings.
func TestCacheContainer(t *testing.T) {
	c := freshCluster(t, "2.6.15")
	repository, _ := publish(t, "2.6.15")
	publish(t, "2.6.14")
	n := engines.Node("worker2")
	old := repository + "-content-cache:2.6.14"
	if err := engines.Pull(t.Context(), []string{old}); err != nil {
		t.Fatal(err)
	}
	id, err := n.Run(t.Context(), cacheContainer, &container.Config{
		Image: old, Env: []string{"A=B"}, Labels: map[string]string{"keep": "me"}, Volumes: map[string]struct{}{"/scratch": {}},
	}, &container.HostConfig{
		Binds: []string{"dtr-cache-data:/data"}, NetworkMode: "dtr-ol", RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := n.Docker.ContainerRemove(context.WithoutCancel(t.Context()), cacheContainer, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Error(err)
		}
	})
	volumes := func(ref string) map[string]string {
		r, err := n.Docker.ContainerInspect(t.Context(), ref, client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]string{}
		for _, m := range r.Container.Mounts {
			at[m.Destination] = m.Name
		}
		return at
	}
	before := volumes(id)
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository, More: aCache(c, "dtr_upgrade.main.current_version", "container = {}")})
	w.mustApply(t)

	r, err := n.Docker.ContainerInspect(t.Context(), cacheContainer, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now := r.Container
	if now.ID == id || now.Config.Image != repository+"-content-cache:2.6.15" || !now.State.Running {
		t.Errorf("%s, %s, %+v", now.ID, now.Config.Image, now.State)
	}
	env := now.Config.Env
	if !slices.Contains(env, "A=B") || !slices.Contains(env, standin.EnvImageVersion+"=2.6.15") || slices.Contains(env, standin.EnvImageVersion+"=2.6.14") {
		t.Errorf("environment %q", env)
	}
	if now.Config.Labels["keep"] != "me" || now.HostConfig.NetworkMode != "dtr-ol" || now.HostConfig.RestartPolicy.Name != container.RestartPolicyAlways {
		t.Errorf("%+v, %+v", now.Config.Labels, now.HostConfig)
	}
	after := volumes(cacheContainer)
	for _, at := range []string{"/data", "/scratch"} {
		if before[at] == "" || before[at] != after[at] {
			t.Errorf("volume at %s: %q before, %q after", at, before[at], after[at])
		}
	}
	for _, ct := range engines.List() {
		if strings.HasPrefix(ct.Name, cacheContainer) && ct.Name != cacheContainer {
			t.Errorf("%s is left over", ct.Name)
		}
	}
	w.wantNoChanges(t)
}
