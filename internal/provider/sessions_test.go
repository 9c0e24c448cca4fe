package provider

import (
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// TestOperationsShareOneSession holds that the operations of one configuration do not push each other out of UCP,
// which has room for a single session here.
func TestOperationsShareOneSession(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6", Host: host, Sessions: 1})
	p := planner(t, c)
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for range 2 {
				p.ok(nil, p.data("dtr_cluster", values{}).diags)
			}
			return nil
		})
	}
	_ = g.Wait()
	logins := 0
	for _, r := range c.Requests() {
		if r.Path == loginPath {
			logins++
		}
	}
	if logins != 1 {
		t.Errorf("%d logins", logins)
	}
}
