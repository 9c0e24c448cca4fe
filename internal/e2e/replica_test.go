//go:build e2e && linux

package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
)

// wantReplicas fails the test unless each of the nodes, and no other, has a whole
// replica of the version, and there are no other containers than those.
func wantReplicas(t testing.TB, repository, version string, nodes ...string) {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for _, node := range nodes {
		want[node] = 9
	}
	for name, c := range partsOf(t) {
		node, _, _ := strings.Cut(name, "/")
		got[node]++
		if !strings.HasPrefix(c.Image, repository+"-") || !strings.HasSuffix(c.Image, ":"+version) || c.State != container.StateRunning {
			t.Errorf("%s: %s, %s", name, c.Image, c.Status)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("containers of replicas by node (-want, +got):\n%s", diff)
	}
	for _, c := range engines.List() {
		if _, _, ok := c.Component(); !ok {
			t.Errorf("a container is left over: %s/%s, %s", c.Node, c.Name, c.State)
		}
	}
}

// A replica joins on a node without one, is upgraded with the others, and leaves.
func TestReplicaJoinsAndLeaves(t *testing.T) {
	c := arrange(t, replicas-1, "2.6.14", func(string) string { return "2.6.14" })
	repository, _ := publish(t, "2.6.14")
	publish(t, "2.6.15")
	before := ids(partsOf(t))

	w := newStage(t, c, settings{Target: "2.6.14", Repository: repository, Joined: "worker3"})
	w.mustApply(t)
	wantReplicas(t, repository, "2.6.14", "worker1", "worker2", "worker3")
	after := ids(partsOf(t))
	for _, id := range before {
		if !slices.Contains(after, id) {
			t.Errorf("container %s did not outlast the join", id)
		}
	}
	if n := bootstrapperRuns(); n != 1 {
		t.Errorf("%d bootstrapper runs, want one join", n)
	}
	w.wantNoChanges(t)

	w.write(t, settings{Target: "2.6.15", Repository: repository, Joined: "worker3"})
	w.mustApply(t)
	wantReplicas(t, repository, "2.6.15", "worker1", "worker2", "worker3")
	w.wantNoChanges(t)

	w.write(t, settings{Target: "2.6.15", Repository: repository})
	w.mustApply(t)
	wantReplicas(t, repository, "2.6.15", "worker1", "worker2")
	if n := len(c.ReplicaIDs()); n != replicas-1 {
		t.Errorf("DTR lists %d replicas", n)
	}
	if n := bootstrapperRuns(); n != 3 {
		t.Errorf("%d bootstrapper runs, want a join, an upgrade and a removal", n)
	}
	w.wantNoChanges(t)
}
