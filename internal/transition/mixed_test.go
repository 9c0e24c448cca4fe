package transition

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestPlanMixed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		running, stops string
		want           []string
	}{
		// One version is no mixture.
		{"2.5.6", "2.6.15", []string{"2.5.6 -> 2.6.15 minor-upgrade metadatastoremigration"}},
		{"2.5.6 2.5.6 2.5.6", "2.5.7", []string{"2.5.6 -> 2.5.7 patch-upgrade"}},
		{"2.6.15", "2.6.15", []string{}},

		// The interrupted rollout is the next hop.
		{"2.5.6 2.6.15", "2.6.15", []string{"2.5.6 -> 2.6.15 minor-upgrade metadatastoremigration"}},
		{"2.6.15 2.5.6 2.6.15", "2.6.15", []string{"2.5.6 -> 2.6.15 minor-upgrade metadatastoremigration"}},
		{"2.5.6 2.5.17", "2.5.17", []string{"2.5.6 -> 2.5.17 patch-skip"}},
		{"2.5.6 2.6.15", "2.6.15 2.7.8", []string{"2.5.6 -> 2.6.15 minor-upgrade metadatastoremigration", "2.6.15 -> 2.7.8 minor-upgrade"}},
		{"2.6.15 2.7.8", "2.6.15 2.7.8", []string{"2.6.15 -> 2.7.8 minor-upgrade"}},
		{"2.9.30 2.10.0", "2.10.0", []string{"2.9.30 -> 2.10.0 minor-upgrade"}},
	}
	for _, tt := range tests {
		t.Run(tt.running+" -> "+tt.stops, func(t *testing.T) {
			t.Parallel()
			running := stops(t, tt.running)
			before := texts(running)
			got, err := PlanMixed(running, stops(t, tt.stops))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, lines(got)); diff != "" {
				t.Errorf("hops (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, texts(running)); diff != "" {
				t.Errorf("the caller's list was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestPlanMixedRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, running, stops string
		finish               string   // empty for none
		path                 []string // to the target, by way of finish
	}{
		{"another target", "2.6.15 2.5.6", "2.6.14", "2.6.15", nil},
		{"a target beyond", "2.6.10 2.6.12", "2.7.8", "2.6.12", []string{"2.6.12", "2.7.8"}},
		{"a target far beyond", "2.5.6 2.6.12", "2.8.0", "2.6.12", []string{"2.6.12", "2.7.8", "2.8.0"}},
		{"another stop first", "2.5.6 2.6.12", "2.5.17 2.6.12", "2.6.12", nil},
		{"back to the lower one", "2.5.6 2.6.12", "2.5.6", "2.6.12", nil},
		{"no target", "2.5.6 2.6.12", "", "2.6.12", nil},
		{"a third version", "2.6.1 2.6.5 2.6.3", "2.6.5", "2.6.5", nil},
		{"too far apart", "2.5.6 2.7.8", "2.6.15 2.7.8", "", nil},
		{"three too far apart", "2.5.6 2.6.15 2.7.8", "2.7.8", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := PlanMixed(stops(t, tt.running), stops(t, tt.stops))
			var mixed *MixedError
			if !errors.As(err, &mixed) {
				t.Fatalf("hops %v, error %v", lines(got), err)
			}
			ascending := stops(t, tt.running)
			slices.SortFunc(ascending, (*semver.Version).Compare)
			if want := "the replicas run different versions of DTR: " + strings.Join(texts(ascending), ", "); mixed.Error() != want {
				t.Errorf("error\n  %s, want\n  %s", mixed, want)
			}
			if finish := mixed.Finish; (finish == nil) != (tt.finish == "") || finish != nil && finish.String() != tt.finish {
				t.Errorf("finish %v, want %q", finish, tt.finish)
			}
			if diff := cmp.Diff(tt.path, texts(mixed.Path()), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("path (-want +got):\n%s", diff)
			}
		})
	}
}

// The rules hold for an interrupted rollout too: it is no way around them.
func TestPlanMixedByTheRules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		running, stops string
		want           Rule
	}{
		{"2.5.6 2.7.8", "2.7.8", MinorSkip},
		{"2.6.0-tp9 2.6.0", "2.6.0", PreRelease},
		{"2.3.0 2.3.1", "2.3.1", AdvisoryRefusal},
		{"2.5.6 2.6.15", "2.6.15 2.8.0", MinorSkip},
	}
	for _, tt := range tests {
		t.Run(tt.running+" -> "+tt.stops, func(t *testing.T) {
			t.Parallel()
			_, err := PlanMixed(stops(t, tt.running), stops(t, tt.stops))
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Rule != tt.want {
				t.Errorf("error %v, want a refusal by %q", err, tt.want)
			}
		})
	}
}

func TestPlanMixedNothingRuns(t *testing.T) {
	t.Parallel()
	if hops, err := PlanMixed(nil, stops(t, "2.6.15")); err == nil {
		t.Errorf("hops %v", lines(hops))
	}
}
