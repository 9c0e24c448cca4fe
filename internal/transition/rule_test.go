package transition

import (
	"testing"

	"github.com/Masterminds/semver/v3"
)

// v reads a version as the cluster reports it, pre-releases included.
func v(tb testing.TB, s string) *semver.Version {
	tb.Helper()
	version, err := ParseWire(s)
	if err != nil {
		tb.Fatal(err)
	}
	return version
}

func versions(tb testing.TB, texts ...string) []*semver.Version {
	tb.Helper()
	list := make([]*semver.Version, len(texts))
	for i, s := range texts {
		list[i] = v(tb, s)
	}
	return list
}

// edition is release data that differs from what is compiled in where that has
// nothing to show: majors that start elsewhere, advisories across minors.
const edition = `{
  "lines": [
    {"line": "2.8", "patches": "0-3", "first_released": "2020"},
    {"line": "2.9", "patches": "0-4", "first_released": "2021"},
    {"line": "3.1", "patches": "2-3", "first_released": "2022"},
    {"line": "3.2", "patches": "0-1", "first_released": "2023"}
  ],
  "first_of_major": ["3.1.2"],
  "migrations": [],
  "advisories": [
    {"id": "a", "kind": "refuse", "from": ["2.8.*"], "to": ["2.9.4"], "summary": "s", "detail": "DTR 2.9.4 loses tags of 2.8."},
    {"id": "b", "kind": "refuse", "from": ["3.1.2"], "to": ["3.2.*"], "summary": "s", "detail": "d", "instead": "3.1.3"},
    {"id": "c", "kind": "refuse", "from": ["3.2.*"], "to": ["3.3.*"], "summary": "s", "detail": "d"}
  ]
}`

func testCatalog(tb testing.TB) *catalog {
	tb.Helper()
	c, err := load([]byte(edition))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestClassify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		want     Rule
	}{
		// The rows of the upgrade documentation, in its order.
		{"2.6.0", "2.6.1", PatchUpgrade},
		{"2.6.0", "2.6.2", PatchSkip},
		{"2.6.2", "2.6.1", PatchDowngrade},
		{"2.5.6", "2.6.0", MinorUpgrade},
		{"2.5.6", "2.7.0", MinorSkip},
		{"2.6.0", "2.5.6", MinorDowngrade},
		{"2.6.0", "4.0.0", MajorSkip},
		{"3.0.0", "2.9.30", MajorDowngrade},
		{"2.7.4", "3.0.0", MajorUpgrade},
		{"2.7.4", "3.8.5", MajorSkipsMinor},

		// Equal.
		{"0.0.0", "0.0.0", Same},
		{"2.6.15", "2.6.15", Same},
		{"2.7.0-29094adc", "2.7.0", Same},

		// Any patch of a minor version to any patch of the next.
		{"2.5.0", "2.6.15", MinorUpgrade},
		{"2.5.17", "2.6.0", MinorUpgrade},
		{"2.0.0", "2.1.0", MinorUpgrade},

		// Numbers, not texts.
		{"2.9.0", "2.10.0", MinorUpgrade},
		{"2.10.0", "2.9.0", MinorDowngrade},
		{"2.9.30", "2.10.1", MinorUpgrade},
		{"2.10.1", "2.9.30", MinorDowngrade},
		{"2.6.9", "2.6.10", PatchUpgrade},
		{"2.6.10", "2.6.9", PatchDowngrade},
		{"2.6.2", "2.6.10", PatchSkip},
		{"2.6.10", "2.6.2", PatchDowngrade},
		{"2.2.0", "2.10.0", MinorSkip},
		{"9.0.0", "10.0.0", MajorUpgrade},
		{"10.0.0", "9.9.9", MajorDowngrade},

		// The distance does not matter, only whether it is one.
		{"2.6.0", "2.6.99", PatchSkip},
		{"2.0.4", "2.9.30", MinorSkip},
		{"2.9.30", "2.0.4", MinorDowngrade},
		{"2.9.30", "9.0.0", MajorSkip},
		{"2.9.30", "4.1.1", MajorSkip},
		{"9.0.0", "2.9.30", MajorDowngrade},
		{"2.6.15", "1.0.0", MajorDowngrade},
		{"0.0.0", "0.0.18446744073709551615", PatchSkip},
		{"18446744073709551615.0.0", "0.0.0", MajorDowngrade},
		{"0.0.0", "18446744073709551615.0.0", MajorSkip},

		// A major upgrade leads to the first release and nowhere else.
		{"2.0.0", "3.0.0", MajorUpgrade},
		{"2.9.30", "3.0.0", MajorUpgrade},
		{"1.4.3", "2.0.0", MajorUpgrade},
		{"2.9.30", "3.0.1", MajorSkipsPatch},
		{"2.9.30", "3.1.0", MajorSkipsMinor},
		{"1.4.3", "2.6.15", MajorSkipsMinor},
		{"3.0.0", "2.0.0", MajorDowngrade},
		{"3.0.1", "2.9.30", MajorDowngrade},
		{"3.1.0", "2.9.30", MajorDowngrade},

		// The release notes.
		{"2.3.0", "2.3.1", AdvisoryRefusal},
		{"2.3.0", "2.3.2", PatchSkip},
		{"2.3.1", "2.3.0", PatchDowngrade},
		{"2.3.1", "2.3.2", PatchUpgrade},
		{"2.2.11", "2.3.1", MinorUpgrade},

		// Pre-releases, before any other rule.
		{"2.6.0-tp9", "2.6.0", PreRelease},
		{"2.6.0", "2.6.0-tp9", PreRelease},
		{"2.6.0-tp9", "2.6.0-tp9", PreRelease},
		{"2.5.17", "2.6.0-rc1", PreRelease},
		{"2.6.0-beta4", "2.5.17", PreRelease},
		{"2.6.0-tp9", "4.0.0", PreRelease},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			from, to := v(t, tt.from), v(t, tt.to)
			if got := Classify(from, to); got != tt.want {
				t.Errorf("rule %q, want %q", got, tt.want)
			}
			if err := known.check(from, to); (err == nil) != tt.want.Supported() {
				t.Errorf("check gives %v for rule %q", err, tt.want)
			}
		})
	}
}

