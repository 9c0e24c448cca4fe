package transition

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdvisories(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, to, want string }{
		{"2.6.15", "2.6.15", ""},
		{"2.6.15", "2.7.8", ""},
		{"2.5.17", "2.6.15", ""},
		{"2.3.0", "2.3.1", ""}, // refused, not warned of

		{"2.5.17", "2.6.0", "manifest-lists storage-settings"},
		{"2.5.17", "2.6.3", "manifest-lists storage-settings"},
		{"2.5.17", "2.6.4", ""},
		{"2.6.0", "2.6.3", "storage-settings"},
		{"2.6.3", "2.6.4", ""},
		{"2.6.3", "2.6.3", ""},

		{"2.5.15", "2.5.16", "new-scanner"},
		{"2.5.15", "2.5.17", "new-scanner"},
		{"2.5.6", "2.5.15", ""},
		{"2.5.16", "2.5.17", ""},
		{"2.6.11", "2.6.12", "new-scanner"},
		{"2.6.11", "2.6.11", ""},
		{"2.6.12", "2.6.13", ""},
		{"2.7.4", "2.7.5", "new-scanner"},
		{"2.7.5", "2.7.8", ""},
		{"2.5.6", "2.6.15", "new-scanner"},
		{"2.6.0", "2.7.5", "new-scanner"},
		{"2.6.12", "2.7.5", ""},
		{"2.6.11", "2.7.4", ""},

		{"2.4.14", "2.5.0", "scanningstore-postgres"},
		{"2.4.14", "2.5.17", "new-scanner scanningstore-postgres"},
		{"2.4.13", "2.4.14", ""},

		{"2.9.30", "3.0.0", "kubernetes"},
		{"2.9.40", "3.0.0", "kubernetes"},
		{"2.9.29", "3.0.0", "kubernetes major-from-older-release"},
		{"2.5.6", "3.0.0", "kubernetes major-from-older-release"},
		{"3.0.0", "3.0.1", "kubernetes"},
		{"3.0.0", "4.0.0", ""}, // no release of 3 is known to compare with
		{"1.4.3", "2.0.0", ""},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			var ids []string
			for _, a := range Advisories(v(t, tt.from), v(t, tt.to)) {
				ids = append(ids, a.ID)
				if a.Kind != Warn || a.Summary == "" || a.Detail == "" {
					t.Errorf("%s: kind %q, summary %q, detail %q", a.ID, a.Kind, a.Summary, a.Detail)
				}
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("advisories %q, want %q", got, tt.want)
			}
		})
	}
}

// TestAdvisoryOfVersion3 holds that the release data say of a step that the rules
// allow what comes of it, and what the vendor's way is.
func TestAdvisoryOfVersion3(t *testing.T) {
	t.Parallel()
	c, err := load(releasesJSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"2.5.6", "2.9.30"} {
		got := c.warnings(v(t, from), v(t, "3.0.0"))[0]
		if !strings.Contains(got.Summary, "This apply cannot succeed") || !strings.Contains(got.Detail, "bootstrapper") ||
			!strings.Contains(got.Detail, "The vendor's way") || !strings.Contains(got.Detail, "migration tool") {
			t.Errorf("from %s: %s\n%s", from, got.Summary, got.Detail)
		}
	}
}

func TestAdvisoryOfAnOlderRelease(t *testing.T) {
	t.Parallel()
	got := known.warnings(v(t, "2.7.4"), v(t, "3.0.0"))
	want := Advisory{
		ID:      "major-from-older-release",
		Kind:    Warn,
		Summary: "DTR is not at the latest release of version 2",
		Detail: "The vendor strongly recommends to upgrade to the latest release of a major version before leaving it: " +
			"from 2.7.4 to 2.9.30, and only then to 3.0.0.",
	}
	if diff := cmp.Diff(want, got[len(got)-1]); diff != "" {
		t.Errorf("advisory (-want +got):\n%s", diff)
	}
}
