package transition

import (
	"errors"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"
)

// anyVersion draws versions near each other and near the known releases, so that
// every rule is met often; now and then a number that is far away.
func anyVersion() *rapid.Generator[*semver.Version] {
	return rapid.Custom(func(t *rapid.T) *semver.Version {
		number := rapid.OneOf(rapid.Uint64Range(0, 4), rapid.Uint64Range(0, 4), rapid.Uint64Range(0, 32), rapid.Uint64())
		preRelease := rapid.SampledFrom([]string{"", "", "", "", "", "", "", "tp9"})
		return semver.New(
			rapid.OneOf(rapid.Just(uint64(2)), number).Draw(t, "major"),
			rapid.OneOf(rapid.Uint64Range(0, 12), number).Draw(t, "minor"),
			number.Draw(t, "patch"),
			preRelease.Draw(t, "pre-release"), "")
	})
}

func onBothCatalogs(t *testing.T, property func(t *rapid.T, c *catalog)) {
	t.Helper()
	for name, c := range map[string]*catalog{"frozen": known, "other": testCatalog(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { property(t, c) })
		})
	}
}

func TestNothingAllowedIsAllowedBack(t *testing.T) {
	t.Parallel()
	onBothCatalogs(t, func(t *rapid.T, c *catalog) {
		from, to := anyVersion().Draw(t, "from"), anyVersion().Draw(t, "to")
		if from.Equal(to) || c.check(from, to) != nil {
			return
		}
		if !from.LessThan(to) {
			t.Errorf("%s -> %s is allowed, and leads back", from, to)
		}
		if c.check(to, from) == nil {
			t.Errorf("%s and %s are allowed in both directions", from, to)
		}
	})
}

func TestEveryTransitionHasARule(t *testing.T) {
	t.Parallel()
	onBothCatalogs(t, func(t *rapid.T, c *catalog) {
		from, to := anyVersion().Draw(t, "from"), anyVersion().Draw(t, "to")
		rule := c.classify(from, to)
		if rule == "" {
			t.Fatalf("no rule for %s -> %s", from, to)
		}
		refusal := c.refuse(from, to)
		if (refusal == nil) != rule.Supported() {
			t.Fatalf("%s -> %s: rule %s, refusal %v", from, to, rule, refusal)
		}
		if refusal != nil && (refusal.Rule != rule || refusal.Error() == "") {
			t.Errorf("%s -> %s: rule %s, refused by %s: %s", from, to, rule, refusal.Rule, refusal)
		}
	})
}

func TestPathIsLegal(t *testing.T) {
	t.Parallel()
	onBothCatalogs(t, func(t *rapid.T, c *catalog) {
		from, to := anyVersion().Draw(t, "from"), anyVersion().Draw(t, "to")
		path, err := c.path(from, to)
		if err != nil {
			var refusal *Refusal
			var unknown *UnknownReleaseError
			if !errors.As(err, &refusal) && !errors.As(err, &unknown) {
				t.Fatalf("error of type %T", err)
			}
			if c.check(from, to) == nil {
				t.Errorf("%s -> %s is allowed, and has no path: %v", from, to, err)
			}
			return
		}
		if from.Equal(to) != (len(path) == 0) {
			t.Fatalf("path %s", path)
		}
		// Ascending means that none is visited twice.
		at := from
		for _, stop := range path {
			if !at.LessThan(stop) {
				t.Errorf("path %s does not ascend at %s", path, stop)
			}
			if err := c.check(at, stop); err != nil {
				t.Errorf("path %s: %v", path, err)
			}
			first := c.first(stop.Major())
			if !stop.Equal(to) && !knows(c, stop) && !stop.Equal(first) {
				t.Errorf("path %s invents %s", path, stop)
			}
			at = stop
		}
		if !at.Equal(to) {
			t.Errorf("path %s does not end at %s", path, to)
		}
	})
}

// A shortest path: no stop can be left out.
func TestPathIsShort(t *testing.T) {
	t.Parallel()
	onBothCatalogs(t, func(t *rapid.T, c *catalog) {
		from, to := anyVersion().Draw(t, "from"), anyVersion().Draw(t, "to")
		path, err := c.path(from, to)
		if err != nil {
			return
		}
		all := append([]*semver.Version{from}, path...)
		for i := 2; i < len(all); i++ {
			if c.check(all[i-2], all[i]) == nil {
				t.Errorf("path %s could leave %s out", path, all[i-1])
			}
		}
	})
}

// What a refusal proposes is accepted.
func TestProposalIsAccepted(t *testing.T) {
	t.Parallel()
	onBothCatalogs(t, func(t *rapid.T, c *catalog) {
		from, to := anyVersion().Draw(t, "from"), anyVersion().Draw(t, "to")
		refusal := c.refuse(from, to)
		if refusal == nil {
			return
		}
		stops, err := refusal.Path()
		if err != nil {
			return
		}
		if err := StopsAscending(stops); err != nil {
			t.Errorf("%s -> %s proposes %s: %v", from, to, stops, err)
		}
		hops, err := c.hops(from, stops)
		if err != nil {
			t.Fatalf("%s -> %s proposes %s: %v", from, to, stops, err)
		}
		if len(hops) != len(stops) || !hops[len(hops)-1].To.Equal(to) {
			t.Errorf("%s -> %s proposes %s, which makes %d hops", from, to, stops, len(hops))
		}
	})
}

// An interrupted run, looked at again after any hop or in the middle of one,
// plans what was left of it.
func TestHopsResume(t *testing.T) {
	t.Parallel()
	onBothCatalogs(t, func(t *rapid.T, c *catalog) {
		from, to := anyVersion().Draw(t, "from"), anyVersion().Draw(t, "to")
		stops, err := c.path(from, to)
		if err != nil || len(stops) == 0 {
			return
		}
		all, err := c.hops(from, stops)
		if err != nil {
			t.Fatal(err)
		}
		done := rapid.IntRange(0, len(all)).Draw(t, "done")
		at := append([]*semver.Version{from}, stops...)[done]
		rest, err := c.hops(at, stops)
		if err != nil || len(rest) != len(all)-done {
			t.Errorf("after %d of %d hops %d are left (%v)", done, len(all), len(rest), err)
		}
		if done == len(all) {
			return
		}
		mixed, err := c.planMixed([]*semver.Version{stops[done], at}, stops)
		if err != nil || len(mixed) != len(all)-done {
			t.Errorf("in the middle of hop %d of %d, %d are left (%v)", done+1, len(all), len(mixed), err)
		}
	})
}
