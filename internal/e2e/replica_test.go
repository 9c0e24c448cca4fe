//go:build e2e && linux

package e2e_test

import (
	"strings"
	"testing"
)

// A replica joins on a node without one, is upgraded with the others, and leaves.
func TestReplicaJoinsAndLeaves(t *testing.T) {
	c := arrange(t, replicas-1, "2.6.14", func(string) string { return "2.6.14" })
	repository, _ := publish(t, "2.6.14")
	publish(t, "2.6.15")
	before := ids(partsOf(t))

	w := newStage(t, c, settings{Target: "2.6.14", Repository: repository, Joined: "worker3"})
	w.mustApply(t)
	wantVersion(t, "2.6.14") // of as many replicas as there are nodes
	for _, id := range before {
		found := false
		for _, part := range partsOf(t) {
			found = found || part.ID == id
		}
		if !found {
			t.Errorf("container %s was replaced by the join", id)
		}
	}
	if n := bootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs, want one join", n)
	}
	w.wantNoChanges(t)

	w.write(t, settings{Target: "2.6.15", Repository: repository, Joined: "worker3"})
	w.mustApply(t)
	wantVersion(t, "2.6.15")
	w.wantNoChanges(t)

	w.write(t, settings{Target: "2.6.15", Repository: repository})
	w.mustApply(t)
	parts := partsOf(t)
	if len(parts) != 9*(replicas-1) {
		t.Errorf("%d containers of replicas are left", len(parts))
	}
	for name := range parts {
		if strings.HasPrefix(name, "worker3/") {
			t.Errorf("%s is left", name)
		}
	}
	if n := len(c.ReplicaIDs()); n != replicas-1 {
		t.Errorf("DTR lists %d replicas", n)
	}
	if n := bootstrapperRuns(); n != 3 {
		t.Errorf("%d bootstrapper runs, want a join, an upgrade and a removal", n)
	}
	for _, ct := range engines.List() {
		if _, _, ok := ct.Component(); !ok {
			t.Errorf("a container is left over: %s/%s, %s", ct.Node, ct.Name, ct.State)
		}
	}
	w.wantNoChanges(t)
}
