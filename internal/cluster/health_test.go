package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// TestStaleHealthSaysForHowLong holds how people read the age of a health report, and
// that a report without a time has none.
func TestStaleHealthSaysForHowLong(t *testing.T) {
	t.Parallel()
	now := time.Date(2019, 5, 1, 12, 0, 0, 0, time.UTC)
	for says, timestamp := range map[string]map[string]time.Time{
		", 2h ago.":             {"a": now.Add(-2 * time.Hour)},
		"does not say when":     {},
		"does not say when rep": {"a": {}},
	} {
		s := &Snapshot{Status: dtr.ClusterStatus{Date: now, Health: map[string]string{"a": dtr.HealthOK}, Timestamp: timestamp}}
		if summary, seen := s.UnhealthyReason(Replica{ID: "a", Node: "worker1"}); !strings.Contains(summary, "stale") || !strings.Contains(seen, says) {
			t.Errorf("got %q: %q, want %q", summary, seen, says)
		}
	}
}
