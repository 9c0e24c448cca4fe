package provider

import (
	"encoding/json"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

const (
	cacheService   = "dtr-cache_cache"
	cacheContainer = "dtr-cache"
	cacheBefore    = "docker/dtr-content-cache:2.6.8"
	cacheAfter     = "mirantis/dtr-content-cache:2.6.15"
)

// cachePlanner speaks of content caches.
func cachePlanner(t *testing.T, c *simulator.Cluster) *protocol {
	t.Helper()
	return planner(t, c).of("dtr_content_cache")
}

// cacheConfig is a cache of the cluster, with what else is given.
func cacheConfig(c *simulator.Cluster, more values) values {
	return in(values{"name": "main", "host": c.CacheURL(), "probe": values{"ca_cert": c.CACert()}}, more)
}

// onService and onContainer run the version.
func onService(c *simulator.Cluster, version string) values {
	return cacheConfig(c, values{"version": version, "service": values{}})
}

func onContainer(c *simulator.Cluster, version string) values {
	return cacheConfig(c, values{"version": version, "container": values{}})
}

// serviceUpdates counts the updates that were sent.
func serviceUpdates(c *simulator.Cluster) int {
	return len(sent(c, "POST", "/services/*/update"))
}

func TestCacheServiceFollowsVersion(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.AddCacheService(simulator.CacheService{Image: cacheBefore + "@sha256:92c7f9c92844bbbb5d0a101b22f7c2a7949e40f8ea90c8b3bc396879d95e899a", Replicas: 2})
	p := cachePlanner(t, cluster)
	config := onService(cluster, "2.6.15")
	got := p.plan(nil, config)
	expect(t, got.diags, "")
	if !got.after["current_version"].Equal(tftypes.NewValue(tftypes.String, "2.6.15")) {
		t.Errorf("current_version is planned as %s", got.after["current_version"])
	}
	onlyReads(t, cluster)
	done := p.apply(nil, config)
	expect(t, done.diags, "")
	if len(done.diags) > 0 {
		t.Error(render(done.diags))
	}
	if s := cluster.ServiceState(cacheService); s.Image != cacheAfter || s.UpdateState != "completed" || len(s.Running) != 2 {
		t.Errorf("%+v", s)
	}
	if caches := cluster.Caches(); len(caches) != 1 || caches[0].ID != done.text("id") || caches[0].Host != cluster.CacheURL() {
		t.Errorf("%+v", caches)
	}
	steady(t, p, done, config)
	if n := serviceUpdates(cluster); n != 1 {
		t.Errorf("%d updates", n)
	}
}

func TestCacheContainerFollowsVersion(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.AddCacheContainer(cacheContainer, cacheBefore, "worker2")
	p := cachePlanner(t, cluster)
	config := onContainer(cluster, "2.6.15")
	done := p.apply(nil, config)
	expect(t, done.diags, "")
	if c := containerOfCache(t, cluster); c.Node != "worker2" || c.Image != cacheAfter || !c.Running() || c.Labels["keep"] != "me" {
		t.Errorf("%+v", c)
	}
	// The old one gives its ports up before the new one wants them.
	var steps []string
	for _, r := range cluster.Requests() {
		if r.Service == simulator.ServiceEngine && r.Method != http.MethodGet {
			steps = append(steps, r.Method+" "+path.Base(r.Path))
		}
	}
	for i, want := range []string{"POST create", "POST rename", "POST create", "POST stop", "POST start", "DELETE "} {
		if i >= len(steps) || !strings.HasPrefix(steps[i], want) {
			t.Fatalf("%q was sent", steps)
		}
	}
	steady(t, p, done, config)
}

// TestCacheSameVersion holds that nothing is sent to a cache that runs what it
// should, whatever of the registry and the digest its image shows.
func TestCacheSameVersion(t *testing.T) {
	t.Parallel()
	for name, image := range map[string]string{
		"as it is":    cacheAfter,
		"in long":     "docker.io/" + cacheAfter,
		"with digest": cacheAfter + "@sha256:92c7f9c92844bbbb5d0a101b22f7c2a7949e40f8ea90c8b3bc396879d95e899a",
		"mirrored":    "registry.example.com/mirror/dtr-content-cache:2.6.15",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddMirror("registry.example.com/mirror/dtr")
			cluster.AddCacheService(simulator.CacheService{Image: image})
			before := cluster.ServiceState(cacheService)
			p := cachePlanner(t, cluster)
			config := onService(cluster, "2.6.15")
			done := p.apply(nil, config)
			expect(t, done.diags, "")
			if after := cluster.ServiceState(cacheService); serviceUpdates(cluster) > 0 || after.Version != before.Version {
				t.Errorf("the service was changed: %+v", after)
			}
			steady(t, p, done, config)
		})
	}
}

