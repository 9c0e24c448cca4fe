// Package simulatortest starts simulated clusters for tests.
package simulatortest

import (
	"cmp"
	"testing"

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
