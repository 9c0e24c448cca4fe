package ucp_test

import (
	"slices"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

const (
	oldCache = "docker/dtr-content-cache:2.6.8"
	newCache = "docker/dtr-content-cache:2.6.9"
)

// TestServiceFromUpdateToEnd updates a service at each version of the API, and has
// the engine refuse what is out of date.
func TestServiceFromUpdateToEnd(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.30", "1.37", "1.39", "1.40", "1.41", "1.56"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.6.8", APIVersion: version})
			sim.AddCacheService(simulator.CacheService{Image: oldCache, Replicas: 2})
			ctx, e := t.Context(), engine(t, sim)
			before, err := e.Services().Inspect(ctx, "dtr-cache_cache")
			if err != nil || before.Image != oldCache || before.Replicas != 2 || before.UpdateState != "" {
				t.Fatalf("%+v, error %v", before, err)
			}
			if err := e.Services().SetImage(ctx, before, newCache); err != nil {
				t.Fatal(err)
			}
			if err := e.Services().SetImage(ctx, before, oldCache); !cerrdefs.IsInternal(err) {
				t.Errorf("an update out of sequence: error %v", err)
			}
			var s ucp.Service
			for deadline := time.Now().Add(30 * time.Second); s.UpdateState != ucp.UpdateCompleted; {
				if s, err = e.Services().Inspect(ctx, before.ID); err != nil || time.Now().After(deadline) {
					t.Fatalf("%+v, error %v", s, err)
				}
			}
			tasks, err := e.Services().Tasks(ctx, s)
			if err != nil || len(tasks) != 4 {
				t.Fatalf("%+v, error %v", tasks, err)
			}
			var running []string
			for _, task := range tasks {
				if task.Desired == ucp.TaskRunning && task.State == ucp.TaskRunning {
					running = append(running, task.Image)
				}
			}
			if s.Image != newCache || !slices.Equal(running, []string{newCache, newCache}) {
				t.Errorf("%+v, %q run", s, running)
			}
			if _, err := e.Services().Inspect(ctx, "nobody"); !cerrdefs.IsNotFound(err) {
				t.Errorf("a service that is not there: error %v", err)
			}
		})
	}
}

// TestCopyOfContainer replaces a container by hand, through UCP and directly.
func TestCopyOfContainer(t *testing.T) {
	t.Parallel()
	for _, access := range []string{"through UCP", "directly"} {
		t.Run(access, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.6.8", APIVersion: "1.30"})
			sim.AddCacheContainer("dtr-cache", oldCache, "worker1", func(h *container.HostConfig) { h.NetworkMode = "dtr-ol" })
			sim.AddImage(newCache, "worker1", "worker2")
			ctx, e, node := t.Context(), engine(t, sim), "worker1"
			if access == "directly" {
				var err error
				if e, err = ucp.NewEngine(ctx, ucp.DockerConfig{Host: sim.DockerHost(), Retry: quick}); err != nil {
					t.Fatal(err)
				}
				node = ""
			}
			old, err := e.Container(ctx, "dtr-cache")
			if err != nil {
				t.Fatal(err)
			}
			spec := ucp.CopySpec{Name: "dtr-cache", Image: newCache, Node: node, Labels: map[string]string{"replaces": old.ID}}
			if _, err := e.Copy(ctx, old.ID, spec); !cerrdefs.IsConflict(err) {
				t.Errorf("a name that is taken: error %v", err)
			}
			if err := e.Rename(ctx, old.ID, "before"); !cerrdefs.IsInternal(err) {
				t.Errorf("a container that runs on an overlay network was renamed: error %v", err)
			}
			if err := e.RemoveKeepingVolumes(ctx, old.ID); !cerrdefs.IsConflict(err) && !cerrdefs.IsInternal(err) {
				t.Errorf("a container that runs was discarded: error %v", err)
			}
			for range 2 { // one that does not run is left as it is
				if err := e.Stop(ctx, old.ID); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Rename(ctx, old.ID, "before"); err != nil {
				t.Fatal(err)
			}
			id, err := e.Copy(ctx, old.ID, spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Start(ctx, id); err != nil {
				t.Fatal(err)
			}
			if err := e.RemoveKeepingVolumes(ctx, old.ID); err != nil {
				t.Fatal(err)
			}
			s, err := e.Container(ctx, "dtr-cache")
			if err != nil || s.ID != id || s.Status != "running" || s.Image != newCache || s.Labels["keep"] != "me" || s.Labels["replaces"] != old.ID || !slices.Equal(s.Env, []string{"A=B"}) {
				t.Errorf("%+v, error %v", s, err)
			}
			for _, c := range sim.Containers() {
				if c.ID == id && c.Node != "worker1" {
					t.Errorf("it is on %s", c.Node)
				}
			}
		})
	}
}