// TestCacheOutOfStep holds that a cache on another version than DTR is said to be.
func TestCacheOutOfStep(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.AddCacheService(simulator.CacheService{Image: cacheBefore})
	done := cachePlanner(t, cluster).apply(nil, onService(cluster, "2.7.8"))
	expect(t, done.diags, "Warning: Content cache main does not run the version of DTR\n  at version\n\nThe cache runs 2.7.8, and DTR runs 2.6.15.")
}

// TestCacheImageChoice holds where the image of another version comes from.
func TestCacheImageChoice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before string
		config values
		want   string
	}{
		"vendor's":         {cacheBefore, nil, cacheAfter},
		"latest":           {"docker/dtr-content-cache:latest", nil, cacheAfter},
		"mirror stays":     {"registry.example.com/mirror/dtr-content-cache:2.6.8", nil, "registry.example.com/mirror/dtr-content-cache:2.6.15"},
		"as it is written": {cacheBefore, values{"repository": "registry.example.com/mirror/dtr-content-cache"}, "registry.example.com/mirror/dtr-content-cache:2.6.15"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddMirror("registry.example.com/mirror/dtr")
			cluster.AddCacheService(simulator.CacheService{Image: c.before})
			config := onService(cluster, "2.6.15")
			if c.config != nil {
				config["image"] = c.config
			}
			expect(t, cachePlanner(t, cluster).apply(nil, config).diags, "")
			if s := cluster.ServiceState(cacheService); s.Image != c.want {
				t.Errorf("%s, want %s", s.Image, c.want)
			}
		})
	}
}

// TestCacheSpecStays holds that an update changes nothing of a service but its
// image.
func TestCacheSpecStays(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.AddCacheService(simulator.CacheService{Image: cacheBefore, Order: "start-first", FailureAction: "rollback"})
	before := cluster.ServiceState(cacheService).Spec
	expect(t, cachePlanner(t, cluster).apply(nil, onService(cluster, "2.6.15")).diags, "")
	var want, got map[string]any
	must(json.Unmarshal(before, &want))
	must(json.Unmarshal(cluster.ServiceState(cacheService).Spec, &got))
	want["TaskTemplate"].(map[string]any)["ContainerSpec"].(map[string]any)["Image"] = cacheAfter
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the spec (-want +got):\n%s", diff)
	}
	for _, r := range sent(cluster, "POST", "/services/*/update") {
		if strings.Contains(r.Query, "rollback") {
			t.Errorf("asked for %s", r.Query)
		}
	}
}

// sent lists the requests of a method whose path without the API version matches
// the pattern.
func sent(c *simulator.Cluster, method, pattern string) (requests []simulator.Request) {
	for _, r := range c.Requests() {
		if ok, _ := path.Match(pattern, apiPrefix.ReplaceAllString(r.Path, "")); ok && r.Method == method {
			requests = append(requests, r)
		}
	}
	return requests
}

var apiPrefix = regexp.MustCompile(`^/v1\.\d+`)

// Engine 20.10 cannot rename a container that runs on an overlay network.
func TestCacheContainerOnAnOverlay(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.AddCacheContainer(cacheContainer, cacheBefore, "worker2", func(h *container.HostConfig) { h.NetworkMode = "dtr-ol" })
	p := cachePlanner(t, cluster)
	config := onContainer(cluster, "2.6.15")
	done := p.apply(nil, config)
	expect(t, done.diags, "")
	containerIs(t, cluster, "2.6.15")
	steady(t, p, done, config)
}

// A container that removes itself would be lost as soon as it is stopped.
func TestCacheContainerThatRemovesItself(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.AddCacheContainer(cacheContainer, cacheBefore, "worker2", func(h *container.HostConfig) { h.AutoRemove = true })
	p := cachePlanner(t, cluster)
	expect(t, p.apply(nil, onContainer(cluster, "2.6.15")).diags, "Error: The container of the content cache cannot be replaced\n")
	for _, r := range cluster.Requests() {
		if r.Service == simulator.ServiceEngine && r.Method != http.MethodGet {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
	if c := containerOfCache(t, cluster); !c.Running() {
		t.Errorf("%+v", c)
	}
}
