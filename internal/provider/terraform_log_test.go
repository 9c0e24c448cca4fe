//go:build unix

package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// TestTerraformLog holds that the log of an apply at Info can be read: the provider's lines are few and short, and a
// word finds them among Terraform's own.
func TestTerraformLog(t *testing.T) {
	t.Parallel()
	const most, longest = 25, 500 // lines of an upgrade in one hop, which has 19 as long as DTR answers, and bytes
	cluster := start(t, "2.5.6")
	p := newProcess(t)
	p.connect(cluster)
	p.write(terraformtest.RequiredProviders + connectionConfig + `resource "dtr_upgrade" "main" { target_version = "2.6.15" }`)
	file := filepath.Join(p.dir.Path, "terraform.log")
	cmd := p.command("apply", "-auto-approve")
	cmd.Env = append(cmd.Env, "TF_LOG_PROVIDER=INFO", "TF_LOG_PATH="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	must(err)
	var ours []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "@module=dtr") {
			ours = append(ours, line)
		}
	}
	for _, line := range ours {
		for _, field := range []string{"tf_req_id", "tf_provider_addr", "tf_rpc", "tf_resource_type", "@caller", "new_logger_warning"} {
			if strings.Contains(line, field+"=") {
				t.Errorf("%s is in: %s", field, line)
			}
		}
		if len(line) > longest {
			t.Errorf("%d bytes: %s", len(line), line)
		}
	}
	said := strings.Join(ours, "")
	if len(ours) > most {
		t.Errorf("%d lines:\n%s", len(ours), said)
	}
	for _, message := range []string{
		"Apply of dtr_upgrade begins on ", "Step upgrade begins: ", "Bootstrapper mirantis/dtr:2.6.15 is started: ", " runs 2.6.15 (1 of 3): ",
		" runs 2.6.15 (3 of 3): ", "Job metadatastoremigration, attempt 1: done: ", "Step tidy ended: ", "Apply of dtr_upgrade ended: ",
	} {
		if n := strings.Count(said, message); n != 1 {
			t.Errorf("%q is there %d times in:\n%s", message, n, said)
		}
	}
	if !strings.Contains(said, "UCP could not bring images to every node") { // a worker runs Windows
		t.Errorf("not in the log: what UCP could not do\n%s", said)
	}
}
