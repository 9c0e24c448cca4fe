package transition

import (
	"errors"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

// texts makes versions comparable and readable in a difference.
func texts(versions []*semver.Version) []string {
	list := make([]string, 0, len(versions))
	for _, v := range versions {
		list = append(list, v.String())
	}
	return list
}

func TestUpgradePath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		want     []string
	}{
		{"2.5.6", "2.7.8", []string{"2.6.15", "2.7.8"}},
		{"2.5.6", "2.5.6", []string{}},
		{"2.5.6", "2.5.7", []string{"2.5.7"}},
		{"2.5.6", "2.5.17", []string{"2.5.17"}},
		{"2.5.6", "2.6.0", []string{"2.6.0"}},
		{"2.0.0", "2.9.30", []string{"2.1.7", "2.2.11", "2.3.11", "2.4.14", "2.5.17", "2.6.15", "2.7.8", "2.8.13", "2.9.30"}},

		// Over a major version the shortest way does not climb the minor versions
		// first; that this is not what the vendor recommends is a warning.
		{"2.5.6", "3.0.0", []string{"3.0.0"}},
		{"2.9.30", "3.0.4", []string{"3.0.0", "3.0.4"}},
		{"2.9.30", "3.1.2", []string{"3.0.0", "3.1.2"}},
		{"2.9.30", "4.0.0", []string{"3.0.0", "4.0.0"}},
		{"2.9.30", "5.0.1", []string{"3.0.0", "4.0.0", "5.0.0", "5.0.1"}},
		{"1.4.3", "2.0.0", []string{"2.0.0"}},
		{"1.4.3", "2.0.4", []string{"2.0.0", "2.0.4"}},
		{"1.4.3", "2.2.1", []string{"2.0.0", "2.1.7", "2.2.1"}},
		{"0.9.0", "2.1.0", []string{"1.0.0", "2.0.0", "2.1.0"}},

		// Releases that are not in the data.
		{"2.6.99", "2.7.8", []string{"2.7.8"}},
		{"2.6.99", "2.8.0", []string{"2.7.8", "2.8.0"}},
		{"2.5.4", "2.7.0", []string{"2.6.15", "2.7.0"}},
		{"2.8.13", "2.9.40", []string{"2.9.40"}},
		{"2.7.8", "2.9.40", []string{"2.8.13", "2.9.40"}},
		{"2.9.40", "2.10.3", []string{"2.10.3"}},
		{"2.8.0", "2.10.3", []string{"2.9.30", "2.10.3"}},
		{"2.6.99", "2.6.100", []string{"2.6.100"}},

		// The release notes refuse 2.3.0 -> 2.3.1; every other way stays.
		{"2.3.0", "2.3.2", []string{"2.3.2"}},
		{"2.2.0", "2.3.1", []string{"2.3.1"}},
		{"2.3.0", "2.5.0", []string{"2.4.14", "2.5.0"}},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			got, err := UpgradePath(v(t, tt.from), v(t, tt.to))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, texts(got)); diff != "" {
				t.Errorf("path (-want +got):\n%s", diff)
			}
		})
	}
}

// A path goes around what the release data refuses.
func TestUpgradePathAvoidsAdvisories(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		want     []string
	}{
		{"2.8.0", "3.1.2", []string{"3.1.2"}},
		{"2.8.0", "2.9.4", []string{"2.9.3", "2.9.4"}},
		{"2.7.9", "2.9.4", []string{"2.8.3", "2.9.3", "2.9.4"}},
		{"2.8.0", "2.10.0", []string{"2.9.3", "2.10.0"}},
		{"2.9.4", "3.2.1", []string{"3.1.2", "3.1.3", "3.2.1"}},
		{"3.1.2", "3.2.1", []string{"3.1.3", "3.2.1"}},
	}
	c := testCatalog(t)
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			got, err := c.path(v(t, tt.from), v(t, tt.to))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, texts(got)); diff != "" {
				t.Errorf("path (-want +got):\n%s", diff)
			}
		})
	}
}

// When every release on the way is known and the release data still leave none, it
// is they that refuse, not the unknown target.
func TestUpgradePathRefusedByAdvisories(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"3.2.0", "3.2.1", "3.1.3"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			got, err := testCatalog(t).path(v(t, from), v(t, "3.3.0"))
			if _, ok := errors.AsType[*Refusal](err); !ok {
				t.Errorf("path %s, error %v", got, err)
			}
		})
	}
}

func TestUpgradePathImpossible(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		want     Rule
		text     string
	}{
		{"2.7.8", "2.7.7", PatchDowngrade, "DTR cannot go from 2.7.8 to 2.7.7 (patch downgrade)"},
		{"2.7.8", "2.6.15", MinorDowngrade, "DTR cannot go from 2.7.8 to 2.6.15 (minor downgrade)"},
		{"3.0.0", "2.6.15", MajorDowngrade, "DTR cannot go from 3.0.0 to 2.6.15 (major downgrade)"},
		{"2.6.0-tp9", "2.8.0", PreRelease, "DTR cannot go from 2.6.0-tp9 to 2.8.0 (pre-release)"},
		{"2.5.0", "2.7.0-rc1", PreRelease, "DTR cannot go from 2.5.0 to 2.7.0-rc1 (pre-release)"},
		{"2.3.0", "2.3.1", AdvisoryRefusal, "DTR cannot go from 2.3.0 to 2.3.1 (release notes advisory)"},
		{"2.9.30", "20210412.0.0", MajorSkip, "DTR cannot go from 2.9.30 to 20210412.0.0 (major skip)"},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			got, err := UpgradePath(v(t, tt.from), v(t, tt.to))
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("path %s, error %v", got, err)
			}
			if refusal.Rule != tt.want || refusal.Error() != tt.text {
				t.Errorf("rule %q: %s", refusal.Rule, refusal)
			}
			if path, err := refusal.Path(); err == nil {
				t.Errorf("proposes %s where no path leads", path)
			}
		})
	}
}

func TestUpgradePathOverUnknownReleases(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, to, line string }{
		{"2.9.30", "2.11.0", "2.10"},
		{"2.9.30", "2.12.0", "2.10"},
		{"2.5.6", "2.12.0", "2.10"},
		{"2.10.3", "2.12.0", "2.11"},
		{"2.9.30", "3.2.0", "3.1"},
		{"2.9.30", "4.3.0", "4.1"},
		{"2.9.30", "2.18446744073709551615.0", "2.10"},
		{"1.2.0", "1.4.0", "1.3"},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			got, err := UpgradePath(v(t, tt.from), v(t, tt.to))
			var unknown *UnknownReleaseError
			if !errors.As(err, &unknown) {
				t.Fatalf("path %s, error %v", got, err)
			}
			want := "the path from " + tt.from + " to " + tt.to + " needs a " + tt.line + " release, and none is known"
			if unknown.Line != tt.line || unknown.Error() != want {
				t.Errorf("line %s: %s", unknown.Line, unknown)
			}
		})
	}
}
