package replica

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// joinThatFailed is a join that has ended with status 1. UCP does not show one of its
// replica's containers for as long as hidden says so.
func joinThatFailed(t *testing.T, hidden func() bool) (sim *simulator.Cluster, id string, again func() error) {
	t.Helper()
	sim, c := clustertest.Roomy(t, 3)
	before := sim.ReplicaIDs()
	one := 1
	sim.SetBootstrapper(simulator.BootstrapperFaults{ExitStatus: &one})
	again = func() error {
		_, err := Join(clustertest.Limited(t), c, Options{Node: "worker5", Pace: clustertest.Pace})
		return err
	}
	if err := again(); err == nil {
		t.Fatal("the join did not fail")
	}
	sim.SetBootstrapper(simulator.BootstrapperFaults{})
	i := slices.IndexFunc(sim.ReplicaIDs(), func(r string) bool { return !slices.Contains(before, r) })
	if i < 0 {
		t.Fatal("nothing has joined")
	}
	id = sim.ReplicaIDs()[i]
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		if !hidden() {
			return list
		}
		return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), "dtr-notary-signer-"+id) })
	}))
	return sim, id, again
}

// TestSlowReplicaIsNotUndone has a replica be well and whole only after it was judged, and
// before its removal begins.
func TestSlowReplicaIsNotUndone(t *testing.T) {
	t.Parallel()
	var well atomic.Bool
	sim, id, again := joinThatFailed(t, func() bool { return !well.Load() })
	sim.SetReplicaHealth(id, "Rethink replica is currently in state: connecting")
	healed := sync.OnceFunc(func() { sim.SetReplicaHealth(id, ""); well.Store(true) })
	sim.Inject(simulator.Fault{Method: http.MethodPost, Matches: func(r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/rename") { // the join's container makes room for the removal's
			healed()
		}
		return false
	}})
	err := again()
	if !slices.Contains(sim.ReplicaIDs(), id) {
		t.Fatalf("healthy replica %s was removed, error %v", id, err)
	}
	if err := again(); err != nil {
		t.Errorf("the next apply: %v", err)
	}
	if len(sim.ReplicaIDs()) != 4 {
		t.Errorf("replicas: %v", sim.ReplicaIDs())
	}
}

// TestReplicaBehindTimeIsNotUndone has the clock of a healthy replica's node be three
// minutes behind, and UCP not show one of its containers.
func TestReplicaBehindTimeIsNotUndone(t *testing.T) {
	t.Parallel()
	sim, id, again := joinThatFailed(t, func() bool { return true })
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/meta/cluster_status",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var m map[string]any
			if err := json.Unmarshal(body, &m); err != nil {
				t.Error(err)
			}
			stamps, _ := m["replica_timestamp"].(map[string]any)
			if text, ok := stamps[id].(string); ok {
				at, err := time.Parse(time.RFC3339Nano, text)
				if err != nil {
					t.Error(err)
				}
				stamps[id] = at.Add(-3 * time.Minute).Format(time.RFC3339Nano)
			}
			changed, err := json.Marshal(m)
			if err != nil {
				t.Error(err)
			}
			return status, changed
		},
	})
	err := again()
	if !slices.Contains(sim.ReplicaIDs(), id) {
		t.Fatalf("healthy replica %s was removed, error %v", id, err)
	}
	if kept := clustertest.AsError[*KeptReplicaError](t, err); kept.ReplicaID != id {
		t.Error(kept)
	}
}
