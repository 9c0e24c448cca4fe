package provider

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// latest is the latest known patch of a minor version. A test that could name a
// release which is not the last of its line asks for it.
func latest(line string) string {
	version := v(line + ".0")
	found, ok := transition.LatestPatch(version.Major(), version.Minor())
	if !ok {
		panic("no release of " + line + " is known")
	}
	return found.String()
}

// TestTransitionDiagnostics holds the whole text of every refusal, in
// testdata/diagnostics_transition.txt. A stop that the provider picks by itself is
// of a line that gets no more patches.
func TestTransitionDiagnostics(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, c := range []struct{ running, stops string }{
		{"2.7.4", "2.6.8"},
		{"2.6.8", "2.6.7"},
		{"3.0.0", "2.9.30"},
		{"2.5.6", "2.6.15 2.6.8"},
		{"2.2.0", "2.4.14"},
		{"2.2.0", "2.3.0 2.5.1"},
		{"2.1.0", "2.3.0 2.4.1"},
		{"1.2.0", "1.4.0"},
		{"1.4.3", "2.0.4"},
		{"1.4.3", "2.2.1"},
		{"0.9.0", "2.0.0"},
		{"2.7.8", "20210412.0.0"},
		{"2.6.0-tp9", "2.6.0"},
		{"2.5.17", "2.6.0-tp9"},
		{"2.3.0", "2.3.1"},
		{"2.2.11", "2.3.0 2.3.1"},

		{"2.6.15 2.5.6", "2.6.14"},
		{"2.3.3 2.3.4", "2.4.0"},
		{"2.2.0 2.3.3", "2.5.0"},
		{"2.5.6 2.6.12", "2.5.17 2.6.12"},
		{"2.5.6 2.6.12", ""},
		{"2.6.1 2.6.5 2.6.3", "2.6.5"},
		{"2.5.6 2.7.8", "2.6.15 2.7.8"},
	} {
		_, err := transition.PlanMixed(versions(strings.Fields(c.running)...), versions(strings.Fields(c.stops)...))
		writeDiagnostics(&b, c.running+" -> "+c.stops, transitionDiagnostics(err))
	}
	writeDiagnostics(&b, "advisory that names no other version", transitionDiagnostics(&transition.Refusal{
		Rule: transition.AdvisoryRefusal, From: v("2.3.0"), To: v("2.3.1"), Running: v("2.3.0"), Stops: versions("2.3.1"), Reason: "DTR 2.3.1 loses tags of 2.3.0.",
	}))
	for _, stops := range []string{"2.7.8 2.6.15 2.8.0", "2.5.17 2.7.8 2.6.15", "2.7.8 2.7.8 2.8.0"} {
		writeDiagnostics(&b, stops, transitionDiagnostics(transition.StopsAscending(versions(strings.Fields(stops)...))))
	}
	golden(t, "diagnostics_transition.txt", b.Bytes())
}