func TestClassifyByOtherReleaseData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		want     Rule
	}{
		{"2.9.4", "3.1.2", MajorUpgrade},
		{"2.9.4", "3.1.3", MajorSkipsPatch},
		{"2.9.4", "3.1.1", MajorSkipsPatch},
		{"2.9.4", "3.2.0", MajorSkipsMinor},
		{"2.9.4", "3.0.0", MajorSkipsMinor},
		{"3.1.2", "2.9.4", MajorDowngrade},
		{"3.9.9", "4.0.0", MajorUpgrade},
		{"2.8.3", "2.9.4", AdvisoryRefusal},
		{"2.8.3", "2.9.3", MinorUpgrade},
		{"2.7.0", "2.9.4", MinorSkip},
	}
	c := testCatalog(t)
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			if got := c.classify(v(t, tt.from), v(t, tt.to)); got != tt.want {
				t.Errorf("rule %q, want %q", got, tt.want)
			}
		})
	}
}

// The ids are what users and tests compare: none may change unnoticed.
func TestRules(t *testing.T) {
	t.Parallel()
	want := map[Rule]bool{ // whether supported
		"same": true, "patch-upgrade": true, "patch-skip": true, "minor-upgrade": true, "major-upgrade": true,
		"patch-downgrade": false, "minor-skip": false, "minor-downgrade": false, "major-skips-minor": false,
		"major-skips-patch": false, "major-skip": false, "major-downgrade": false, "pre-release": false, "advisory": false,
	}
	if len(table) != len(want) {
		t.Errorf("%d rows, want %d", len(table), len(want))
	}
	for _, r := range table {
		supported, found := want[r.rule]
		if !found {
			t.Errorf("unexpected or repeated rule %q", r.rule)
		}
		delete(want, r.rule)
		if r.rule.Supported() != supported {
			t.Errorf("%s: supported is %t", r.rule, r.rule.Supported())
		}
		if r.rule.Summary() == "" || r.rule.Name() == "" {
			t.Errorf("%s: texts are missing", r.rule)
		}
	}
	for rule := range want {
		t.Errorf("no row for rule %q", rule)
	}
	if no := Rule("no-such-rule"); no.Supported() || no.Summary() != "" {
		t.Error("a word that is no rule is taken for one")
	}
}

// Without conditions, exactly one row may match: otherwise the order of the table
// decides more than its comment says.
func TestTableIsExact(t *testing.T) {
	t.Parallel()
	steps := []step{lower, equal, next, beyond}
	for _, major := range steps {
		for _, minor := range steps {
			for _, patch := range steps {
				matches := 0
				for _, r := range table {
					if r.when == nil && r.major&major != 0 && r.minor&minor != 0 && r.patch&patch != 0 {
						matches++
					}
				}
				if matches != 1 {
					t.Errorf("%d rows match major %d, minor %d, patch %d", matches, major, minor, patch)
				}
			}
		}
	}
}
