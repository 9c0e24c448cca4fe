package upgrade

import (
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

func TestMigratedBefore(t *testing.T) {
	t.Parallel()
	failed := []dtr.Job{migrationJob("a", "error", 0, -time.Hour)}
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
			obs := observation("2.5.6")
			if strings.Contains(tt.name, "2.6") {
				obs = observation("2.5.6", "2.6.15")
			}
			obs.Features, obs.Jobs[metadataStoreMigration] = tt.features, tt.jobs
			if got := obs.migratedBefore(); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
