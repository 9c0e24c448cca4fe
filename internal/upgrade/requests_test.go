package upgrade

import (
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
)

// TestRunListsAllContainersForAStartAlone holds that UCP is asked for all its containers
// where a bootstrapper of somebody else would matter, in the checks of a hop and before
// its start, and for DTR's alone in every other look.
func TestRunListsAllContainersForAStartAlone(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	finish(t, sim, c, to("2.7.8", "2.6.15"), 2)
	all, named := 0, 0
	for _, r := range sim.Requests() {
		switch {
		case r.Bootstrapper() || !strings.HasSuffix(r.Path, "/containers/json"):
		case strings.Contains(r.Query, "filters="):
			named++
		default:
			all++
		}
	}
	if all > 3*2 || named <= all { // a check may look again
		t.Errorf("UCP listed all containers %d times, and those named so %d times", all, named)
	}
}
