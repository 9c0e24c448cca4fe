package transition

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReleases(t *testing.T) {
	t.Parallel()
	type line struct {
		first, last string
		count       int
		released    string
	}
	want := map[string]line{
		"2.0": {"2.0.0", "2.0.4", 5, "2016-05-04"},
		"2.1": {"2.1.0", "2.1.7", 8, "2016-11-10"},
		"2.2": {"2.2.0", "2.2.11", 12, "2017-02-09"},
		"2.3": {"2.3.0", "2.3.11", 12, "2017-08-16"},
		"2.4": {"2.4.0", "2.4.14", 15, "2017-11-02"},
		"2.5": {"2.5.0", "2.5.17", 17, "2018-04-17"},
		"2.6": {"2.6.0", "2.6.15", 16, "2018-11-08"},
		"2.7": {"2.7.0", "2.7.8", 9, "2019-07-22"},
		"2.8": {"2.8.0", "2.8.13", 14, "2020"},
		"2.9": {"2.9.0", "2.9.30", 31, "2021-04-12"},
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
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestReleasesAreStrictAndAscending(t *testing.T) {
	t.Parallel()
	list := Releases()
	for i, r := range list {
		if _, err := Parse(r.Version.String()); err != nil {
			t.Error(err)
		}
		if !Known(r.Version) {
			t.Errorf("%s is not known", r.Version)
		}
		if i > 0 && !list[i-1].Version.LessThan(r.Version) {
			t.Errorf("%s stands before %s", list[i-1].Version, r.Version)
		}
	}
	for _, s := range []string{"2.5.4", "2.6.16", "2.10.0", "1.0.0", "2.6.0-tp9", "3.0.0"} {
		if Known(v(t, s)) {
			t.Errorf("%s is known", s)
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

func TestLatest(t *testing.T) {
	t.Parallel()
	if got, ok := LatestPatch(2, 5); !ok || got.String() != "2.5.17" {
		t.Errorf("latest patch of 2.5: %s, %t", got, ok)
	}
	if got, ok := LatestPatch(2, 10); ok {
		t.Errorf("latest patch of 2.10: %s", got)
	}
	if got, ok := Latest(2); !ok || got.String() != "2.9.30" {
		t.Errorf("latest of 2: %s, %t", got, ok)
	}
	if got, ok := Latest(3); ok {
		t.Errorf("latest of 3: %s", got)
	}
}

func TestFirstOfMajor(t *testing.T) {
	t.Parallel()
	if got := FirstOfMajor(3); got.String() != "3.0.0" {
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
