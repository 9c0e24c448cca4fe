//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"
	"golang.org/x/sys/unix"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// settings are what a configuration says besides the addresses.
type settings struct {
	Target     string
	Replica    string // existing_replica_id, if any
	Via        []string
	Repository string
	Pull       string
	Digests    map[string]string
	Archives   map[string]string
	Backup     string // the file, if any
	Docker     string // the block, if any
	More       string // resources besides
	Joined     string // a node that a replica joins on, if any
}

var configuration = template.Must(template.New("main.tf").Parse(terraformtest.RequiredProviders + `
variable "password" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "dtr" {
  url      = "{{.Cluster.DTRURL}}"
  username = "{{.Cluster.Username}}"
  password = var.password
  ca_cert  = file("ca.pem")

  ucp = {
    url      = "{{.Cluster.UCPURL}}"
    username = "{{.Cluster.Username}}"
    password = var.password
    ca_cert  = file("ca.pem")
  }
{{- with .Docker}}

  docker = {{.}}
{{- end}}
}

resource "dtr_upgrade" "main" {
  target_version = "{{.Target}}"
{{- with .Replica}}
  existing_replica_id = "{{.}}"
{{- end}}
{{- with .Via}}
  via = [{{range .}}"{{.}}", {{end}}]
{{- end}}

  image = {
    repository = "{{.Repository}}"
{{- with .Pull}}
    pull       = "{{.}}"
{{- end}}
{{- with .Digests}}
    digests = {
{{- range $version, $digest := .}}
      "{{$version}}" = "{{$digest}}"
{{- end}}
    }
{{- end}}
{{- with .Archives}}
    archives = {
{{- range $version, $file := .}}
      "{{$version}}" = "{{$file}}"
{{- end}}
    }
{{- end}}
  }
{{- with .Backup}}

  backup = {
    file = "{{.}}"
  }
{{- end}}
}

{{.More}}
{{with .Joined}}
resource "dtr_replica" "joined" {
  node       = "{{.}}"
  image      = { repository = "{{$.Repository}}" }
  depends_on = [dtr_upgrade.main]
}
{{end}}
output "last_upgrade" {
  value = dtr_upgrade.main.last_upgrade
}

output "current_version" {
  value = dtr_upgrade.main.current_version
}
`))

// stage is Terraform in a working directory of its own, set at a cluster.
type stage struct {
	*terraformtest.WorkingDir
	cluster *simulator.Cluster
	tf      *tfexec.Terraform
}

func newStage(t testing.TB, c *simulator.Cluster, s settings) *stage {
	t.Helper()
	working, err := terraformtest.New(t.TempDir(), os.Getenv(envTerraform))
	if err != nil {
		t.Fatal(err)
	}
	tf, err := tfexec.NewTerraform(working.Path, working.Terraform)
	if err != nil {
		t.Fatal(err)
	}
	w := &stage{working, c, tf}
	w.write(t, s)
	if err := errors.Join(
		os.Symlink(filepath.Join(os.Getenv(envDir), "terraform.d"), filepath.Join(w.Path, "terraform.d")),
		w.Write("ca.pem", c.CACert()),
		w.Write("secret.auto.tfvars", fmt.Sprintf("password = %q\n", c.Password())),
		tf.SetEnv(w.Env()),
		tf.SetLogProvider("DEBUG"), // before the path, or all is logged
		tf.SetLogPath(w.logFile()),
		tf.Init(t.Context()),
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(w.logFile())
			t.Logf("the provider's log ends with:\n%s", tail(string(log), 60))
		}
	})
	return w
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (w *stage) logFile() string { return filepath.Join(w.Path, "provider.log") }

// log is what the provider has logged so far.
func (w *stage) log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(w.logFile())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write writes the configuration.
func (w *stage) write(t testing.TB, s settings) {
	t.Helper()
	var text bytes.Buffer
	if err := configuration.Execute(&text, struct {
		settings
		Cluster *simulator.Cluster
	}{s, w.cluster}); err != nil {
		t.Fatal(err)
	}
	if err := w.Write("main.tf", text.String()); err != nil {
		t.Fatal(err)
	}
}

// apply applies, and returns the error with what Terraform said.
func (w *stage) apply(ctx context.Context) error {
	return w.tf.Apply(ctx)
}

func (w *stage) mustApply(t testing.TB) {
	t.Helper()
	if err := w.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// plan plans; changes says whether there is anything to do.
func (w *stage) plan(ctx context.Context) (changes bool, err error) {
	return w.tf.Plan(ctx)
}

// wantNoChanges fails the test if there is anything left to do.
func (w *stage) wantNoChanges(t testing.TB) {
	t.Helper()
	if changes, err := w.plan(t.Context()); changes || err != nil {
		t.Errorf("the next plan: changes %t, %v", changes, err)
	}
}

// lastUpgrade is the resource's own account.
type lastUpgrade struct {
	From              string `json:"from"`
	To                string `json:"to"`
	BootstrapperRuns  int    `json:"bootstrapper_runs"`
	MigrationAttempts int    `json:"migration_attempts"`
	Probes            int    `json:"probes"`
	FailedProbes      int    `json:"failed_probes"`
}

func (w *stage) lastUpgrade(t testing.TB) lastUpgrade {
	t.Helper()
	outputs, err := w.tf.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last lastUpgrade
	if err := json.Unmarshal(outputs["last_upgrade"].Value, &last); err != nil {
		t.Fatal(err)
	}
	return last
}

// kill ends Terraform and the provider, by the ids of their processes, at once
// and without a word. It waits until both are there.
func (w *stage) kill(t testing.TB) {
	t.Helper()
	limited, cancel := context.WithTimeout(t.Context(), answerLimit)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		pids := w.processes(t)
		if len(pids) >= 2 {
			for _, pid := range pids {
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					t.Errorf("kill %d: %v", pid, err)
				}
			}
			return
		}
		select {
		case <-limited.Done():
			t.Fatalf("processes %v, where Terraform and the provider are two", pids)
		case <-ticker.C:
		}
	}
}

// processes are Terraform and the provider: both, and nobody else, are in the
// working directory.
func (w *stage) processes(t testing.TB) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if cwd, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd")); err == nil && cwd == w.Path {
			pids = append(pids, pid)
		}
	}
	return pids
}
