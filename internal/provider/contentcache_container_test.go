package provider

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestCacheContainerFails holds that the old container is put back when the new one
// is not well.
func TestCacheContainerFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail func(*simulator.Cluster) (mend func())
		want string
	}{
		"it crashes": {func(c *simulator.Cluster) func() {
			c.SetCrashing(cacheAfter, true)
			return func() { c.SetCrashing(cacheAfter, false) }
		}, "State: container dtr-cache is exited, its exit status is 1\nThe previous container was put back and runs again."},
		"it does not answer": {func(c *simulator.Cluster) func() {
			return c.Inject(simulator.Fault{Service: simulator.ServiceCache, Status: 503})
		}, "The previous container was put back and runs again."},
		"it cannot be made": {func(c *simulator.Cluster) func() {
			return c.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/create", Status: 500, Body: `{"message":"no space left on device"}`})
		}, "no space left on device"},
		"it cannot be started": {func(c *simulator.Cluster) func() {
			return c.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/*/start", Status: 500, Body: `{"message":"port is already allocated"}`, Times: 1})
		}, "port is already allocated"},
		"its image is not to be had": {func(c *simulator.Cluster) func() {
			c.RemoveFromRegistry(cacheAfter)
			return func() { c.AddToRegistry(cacheAfter) }
		}, "manifest unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCacheContainer(cacheContainer, cacheBefore, "worker2")
			p := impatient(t, cluster, func(p *wait.Pace) { p.CacheAnswer = 50 * time.Millisecond })
			mend := c.fail(cluster)
			config := onContainer(cluster, "2.6.15")
			failed := p.apply(nil, config)
			expect(t, failed.diags, c.want)
			if failed.state != nil || len(cluster.Caches()) > 0 {
				t.Errorf("saved %v, registered %v", failed.state, cluster.Caches())
			}
			containerIs(t, cluster, "2.6.8")
			mend()
			done := p.apply(nil, config)
			expect(t, done.diags, "")
			containerIs(t, cluster, "2.6.15")
			steady(t, p, done, config)
		})
	}
}

// TestCacheContainersNotOurs holds that nothing is touched where it is not certain
// what is whose.
func TestCacheContainersNotOurs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deploy func(*simulator.Cluster)
		want   string
	}{
		"left over": {func(c *simulator.Cluster) {
			c.AddCacheContainer(cacheContainer, cacheBefore, "worker2")
			c.AddCacheContainer(cacheContainer+".replaced", cacheBefore, "worker2")
		}, "Error: A container is left over from a replacement\n"},
		"on two nodes": {func(c *simulator.Cluster) {
			c.AddCacheContainer(cacheContainer, cacheBefore, "worker1")
			c.AddCacheContainer(cacheContainer, cacheBefore, "worker2")
		}, "Nodes: worker1, worker2\n\nName the right one in node."},
		"nowhere": {func(*simulator.Cluster) {}, "There is no container dtr-cache."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			c.deploy(cluster)
			expect(t, cachePlanner(t, cluster).plan(nil, onContainer(cluster, "2.6.15")).diags, c.want)
			onlyReads(t, cluster)
		})
	}
	t.Run("on two nodes, one of them named", func(t *testing.T) {
		t.Parallel()
		cluster := start(t, "2.6.15")
		cluster.AddCacheContainer(cacheContainer, cacheBefore, "worker1")
		cluster.AddCacheContainer(cacheContainer, cacheAfter, "worker2")
		p := cachePlanner(t, cluster)
		on := func(node string) values {
			return cacheConfig(cluster, values{"version": "2.6.15", "container": values{"node": node}})
		}
		expect(t, p.plan(nil, on("worker1")).diags, "so none of them can be replaced")
		expect(t, p.apply(nil, on("worker2")).diags, "") // nothing has to be replaced there
		if len(sent(cluster, "POST", "/containers/*/*")) > 0 {
			t.Error("a container was touched")
		}
	})
}

// TestCacheContainerInterrupted holds that an interrupt does not leave a container
// half replaced: the copy runs, or the old one still does.
func TestCacheContainerInterrupted(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"/images/create", "/containers/*/rename", "/containers/create", "/containers/*/stop", "/containers/*/start"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCacheContainer(cacheContainer, cacheBefore, "worker2")
			cluster.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: step, Delay: 50 * time.Millisecond, Times: 1})
			p := cachePlanner(t, cluster)
			ctx, cancel := context.WithCancel(p.ctx)
			defer cancel()
			go func() {
				for len(sent(cluster, "POST", step)) == 0 && ctx.Err() == nil {
					runtime.Gosched()
				}
				cancel()
			}()
			p.ctx = ctx
			config := onContainer(cluster, "2.6.15")
			expect(t, p.apply(nil, config).diags, "Error: Terraform stopped waiting for content cache main\n")
			if !slices.ContainsFunc(cluster.Containers(), func(c simulator.Container) bool {
				return strings.HasPrefix(c.Name, cacheContainer) && c.Running()
			}) {
				t.Error("the cache is down")
			}
			p.ctx = t.Context()
			done := p.apply(nil, config)
			expect(t, done.diags, "")
			containerIs(t, cluster, "2.6.15")
			steady(t, p, done, config)
		})
	}
}
