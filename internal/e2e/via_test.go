//go:build e2e && linux

package e2e_test

import (
	"slices"
	"testing"
)

// TestVia goes two hops, the first of which has a migration to wait for. It is
// killed in the second one, and replaces every container there all the same.
func TestVia(t *testing.T) {
	c := lagging(t, "2.5.6", "2.6.15", "jobrunner", "scanningstore")
	repository, _ := publish(t, "2.7.8")
	w := newStage(t, c, settings{Target: "2.7.8", Via: []string{"2.6.15"}, Repository: repository})
	before := ids(partsOf(t))
	if err := w.applyUntil(t, startOf(repository+":2.7.8"), func() { w.kill(t) }); err == nil {
		t.Fatal("the apply ended well")
	}
	w.mustApply(t)
	for _, id := range ids(partsOf(t)) {
		if slices.Contains(before, id) {
			t.Errorf("container %s is the one of before", id)
		}
	}
	wantVersion(t, repository, "2.7.8")
	if n := bootstrapperRuns(); n != 2 {
		t.Errorf("%d bootstrapper runs for two hops", n)
	}
	// What the killed apply had done is not of the last one.
	if last := w.lastUpgrade(t); last.From != "2.6.15" || last.To != "2.7.8" {
		t.Errorf("%+v", last)
	}
	w.wantNoChanges(t)
}
