package simulator_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestRollout(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	before := c.Containers()
	began := time.Now()
	status, output := upgradeTo(c, "docker/dtr:2.6.8").run(t, c)
	t.Logf("took %v\n%s", time.Since(began), output)
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	if diff := cmp.Diff(map[string]int{"2.6.8": 27}, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
	if len(before) != len(c.Containers()) {
		t.Errorf("%d containers before, %d after", len(before), len(c.Containers()))
	}
}
