package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestProgressFile holds that an apply can be watched in a file, and that one that cannot
// be written is a warning and no more.
func TestProgressFile(t *testing.T) {
	t.Parallel()
	const noProgress = "Warning: The progress of an apply cannot be written\n"
	dir := t.TempDir()
	for name, c := range map[string]struct {
		file     string
		warnings [2]string // of the configuration, and of the apply
	}{
		"a file":            {filepath.Join(dir, "progress.log"), [2]string{}},
		"no such directory": {filepath.Join(dir, "none", "progress.log"), [2]string{noProgress, ""}},
		"a full disk":       {"/dev/full", [2]string{"", noProgress}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			p := newProtocol(t, quick()...)
			diags := p.configure(in(connected(cluster), values{"progress_file": c.file}))
			expect(t, diags, c.warnings[0])
			expect(t, p.apply(nil, values{"target_version": "2.6.15"}).diags, c.warnings[1])
			if c.warnings != [2]string{} {
				return
			}
			text, err := os.ReadFile(c.file)
			must(err)
			for _, said := range []string{
				"  Step images begins\n", "  Pulling mirantis/dtr:2.6.15\n", "  Bootstrapper mirantis/dtr:2.6.15 is started\n",
				" runs 2.6.15 (1 of 3)\n", " runs 2.6.15 (3 of 3)\n", "  Bootstrapper: Successfully registered dtr with UCP\n", "  Step backup has nothing left to do\n",
				"  Job metadatastoremigration, attempt 1: done\n", "  Step tidy ended\n", "  Apply of dtr_upgrade begins on ", "  Apply of dtr_upgrade ended\n",
			} {
				if n := strings.Count(string(text), said); n != 1 {
					t.Errorf("%q is there %d times in:\n%s", said, n, text)
				}
			}
			if strings.Contains(string(text), cluster.Password()) {
				t.Errorf("the password is in:\n%s", text)
			}
			cluster.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: -1})
			p.apply(nil, values{"target_version": "2.7.8"})
			text, err = os.ReadFile(c.file)
			must(err)
			if end := "  Apply of dtr_upgrade ended with an error: The DTR bootstrapper failed\n"; !strings.HasSuffix(string(text), end) {
				t.Errorf("%q is not the end of:\n%s", end, text)
			}
		})
	}
}
