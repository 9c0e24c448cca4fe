// Package simulatortest starts simulated clusters for tests.
package simulatortest

import (
	"cmp"
	"maps"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// Speed of a cluster whose options name none: a rollout takes milliseconds.
const Speed = 2000

// Start starts a cluster that is closed when the test ends. It runs at [Speed]
// unless the options say otherwise.
func Start(t testing.TB, o simulator.Options) *simulator.Cluster {
	t.Helper()
	o.Speed = cmp.Or(o.Speed, Speed)
	c, err := simulator.Start(o)
	if err != nil {
		t.Fatalf("starting the simulated cluster: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// Weathered are options as of a cluster that has been in use for years, as far as they
// do not say otherwise: it has a worker on Windows and one whose engine is gone, so
// that every pull and load through UCP ends in an error, and UCP keeps few logins.
func Weathered(o simulator.Options) simulator.Options {
	nodes := map[string]simulator.NodeOptions{"windows1": {OS: "windows"}, "gone1": {Down: true}}
	maps.Copy(nodes, o.Nodes)
	o.Nodes = nodes
	o.Sessions = cmp.Or(o.Sessions, 3)
	return o
}

// ClocksApart are the options with clocks that are minutes apart: those of the manager
// and of two workers, and DTR's.
func ClocksApart(o simulator.Options) simulator.Options {
	nodes := maps.Clone(o.Nodes)
	if nodes == nil {
		nodes = map[string]simulator.NodeOptions{}
	}
	for name, ahead := range map[string]time.Duration{"manager1": 3 * time.Minute, "worker1": -2 * time.Minute, "worker2": 5 * time.Minute} {
		n := nodes[name]
		n.ClockAhead = ahead
		nodes[name] = n
	}
	o.Nodes, o.DTRClockAhead = nodes, -4*time.Minute
	return o
}

// LeftOver are the options with a container that is left over from a replica, which
// was removed when DTR was at 2.4.3.
func LeftOver(o simulator.Options) simulator.Options {
	o.Unlisted = append(o.Unlisted, simulator.UnlistedReplica{ID: "0123456789ab", Node: "worker1", Version: "2.4.3", Parts: []string{"nginx"}})
	return o
}
