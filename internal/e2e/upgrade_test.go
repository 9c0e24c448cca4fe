//go:build e2e && linux

package e2e_test

import (
	"slices"
	"testing"
	"time"
)

func TestUpgradeReplacesEveryContainer(t *testing.T) {
	c := freshCluster(t, "2.5.6")
	repository, _ := publish(t, "2.6.15")
	before := ids(partsOf(t))

	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
	began := time.Now()
	w.mustApply(t)
	t.Logf("upgraded in %s", time.Since(began).Round(time.Millisecond))

	wantVersion(t, repository, "2.6.15")
	for _, id := range ids(partsOf(t)) {
		if slices.Contains(before, id) {
			t.Errorf("container %s is the one of before", id)
		}
	}
	if n := bootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs", n)
	}
	last := w.lastUpgrade(t)
	if last.From != "2.5.6" || last.To != "2.6.15" || last.BootstrapperRuns != 1 || last.MigrationAttempts != 1 {
		t.Errorf("%+v", last)
	}
	t.Logf("%+v", last)
	w.wantNoChanges(t)
}
