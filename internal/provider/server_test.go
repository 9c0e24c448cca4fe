package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// TestDiagnosticsAreBounded holds that no error is longer than it may be, and that none
// which is left out takes the fact with it that there are more.
func TestDiagnosticsAreBounded(t *testing.T) {
	t.Parallel()
	s := &server{secrets: scrub.NewSecrets("pa55word")}
	long := message{
		Summary: "It failed", Seen: strings.Repeat("pa55word é\x1b ", 50_000) + strings.Repeat("\nx", 50_000), Todo: "What to do.",
		Log: []string{strings.Repeat("y", 1000), "a\nb"},
	}
	many := make([]*tfprotov6.Diagnostic, 0, 1000)
	for i := range 500 {
		many = append(many,
			&tfprotov6.Diagnostic{Severity: tfprotov6.DiagnosticSeverityWarning, Summary: fmt.Sprintf("Warning %d", i), Detail: strings.Repeat("x", 100)},
			&tfprotov6.Diagnostic{Severity: tfprotov6.DiagnosticSeverityError, Summary: fmt.Sprintf("Error %d", i), Detail: strings.Repeat("x", 200)})
	}
	for name, tt := range map[string]struct {
		diags []*tfprotov6.Diagnostic
		want  []string
	}{
		"long": {
			[]*tfprotov6.Diagnostic{{Severity: tfprotov6.DiagnosticSeverityError, Summary: long.Summary, Detail: long.detail()}},
			[]string{"It failed", "*** é\\x1b", "What to do.", "The last lines of its log:\n  yyy", "\n  a\\nb"},
		},
		"long lines": {
			[]*tfprotov6.Diagnostic{{Severity: tfprotov6.DiagnosticSeverityError, Summary: "a\nb" + strings.Repeat("s", 5000), Detail: strings.Repeat("x", 5000) + "\nmore"}},
			[]string{`a\nb`, "\nmore"},
		},
		"many": {many, []string{"Warning 0\n", "Error 0\n", "Error: Not all errors are shown\n", "more are left out.\n\nMore: " + troubleshootingPage + "#not-all-kind-are-shown\n", "Warning: Not all warnings are shown\n"}},
	} {
		got := s.clean(tt.diags)
		size := map[tfprotov6.DiagnosticSeverity]int{}
		for _, d := range got {
			size[d.Severity] += len(d.Summary) + len(d.Detail)
			for _, line := range append(strings.Split(d.Detail, "\n"), d.Summary) {
				if len(line) > scrub.MaxLine || line != scrub.Line(line) {
					t.Errorf("%s: a line of %d bytes", name, len(line))
				}
			}
		}
		if size[tfprotov6.DiagnosticSeverityError] > scrub.MaxError || size[tfprotov6.DiagnosticSeverityWarning] > scrub.MaxError {
			t.Errorf("%s: %v bytes", name, size)
		}
		text := render(got)
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in:\n%.3000s", name, want, text)
			}
		}
		if strings.Contains(text, "pa55word") {
			t.Errorf("%s: the password is told", name)
		}
	}
}

// TestTextsOfTheConfigurationAreCleaned holds that no kind of call has a way past the
// server for an error, whoever wrote what it quotes.
func TestTextsOfTheConfigurationAreCleaned(t *testing.T) {
	t.Parallel()
	p := planner(t, start(t, "2.5.6"))
	hostile := "\x1b[31m\u202e"
	bad := values{"target_version": hostile}
	diags := p.validate(bad)
	diags = append(diags, p.plan(nil, bad).diags...)
	diags = append(diags, p.importState(hostile).diags...)
	diags = append(diags, p.of("dtr_replica").importState("host/"+hostile).diags...)
	diags = append(diags, p.data("dtr_releases", values{"repository": hostile}).diags...)
	diags = append(diags, p.planAction("dtr_job", values{"action": hostile})...)
	diags = append(diags, p.configure(values{"url": hostile, "username": hostile, "password": hostile + "\n"})...)
	if !hasErrors(diags) {
		t.Error("nothing was refused")
	}
	for _, d := range diags {
		if hasControls(strings.ReplaceAll(d.Summary+d.Detail, "\n", "")) {
			t.Errorf("%q: %q", d.Summary, d.Detail)
		}
	}
}
