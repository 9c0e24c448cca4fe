package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgressFile holds that an apply can be watched in a file, and that one that cannot
// be written is a warning and no more.
func TestProgressFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		file, warning string
	}{
		"a file":            {filepath.Join(dir, "progress.log"), ""},
		"no such directory": {filepath.Join(dir, "none", "progress.log"), "Warning: The progress of an apply cannot be written\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			p := newProtocol(t, quick()...)
			diags := p.configure(in(connected(cluster), values{"progress_file": c.file}))
			expect(t, diags, c.warning)
			expect(t, p.apply(nil, values{"target_version": "2.6.15"}).diags, "")
			text, err := os.ReadFile(c.file)
			if c.warning != "" {
				return
			}
			must(err)
			for _, said := range []string{
				"  Step images begins\n", "  Pulling mirantis/dtr:2.6.15\n", "  Bootstrapper mirantis/dtr:2.6.15 is started\n",
				" runs 2.6.15 (1 of 3)\n", " runs 2.6.15 (3 of 3)\n", "  Job metadatastoremigration, attempt 1: done\n", "  Step tidy ended\n",
			} {
				if n := strings.Count(string(text), said); n != 1 {
					t.Errorf("%q is there %d times in:\n%s", said, n, text)
				}
			}
			if strings.Contains(string(text), cluster.Password()) {
				t.Errorf("the password is in:\n%s", text)
			}
		})
	}
}
