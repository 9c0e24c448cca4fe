package transition

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	tests := []struct{ name, running, stops, err, detail string }{
		{
			"another target", "2.6.15 2.5.6", "2.6.14",
			"the replicas run different versions of DTR: 2.5.6 and 2.6.15",
			`The replicas run 2.5.6 and 2.6.15, and the next stop is 2.6.14 (mixed versions).

Finish the rollout to 2.6.15:
  target_version = "2.6.15"`,
		},
		{
			"a target beyond", "2.6.10 2.6.12", "2.7.8",
			"the replicas run different versions of DTR: 2.6.10 and 2.6.12",
			`The replicas run 2.6.10 and 2.6.12, and the next stop is 2.7.8 (mixed versions).

Finish the rollout to 2.6.12 on the way:
  via = ["2.6.12"]`,
		},
		{
			"a target far beyond", "2.5.6 2.6.12", "2.8.0",
			"the replicas run different versions of DTR: 2.5.6 and 2.6.12",
			`The replicas run 2.5.6 and 2.6.12, and the next stop is 2.8.0 (mixed versions).

Finish the rollout to 2.6.12 on the way:
  via = ["2.6.12", "2.7.8"]`,
		},
		{
			"another stop first", "2.5.6 2.6.12", "2.5.17 2.6.12",
			"the replicas run different versions of DTR: 2.5.6 and 2.6.12",
			`The replicas run 2.5.6 and 2.6.12, and the next stop is 2.5.17 (mixed versions).

Finish the rollout to 2.6.12:
  target_version = "2.6.12"
  via            = []`,
		},
		{
			"back to the lower one", "2.5.6 2.6.12", "2.5.6",
			"the replicas run different versions of DTR: 2.5.6 and 2.6.12",
			`The replicas run 2.5.6 and 2.6.12, and the next stop is 2.5.6 (mixed versions).

Finish the rollout to 2.6.12:
  target_version = "2.6.12"`,
		},
		{
			"no target", "2.5.6 2.6.12", "",
			"the replicas run different versions of DTR: 2.5.6 and 2.6.12",
			`The replicas run 2.5.6 and 2.6.12 (mixed versions).

Finish the rollout to 2.6.12:
  target_version = "2.6.12"`,
		},
		{
			"a third version", "2.6.1 2.6.5 2.6.3", "2.6.5",
			"the replicas run different versions of DTR: 2.6.1, 2.6.3 and 2.6.5",
			`The replicas run 2.6.1, 2.6.3 and 2.6.5, and the next stop is 2.6.5 (mixed versions).

Finish the rollout to 2.6.5: run the upgrade command of its bootstrapper by hand until all replicas run it, then plan again.`,
		},
		{
			"too far apart", "2.5.6 2.7.8", "2.6.15 2.7.8",
			"the replicas run different versions of DTR: 2.5.6 and 2.7.8",
			`The replicas run 2.5.6 and 2.7.8, and the next stop is 2.6.15 (mixed versions).

No supported upgrade brings these versions together. Remove the replicas that run other versions than the rest and join new ones, or restore a backup.`,
		},
		{
			"three too far apart", "2.5.6 2.6.15 2.7.8", "2.7.8",
			"the replicas run different versions of DTR: 2.5.6, 2.6.15 and 2.7.8",
			`The replicas run 2.5.6, 2.6.15 and 2.7.8, and the next stop is 2.7.8 (mixed versions).

No supported upgrade brings these versions together. Remove the replicas that run other versions than the rest and join new ones, or restore a backup.`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := PlanMixed(stops(t, tt.running), stops(t, tt.stops))
			var mixed *MixedError
			if !errors.As(err, &mixed) {
				t.Fatalf("hops %v, error %v", lines(got), err)
			}
			if mixed.Error() != tt.err {
				t.Errorf("error\n  %s, want\n  %s", mixed, tt.err)
			}
			if diff := cmp.Diff(tt.detail, mixed.Detail()); diff != "" {
				t.Errorf("detail (-want +got):\n%s", diff)
			}
			if mixed.Summary() != "An interrupted DTR upgrade is to be finished first" {
				t.Errorf("summary %q", mixed.Summary())
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
