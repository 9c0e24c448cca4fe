package transition

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

// lines writes hops as "from -> to rule [jobs]".
func lines(hops []Hop) []string {
	list := make([]string, 0, len(hops))
	for _, h := range hops {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s -> %s %s %s", h.From, h.To, h.Rule, strings.Join(h.MigrationJobs, ","))))
	}
	return list
}

func stops(tb testing.TB, s string) []*semver.Version {
	tb.Helper()
	return versions(tb, strings.Fields(s)...)
}

func TestHops(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, stops string
		want        []string
	}{
		{"2.5.6", "2.5.7", []string{"2.5.6 -> 2.5.7 patch-upgrade"}},
		{"2.5.6", "2.6.15", []string{"2.5.6 -> 2.6.15 minor-upgrade metadatastoremigration"}},
		{"2.5.6", "2.6.15 2.7.8", []string{"2.5.6 -> 2.6.15 minor-upgrade metadatastoremigration", "2.6.15 -> 2.7.8 minor-upgrade"}},
		{"2.5.6", "2.5.17 2.6.15 2.7.8", []string{"2.5.6 -> 2.5.17 patch-skip", "2.5.17 -> 2.6.15 minor-upgrade metadatastoremigration", "2.6.15 -> 2.7.8 minor-upgrade"}},
		{"2.9.30", "3.0.0", []string{"2.9.30 -> 3.0.0 major-upgrade"}},

		// What is passed is left out.
		{"2.6.15", "2.6.15 2.7.8", []string{"2.6.15 -> 2.7.8 minor-upgrade"}},
		{"2.6.99", "2.6.15 2.7.8", []string{"2.6.99 -> 2.7.8 minor-upgrade"}},
		{"2.5.6", "2.6.15 2.6.15", []string{"2.5.6 -> 2.6.15 minor-upgrade metadatastoremigration"}},
		{"2.6.14", "2.6.15 2.7.8", []string{"2.6.14 -> 2.6.15 patch-upgrade", "2.6.15 -> 2.7.8 minor-upgrade"}},
		{"2.7.0", "2.6.15 2.7.8", []string{"2.7.0 -> 2.7.8 patch-skip"}},

		// Nothing to do.
		{"2.7.8", "2.7.8", []string{}},
		{"2.7.8", "2.6.15 2.7.8", []string{}},
		{"2.7.8", "", []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.stops, func(t *testing.T) {
			t.Parallel()
			got, err := known.hops(v(t, tt.from), stops(t, tt.stops))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, lines(got)); diff != "" {
				t.Errorf("hops (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHopsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, stops string
		rule        Rule
		hop         string
	}{
		{"2.5.6", "2.7.8", MinorSkip, "2.5.6 -> 2.7.8"},
		{"2.5.6", "2.6.15 2.8.0", MinorSkip, "2.6.15 -> 2.8.0"},
		{"2.5.6", "2.7.8 2.8.0", MinorSkip, "2.5.6 -> 2.7.8"},
		{"2.6.15", "2.6.15 2.8.0", MinorSkip, "2.6.15 -> 2.8.0"},
		{"2.7.4", "2.6.8", MinorDowngrade, "2.7.4 -> 2.6.8"},
		{"2.7.4", "2.6.3 2.6.8", MinorDowngrade, "2.7.4 -> 2.6.8"},
		{"2.7.4", "2.8.0 2.6.8", MinorDowngrade, "2.7.4 -> 2.6.8"},
		{"2.5.6", "2.6.15 2.6.8", PatchDowngrade, "2.6.15 -> 2.6.8"},
		{"2.6.0-tp9", "2.6.0", PreRelease, "2.6.0-tp9 -> 2.6.0"},
		{"2.6.0", "2.6.0-tp9", PreRelease, "2.6.0 -> 2.6.0-tp9"},
		{"2.6.0-tp9", "2.6.0-tp9", PreRelease, "2.6.0-tp9 -> 2.6.0-tp9"},
		{"2.2.0", "2.3.0 2.3.1", AdvisoryRefusal, "2.3.0 -> 2.3.1"},
		{"2.9.30", "3.0.5", MajorSkipsPatch, "2.9.30 -> 3.0.5"},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.stops, func(t *testing.T) {
			t.Parallel()
			got, err := known.hops(v(t, tt.from), stops(t, tt.stops))
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("hops %v, error %v", lines(got), err)
			}
			if refusal.Rule != tt.rule {
				t.Errorf("rule %q, want %q", refusal.Rule, tt.rule)
			}
			if hop := fmt.Sprintf("%s -> %s", refusal.From, refusal.To); hop != tt.hop {
				t.Errorf("refuses the hop %s, want %s", hop, tt.hop)
			}
			if target := refusal.Stops[len(refusal.Stops)-1].String(); !strings.HasSuffix(tt.stops, target) {
				t.Errorf("says that %s is the target", target)
			}
			if refusal.Running.String() != tt.from {
				t.Errorf("says that %s runs", refusal.Running)
			}
		})
	}
}

func TestStopsAscending(t *testing.T) {
	t.Parallel()
	tests := []struct {
		stops string
		index int // of the stop at fault
		want  string
	}{
		{stops: ""},
		{stops: "2.6.15"},
		{stops: "2.6.15 2.7.8"},
		{stops: "2.9.30 2.10.0 3.0.0"},
		{"2.7.8 2.6.15 2.8.0", 0, "stop 2.7.8 is followed by 2.6.15, which is not above it"},
		{"2.5.17 2.6.15 2.6.15 2.7.8", 1, "stop 2.6.15 is followed by 2.6.15, which is not above it"},
		{"2.10.0 2.9.0 2.11.0", 0, "stop 2.10.0 is followed by 2.9.0, which is not above it"},
		{stops: "2.6.15 2.6.15"}, // the target stands at the end of via, too
		{"2.6.15 2.6.15 2.6.15", 0, "stop 2.6.15 is followed by 2.6.15, which is not above it"},
		{"2.5.17 2.7.8 2.6.15", 1, "stop 2.7.8 is followed by 2.6.15, which is not above it"},
	}
	for _, tt := range tests {
		t.Run(tt.stops, func(t *testing.T) {
			t.Parallel()
			err := StopsAscending(stops(t, tt.stops))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var order *OrderError
			if !errors.As(err, &order) {
				t.Fatalf("error %v", err)
			}
			if order.Index != tt.index || order.Error() != tt.want {
				t.Errorf("stop %d: %s", order.Index, order)
			}
		})
	}
}
