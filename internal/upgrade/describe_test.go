package upgrade

import (
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
)

func TestMigrationState(t *testing.T) {
	t.Parallel()
	online := dtr.Features{OnlineGCEnabled: true}
	for _, tt := range []struct {
		name     string
		version  string
		features dtr.Features
		jobs     []dtr.Job
		want     MigrationState
	}{
		{"before 2.6", "2.5.6", dtr.Features{}, nil, MigrationPending},
		{"opted in on 2.5", "2.5.6", online, nil, MigrationDone},
		{"failed on 2.5", "2.5.6", dtr.Features{}, []dtr.Job{clustertest.MigrationJob("a", "error", 0, 0)}, MigrationFailed},
		{"just upgraded", "2.6.15", dtr.Features{}, nil, MigrationPending},
		{"waits", "2.6.15", dtr.Features{}, []dtr.Job{clustertest.MigrationJob("a", "waiting", 2, 0)}, MigrationRunning},
		{"runs", "2.6.15", dtr.Features{}, []dtr.Job{clustertest.MigrationJob("a", "running", 2, 0)}, MigrationRunning},
		{"is to be tried again", "2.6.15", dtr.Features{}, []dtr.Job{clustertest.MigrationJob("a", "error", 1, 0)}, MigrationPending},
		{"failed for good", "2.6.15", dtr.Features{}, []dtr.Job{clustertest.MigrationJob("b", "error", 0, 0), clustertest.MigrationJob("a", "error", 1, 0)}, MigrationFailed},
		{"done", "2.6.15", online, []dtr.Job{clustertest.MigrationJob("a", "done", 2, 0)}, MigrationDone},
		{"a word that nobody published", "2.6.15", online, []dtr.Job{clustertest.MigrationJob("a", "levitating", 2, 0)}, MigrationUnknown},
		{"long ago", "2.7.8", online, nil, MigrationDone},
		{"no trace", "2.7.8", dtr.Features{}, nil, MigrationUnknown},
	} {
		obs := observation(tt.version)
		obs.Features, obs.Jobs[migration.MetadataStore] = tt.features, tt.jobs
		got := obs.migrationState()
		if got.State != tt.want || len(tt.jobs) > 0 && got.Job.ID != tt.jobs[0].ID {
			t.Errorf("%s: %+v, want %s", tt.name, got, tt.want)
		}
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	obs := observation("2.6.15", "2.6.15", "2.6.15")
	d := &Description{Snapshot: obs.Snapshot}
	d.Status.Timestamp[clustertest.ReplicaID(2)] = d.Status.Date.Add(-cluster.StaleAfter - time.Second)
	delete(d.Status.Timestamp, clustertest.ReplicaID(3))
	for n, want := range map[int]bool{1: false, 2: true, 3: true} {
		if got := d.Stale(clustertest.ReplicaID(n)); got != want {
			t.Errorf("replica %d: %t", n, got)
		}
	}
}
