//go:build e2e && linux

package e2e_test

import "testing"

// TestVia goes two hops in one apply, the first of which has a migration to wait
// for.
func TestVia(t *testing.T) {
	c := lagging(t, "2.5.6", "2.6.15", "jobrunner", "scanningstore")
	repository, _ := publish(t, "2.7.8")
	w := newStage(t, c, settings{Target: "2.7.8", Via: []string{"2.6.15"}, Repository: repository})
	w.mustApply(t)
	wantVersion(t, "2.7.8")
	if n := bootstrapperRuns(); n != 2 {
		t.Errorf("%d bootstrapper runs for two hops", n)
	}
	if last := w.lastUpgrade(t); last.From != "2.5.6" || last.To != "2.7.8" || last.MigrationAttempts != 1 {
		t.Errorf("%+v", last)
	}
	w.wantNoChanges(t)
}
