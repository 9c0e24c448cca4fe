package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func TestClusterData(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	p := planner(t, cluster)
	ids := cluster.ReplicaIDs()
	cluster.SetReplicaVersion(ids[1], "2.6.15")
	cluster.SetReplicaHealth(ids[2], "Rethink replica is currently in state: disconnected")
	cluster.SetGCLock(ids[0])
	cluster.ResetRequests()
	got := p.data("dtr_cluster", values{})
	p.ok(nil, got.diags)
	onlyReads(t, cluster)
	state := got.plain()
	updated := state["scanner"].(values)["updated_at"].(string)
	if _, err := time.Parse(time.RFC3339, updated); err != nil {
		t.Error(err)
	}
	replicas := []any{}
	for i, r := range state["replicas"].([]any) {
		reported, _ := r.(values)["reported_at"].(string)
		if _, err := time.Parse(time.RFC3339, reported); err != nil {
			t.Error(err)
		}
		want := values{
			"id": ids[i], "node": []string{"worker1", "worker2", "worker3"}[i], "version": "2.5.6", "healthy": true, "health": "OK",
			"reported_at": reported, "stale": false, "engine_version": "18.03.1-ee-7",
		}
		switch i {
		case 1:
			want["version"] = "2.6.15"
		case 2:
			want["healthy"], want["health"] = false, "Rethink replica is currently in state: disconnected"
		}
		replicas = append(replicas, want)
	}
	want := values{
		"id": host, "current_version": "2.5.6", "versions": []any{"2.5.6", "2.6.15"}, "replicas": replicas,
		"migration":      values{"state": "pending", "job_id": nil, "status": nil},
		"scanner":        values{"enabled": true, "database_version": 1200, "updated_at": updated, "last_update_failed": false},
		"caches":         []any{},
		"gc_lock_holder": ids[0], "ucp_version": "3.0.4",
	}
	if diff := cmp.Diff(want, state); diff != "" || len(replicas) != 3 {
		t.Error(diff)
	}
}

func TestClusterDataOfOtherClusters(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.SetDatabase(simulator.DatabaseFaults{Disabled: true})
	cluster.SetMigration(simulator.MigrationFaults{Status: "levitating"})
	cluster.ScheduleMigration()
	frozen := cluster.ReplicaIDs()[0]
	cluster.FreezeReplica(frozen)
	p := planner(t, cluster)
	var state values
	for state = nil; state == nil || state["migration"].(values)["status"] != "levitating"; {
		got := p.data("dtr_cluster", values{})
		p.ok(nil, got.diags)
		state = got.plain()
	}
	if m := state["migration"].(values); m["state"] != "unknown" || m["job_id"] != cluster.Jobs()[0].ID {
		t.Errorf("migration %v", m)
	}
	if diff := cmp.Diff(values{"enabled": false, "database_version": nil, "updated_at": nil, "last_update_failed": nil}, state["scanner"]); diff != "" {
		t.Error(diff)
	}
	for _, r := range state["replicas"].([]any) {
		r := r.(values)
		if stale := r["id"] == frozen; r["stale"] != stale || r["healthy"] == stale {
			t.Errorf("replica %v", r)
		}
	}

	away := start(t, "2.6.15")
	away.Inject(simulator.Fault{Service: simulator.ServiceEngine, Reset: true})
	if text := render(planner(t, away).data("dtr_cluster", values{}).diags); !strings.Contains(text, "UCP does not answer") {
		t.Errorf("got:\n%s", text)
	}
}
