package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// TestCacheKilledAtEveryChange cuts an apply off at each request in turn that
// changes something, before or after it took effect, and holds that the next apply
// ends where the configuration says: with the same version, the one before or
// another one.
func TestCacheKilledAtEveryChange(t *testing.T) {
	t.Parallel()
	all := []string{"2.6.15", "2.6.8", "2.6.14"}
	onNode := func(c *simulator.Cluster) { c.AddCacheContainer(cacheContainer, cacheBefore, "worker2") }
	onTwoNetworks := func(c *simulator.Cluster) {
		onNode(c)
		c.ConnectContainer(cacheContainer, "dtr-ol")
	}
	onTwoNetworksStill := func(t *testing.T, c *simulator.Cluster, version string) {
		t.Helper()
		containerIs(t, c, version)
		if networks := containerOfCache(t, c).Networks; !slices.Equal(networks, []string{"bridge", "dtr-ol"}) {
			t.Errorf("networks: %q", networks)
		}
	}
	inSwarm := func(c *simulator.Cluster) { c.AddCacheService(simulator.CacheService{Image: cacheBefore}) }
	for _, c := range []struct {
		what, service, method string
		deploy                func(*simulator.Cluster)
		config                func(*simulator.Cluster, string) values
		check                 func(*testing.T, *simulator.Cluster, string)
		next                  []string
		// How many applies fail; a lost answer fails none where it is looked for what
		// became of the request.
		before, after int
	}{
		{"container: pull, rename, create, stop, start", simulator.ServiceEngine, "POST", onNode, onContainer, containerIs, all, 5, 5},
		{"container on two networks: pull, rename, create, connect, stop, start", simulator.ServiceEngine, "POST", onTwoNetworks, onContainer, onTwoNetworksStill, all[:1], 6, 6},
		{"container: remove", simulator.ServiceEngine, "DELETE", onNode, onContainer, containerIs, all[:1], 1, 1},
		{"container: register", simulator.ServiceDTR, "POST", onNode, onContainer, containerIs, all[:2], 1, 0},
		{"service: update", simulator.ServiceEngine, "POST", inSwarm, onService, serviceIs, all[:2], 1, 0},
	} {
		for _, after := range []bool{false, true} {
			for _, next := range c.next {
				t.Run(fmt.Sprintf("%s, took effect %t, then %s", c.what, after, next), func(t *testing.T) {
					t.Parallel()
					want, kills := c.before, 0
					if after {
						want = c.after
					}
					for killAt(t, kills, simulator.Fault{Service: c.service, Method: c.method, Reset: true, AfterEffect: after, Skip: kills}, next, c.deploy, c.config, c.check) {
						kills++
					}
					if kills != want {
						t.Errorf("%d applies failed, want %d", kills, want)
					}
				})
			}
		}
	}
}

// killAt applies with the fault, then without, and says whether the first apply
// failed.
func killAt(t *testing.T, n int, fault simulator.Fault, next string, deploy func(*simulator.Cluster), config func(*simulator.Cluster, string) values, check func(*testing.T, *simulator.Cluster, string)) bool {
	t.Helper()
	cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: "2.6.15", Replicas: 2, Host: host}))
	deploy(cluster)
	impatient := pace
	impatient.Outage, impatient.CacheAnswer = time.Millisecond, time.Millisecond
	p := newProtocol(t, append(quick(), WithPace(impatient))...).of("dtr_content_cache")
	p.ok(nil, p.configure(connected(cluster)))
	mend := cluster.Inject(fault)
	first := p.apply(nil, config(cluster, "2.6.15"))
	mend()
	if hasErrors(first.diags) && first.state != nil {
		t.Errorf("killed at %d: a create that failed saved a state", n)
	}
	p = cachePlanner(t, cluster)
	done := p.apply(nil, config(cluster, next))
	if hasErrors(done.diags) {
		t.Fatalf("after it was killed at %d:\n%s\nby\n%s", n, render(done.diags), render(first.diags))
	}
	check(t, cluster, next)
	if caches := cluster.Caches(); len(caches) != 1 {
		t.Errorf("killed at %d: registered: %+v", n, caches)
	}
	steady(t, p, done, config(cluster, next))
	if t.Failed() {
		t.Fatalf("killed at %d by\n%s", n, render(first.diags))
	}
	return hasErrors(first.diags)
}

// containerOfCache is the container that runs the cache.
func containerOfCache(t *testing.T, c *simulator.Cluster) simulator.Container {
	t.Helper()
	all := c.Containers()
	i := slices.IndexFunc(all, func(ct simulator.Container) bool { return ct.Name == cacheContainer })
	if i < 0 {
		t.Fatalf("there is no container %s", cacheContainer)
	}
	return all[i]
}

// containerIs holds that there is the container at the version, and nothing left of
// another.
func containerIs(t *testing.T, c *simulator.Cluster, version string) {
	t.Helper()
	var names []string
	for _, ct := range c.Containers() {
		if strings.HasPrefix(ct.Name, cacheContainer) {
			names = append(names, ct.Name)
			if ct.Version() != version || !ct.Running() || ct.Node != "worker2" || ct.Labels["keep"] != "me" || !slices.Equal(ct.Env, []string{"A=B"}) {
				t.Errorf("%+v", ct)
			}
		}
	}
	if !slices.Equal(names, []string{cacheContainer}) {
		t.Errorf("containers: %q", names)
	}
}

func serviceIs(t *testing.T, c *simulator.Cluster, version string) {
	t.Helper()
	s := c.ServiceState(cacheService)
	for _, image := range append(s.Running, s.Image) {
		if !strings.HasSuffix(image, version) {
			t.Errorf("%s, want %s", image, version)
		}
	}
	if len(s.Running) != 1 {
		t.Errorf("%d tasks run", len(s.Running))
	}
}
