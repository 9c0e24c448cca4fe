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
// that every pull and load through UCP ends in an error; a container of a replica that
// was removed; clocks that are minutes apart; and a UCP that keeps few logins.
func Weathered(o simulator.Options) simulator.Options {
	nodes := map[string]simulator.NodeOptions{"windows1": {OS: "windows"}, "gone1": {Down: true}}
	maps.Copy(nodes, o.Nodes)
	setClock := func(name string, ahead time.Duration) {
		n := nodes[name]
		n.ClockAhead = cmp.Or(n.ClockAhead, ahead)
		nodes[name] = n
	}
	setClock("manager1", 3*time.Minute)
	setClock("worker1", -2*time.Minute)
	if o.Replicas != 1 {
		setClock("worker2", 5*time.Minute)
	}
	o.Nodes = nodes
	o.DTRClockAhead = cmp.Or(o.DTRClockAhead, -4*time.Minute)
	if o.Unlisted == nil {
		o.Unlisted = []simulator.UnlistedReplica{{ID: "0badc0ffee00", Node: "worker1", Version: "2.4.3", Parts: []string{"nginx"}}}
	}
	o.Sessions = cmp.Or(o.Sessions, 3)
	return o
}
