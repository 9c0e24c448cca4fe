package transition

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

//go:embed testdata/releases.json
var frozenJSON []byte

// TestMain puts release data that never change in the place of releases.json, so
// that a new release changes no test.
func TestMain(m *testing.M) {
	known = mustLoad(frozenJSON)
	m.Run()
}

func knows(c *catalog, v *semver.Version) bool {
	return slices.ContainsFunc(c.releases, func(r Release) bool { return r.Version.Equal(v) })
}

// TestReleasesJSON holds what every edition of the release data must be, beyond
// what load refuses.
func TestReleasesJSON(t *testing.T) {
	t.Parallel()
	c, err := load(releasesJSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.releases {
		if _, err := Parse(r.Version.String()); err != nil {
			t.Error(err)
		}
		if !regexp.MustCompile(`^\d{4}(-\d\d-\d\d)?$`).MatchString(r.FirstReleased) {
			t.Errorf("%s: first released on %q", r.Version, r.FirstReleased)
		}
	}
	ids := map[string]bool{}
	for _, a := range c.advisories {
		if a.ID == "" || ids[a.ID] {
			t.Errorf("id %q is empty or repeated", a.ID)
		}
		ids[a.ID] = true
		if a.Summary == "" || strings.HasSuffix(a.Summary, ".") {
			t.Errorf("%s: summary %q", a.ID, a.Summary)
		}
		if !strings.HasSuffix(a.Detail, ".") {
			t.Errorf("%s: detail %q", a.ID, a.Detail)
		}
		if len(a.From) == 0 || len(a.To) == 0 {
			t.Errorf("%s: matches nothing", a.ID)
		}
		if a.Instead != nil && !knows(c, a.Instead) {
			t.Errorf("%s: %s is no known release", a.ID, a.Instead)
		}
	}
	for _, m := range c.migrations {
		if len(m.From) == 0 || len(m.To) == 0 || len(m.Jobs) == 0 {
			t.Errorf("a migration matches nothing, or has no job: %+v", m)
		}
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	type line struct {
		first, last string
		count       int
		released    string
	}
	got := map[string]line{}
	for _, r := range Releases() {
		l := got[r.Line]
		if l.count == 0 {
			l.first, l.released = r.Version.String(), r.FirstReleased
		}
		l.last = r.Version.String()
		l.count++
		got[r.Line] = l
	}
	if len(got) != 10 {
		t.Errorf("%d lines", len(got))
	}
	for name, want := range map[string]line{
		"2.0": {"2.0.0", "2.0.4", 5, "2016-05-04"},
		"2.5": {"2.5.0", "2.5.17", 17, "2018-04-17"}, // 2.5.4 was left out
		"2.8": {"2.8.0", "2.8.13", 14, "2020"},
	} {
		if got[name] != want {
			t.Errorf("line %s: got %+v, want %+v", name, got[name], want)
		}
	}
}

func TestReleasesAreACopy(t *testing.T) {
	t.Parallel()
	list := Releases()
	list[0].Line = "changed"
	if Releases()[0].Line == "changed" {
		t.Error("a caller can change the release data")
	}
}

func TestLatestPatch(t *testing.T) {
	t.Parallel()
	if got, ok := LatestPatch(2, 5); !ok || got.String() != "2.5.17" {
		t.Errorf("latest patch of 2.5: %s, %t", got, ok)
	}
	if got, ok := LatestPatch(2, 10); ok {
		t.Errorf("latest patch of 2.10: %s", got)
	}
}

func TestFirstOfMajor(t *testing.T) {
	t.Parallel()
	if got := known.first(3); got.String() != "3.0.0" {
		t.Errorf("first of 3: %s", got)
	}
	c := testCatalog(t)
	if got := c.first(3); got.String() != "3.1.2" {
		t.Errorf("first of 3 by other data: %s", got)
	}
	if got := c.first(4); got.String() != "4.0.0" {
		t.Errorf("first of 4 by other data: %s", got)
	}
}

func TestMigrationJobs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		want     []string
	}{
		{"2.5.0", "2.6.0", []string{"metadatastoremigration"}},
		{"2.5.17", "2.6.15", []string{"metadatastoremigration"}},
		{"2.5.0", "2.5.17", nil},
		{"2.6.0", "2.6.15", nil},
		{"2.6.15", "2.7.0", nil},
		{"2.4.14", "2.5.0", nil},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, MigrationJobs(v(t, tt.from), v(t, tt.to))); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, want string }{
		{"no JSON", `lines`, "invalid character"},
		{"unknown key", `{"line": []}`, `unknown field "line"`},
		{"line of three numbers", `{"lines": [{"line": "2.5.0", "patches": "0"}]}`, `line "2.5.0"`},
		{"open range of patches", `{"lines": [{"line": "2.5", "patches": "0-"}]}`, `range "0-" has no end`},
		{"range upside down", `{"lines": [{"line": "2.5", "patches": "3-0"}]}`, "0 is below 3"},
		{"range of words", `{"lines": [{"line": "2.5", "patches": "a-b"}]}`, "invalid syntax"},
		{"half a range of words", `{"lines": [{"line": "2.5", "patches": "0-b"}]}`, "invalid syntax"},
		{"patches out of order", `{"lines": [{"line": "2.5", "patches": "5-17,0-3"}]}`, "ascending"},
		{"patches twice", `{"lines": [{"line": "2.5", "patches": "0-3,3"}]}`, "ascending"},
		{"lines out of order", `{"lines": [{"line": "2.10", "patches": "0"}, {"line": "2.9", "patches": "0"}]}`, "ascending"},
		{"kind", `{"advisories": [{"id": "x", "kind": "error"}]}`, `advisory "x": kind "error"`},
		{"pattern of four numbers", `{"advisories": [{"from": ["2.5.0.1"]}]}`, "more than three numbers"},
		{"pattern of words", `{"migrations": [{"to": ["2.y.*"]}]}`, `pattern "2.y.*"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := load([]byte(tt.data))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, version string
		want             bool
	}{
		{"*", "0.0.0", true},
		{"3.*", "3.1.2", true},
		{"3", "3.1.2", true},
		{"3.*", "2.9.30", false},
		{"2.5.*", "2.5.17", true},
		{"2.5.*", "2.6.5", false},
		{"2.6.0-3", "2.6.0", true},
		{"2.6.0-3", "2.6.3", true},
		{"2.6.0-3", "2.6.4", false},
		{"2.5.0-3,5-17", "2.5.4", false},
		{"2.5.0-3,5-17", "2.5.5", true},
		{"2.5.16-", "2.5.15", false},
		{"2.5.16-", "2.5.16", true},
		{"2.5.16-", "2.5.1000000", true},
		{"2.5.16-", "2.6.16", false},
		{"2.0-4.*", "2.4.99", true},
		{"2.0-4.*", "2.5.0", false},
		{"0-1.*", "1.9.9", true},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.version, func(t *testing.T) {
			t.Parallel()
			p, err := parsePattern(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.matches(v(t, tt.version)); got != tt.want {
				t.Errorf("matches: %t", got)
			}
		})
	}
}
