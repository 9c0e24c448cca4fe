package simulator

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

const seedAge = 90 * 24 * time.Hour // age of a cluster at the start

// newEngine returns an engine with its nodes, and the replicas on them.
func newEngine(ctx context.Context, o Options, version *semver.Version, r *registry) *engine {
	platform := release.PlatformOf(version)
	platform.UCPVersion = cmp.Or(o.UCPVersion, platform.UCPVersion)
	e := &engine{
		id:  newID(),
		ctx: ctx, clock: clock.Clock(o.Speed), ucpVersion: platform.UCPVersion,
		apiVersion: cmp.Or(o.APIVersion, platform.EngineAPI), containers: map[string]*ctr{}, crashing: map[string]bool{},
		ghosts: map[string]int{},
		runs:   map[string]int{},
	}
	e.logDriver = cmp.Or(o.LogDriver, logDriverJSON)
	e.version = engineVersion(e.apiVersion)
	add := func(name string, k int) *node {
		n := &node{
			name: name, id: release.StableID("node", name)[:25], addr: fmt.Sprintf("10.0.0.%d", 10+k), manager: k == 0,
			memory:  cmp.Or(o.Nodes[name].MemoryBytes, 32<<30),
			version: o.Nodes[name].EngineVersion, images: map[string]image{}, volumes: map[string]time.Time{},
			availability: cmp.Or(o.Nodes[name].Availability, string(swarm.NodeAvailabilityActive)), os: cmp.Or(o.Nodes[name].OS, "linux"),
			ahead: o.Nodes[name].ClockAhead,
		}
		e.nodes = append(e.nodes, n)
		return n
	}
	seed := func(n *node, name string, config *container.Config, host *container.HostConfig) {
		n.put(config.Image, r.manifest(config.Image))
		c := e.add(n, name, config, host)
		c.created = time.Now().Add(-seedAge)
		for _, name := range c.volumes() {
			n.volumes[name] = c.created
		}
		e.run(c)
		c.started = c.created
	}
	seed(add(managerName, 0), "ucp-controller", &container.Config{Image: "docker/ucp-controller:" + platform.UCPVersion}, &container.HostConfig{})
	repository := release.Repository(version)
	for i, id := range replicaIDs(o.Replicas) {
		n := add(workerName(i+1), i+1)
		for _, spec := range release.ReplicaContainers(repository, id, func(string) string { return version.String() }) {
			seed(n, spec.Name, spec.Config, spec.Host)
		}
	}
	for k := o.Replicas + 1; k <= o.Workers; k++ {
		add(workerName(k), k)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Nodes)) {
		if e.nodeByName(name) == nil {
			add(name, len(e.nodes))
		}
		e.nodeByName(name).down = o.Nodes[name].Down
	}
	return e
}

// replicaIDs returns the same ids every time, in ascending order.
func replicaIDs(n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, release.StableID("replica", strconv.Itoa(i))[:12])
	}
	slices.Sort(ids)
	return ids
}
