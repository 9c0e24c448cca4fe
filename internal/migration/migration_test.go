package migration

import (
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

func TestMigratedBefore(t *testing.T) {
	t.Parallel()
	failed := []dtr.Job{clustertest.MigrationJob("a", "error", 0, -time.Hour)}
	for _, tt := range []struct {
		name     string
		features dtr.Features
		jobs     []dtr.Job
		want     bool
	}{
		{"no more is known", dtr.Features{}, nil, false},
		{"collects garbage online, and failed", dtr.Features{OnlineGCEnabled: true}, failed, false},
		{"collects garbage online", dtr.Features{OnlineGCEnabled: true}, nil, true},
		{"a replica runs 2.6 already", dtr.Features{OnlineGCEnabled: true}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			replicas := []string{"2.5.6"}
			if strings.Contains(tt.name, "2.6") {
				replicas = append(replicas, "2.6.15")
			}
			seen := &Seen{Snapshot: clustertest.Snapshot(replicas...), Features: tt.features, Jobs: map[string][]dtr.Job{MetadataStore: tt.jobs}}
			if got := seen.migratedBefore(); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
