//go:build unix

package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTerraformMocks runs the tests that the guide shows, which use a mock of the
// provider, and sees them fail where the configuration is wrong.
func TestTerraformMocks(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	must(os.CopyFS(p.dir.Path, os.DirFS(filepath.Join(examples, "testing"))))
	run := func() (string, error) {
		out, err := p.dir.Command(t.Context(), "test", "-no-color").CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || !strings.Contains(out, "Success! 4 passed, 0 failed.") {
		t.Errorf("%v\n%s", err, out)
	}
	main := filepath.Join(p.dir.Path, "main.tf")
	text, err := os.ReadFile(main)
	must(err)
	for stops, want := range map[string]string{
		"local.versions":     "The way to 2.7.8 does not stop at a version 2.6.",
		`["2.7.1", "2.6.0"]`: "The stops of an upgrade must ascend",
	} {
		p.write(strings.Replace(string(text), "slice(local.versions, 0, length(local.versions) - 1)", stops, 1))
		if out, err := run(); err == nil || !strings.Contains(out, want) {
			t.Errorf("via = %s: %v, want %q\n%s", stops, err, want, out)
		}
	}
}
