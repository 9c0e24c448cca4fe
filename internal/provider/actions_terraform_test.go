//go:build actions && unix

package provider

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goversion "github.com/hashicorp/go-version"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/s3test"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// actionsSince is the version from which Terraform runs actions.
var actionsSince = goversion.Must(goversion.NewVersion("1.14"))

// dropsEphemeral is the version from which Terraform passes null for what is ephemeral to an action run by hand.
var dropsEphemeral = goversion.Must(goversion.NewVersion("1.16"))

// terraformVersion is the version of a process's Terraform, of a pre-release that of its release.
func terraformVersion(t *testing.T, p process) *goversion.Version {
	t.Helper()
	out, err := p.dir.Command(t.Context(), "version", "-json").Output()
	must(err)
	var answer struct {
		Version string `json:"terraform_version"`
	}
	must(json.Unmarshal(out, &answer))
	v, err := goversion.NewVersion(answer.Version)
	must(err)
	return v.Core()
}

// actionExample is a Terraform with the text of an action's example, changed for the test.
func actionExample(t *testing.T, action string, cluster *simulator.Cluster, changes ...string) (p process, v map[string]string) {
	t.Helper()
	p = newProcess(t)
	if is := terraformVersion(t, p); is.LessThan(actionsSince) {
		t.Fatalf("the tests of actions need Terraform %s or later, and %s is %s", actionsSince, p.dir.Terraform, is)
	}
	text, v := runnable(t, example(filepath.Join(examples, "actions", action)), cluster)
	p.setVariables(v)
	p.write(strings.NewReplacer(changes...).Replace(text))
	return p, v
}

// byHand applies with -invoke.
func byHand(p process, action string) (string, error) {
	out, err := p.command("apply", "-auto-approve", "-invoke="+action).CombinedOutput()
	return string(out), err
}

// TestTerraformActionJob applies the example: the upgrade triggers the job. Then it runs it by hand.
func TestTerraformActionJob(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	p, _ := actionExample(t, "dtr_job", cluster)
	p.apply()
	if n := posts(cluster); n != 1 {
		t.Errorf("the upgrade triggered %d jobs", n)
	}
	p.wantNoChanges()
	if out, err := byHand(p, "action.dtr_job.garbage_collection"); err != nil || !strings.Contains(out, "(onlinegc): done on replica ") {
		t.Errorf("by hand: %v\n%s", err, out)
	}
	ran := 0
	for _, job := range cluster.Jobs() {
		if job.Action == "onlinegc" && job.Status == "done" {
			ran++
		}
	}
	if n := posts(cluster); n != 2 || ran != 2 {
		t.Errorf("%d jobs were started, %d garbage collections are done", n, ran)
	}
}

// trigger is a resource whose creation triggers the action of the example.
const trigger = `
resource "terraform_data" "changed" {
  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.dtr_backup.main]
    }
  }
}
`

// TestTerraformActionBackup takes the backup of the example, by hand and triggered, with its URL from a variable
// as the example has it and from one that is not ephemeral.
func TestTerraformActionBackup(t *testing.T) {
	t.Parallel()
	const ephemeral = "  ephemeral = true # remove this line to run the action by hand on Terraform 1.16\n"
	for name, c := range map[string]struct {
		variable  string // its line, or none
		triggered bool
	}{
		"by hand":                {ephemeral, false},
		"triggered":              {ephemeral, true},
		"by hand, only secret":   {"", false},
		"triggered, only secret": {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := s3test.Start(t)
			file := filepath.Join(t.TempDir(), "dtr.tar")
			changes := []string{"/tmp/dtr-backup.tar", file, ephemeral, c.variable}
			if c.triggered {
				changes = append(changes, `action "dtr_backup"`, trigger+`action "dtr_backup"`)
			}
			p, v := actionExample(t, "dtr_backup", start(t, "2.5.6"), changes...)
			v["backup_url"] = store.Presigned(t, "dtr.tar", time.Now())
			p.setVariables(v)
			var out string
			var err error
			if c.triggered {
				p.apply()
			} else if out, err = byHand(p, "action.dtr_backup.main"); c.variable != "" && !terraformVersion(t, p).LessThan(dropsEphemeral) {
				_, statErr := os.Stat(file)
				if err == nil || !strings.Contains(out, "Error: A value of the upload did not reach the action") || !os.IsNotExist(statErr) {
					t.Errorf("got %v, file: %v\n%s", err, statErr, out)
				}
				return
			}
			backup, readErr := os.ReadFile(file)
			if err != nil || readErr != nil || len(backup) == 0 || !bytes.Equal(backup, store.Object(t, "dtr.tar")) || len(store.Puts()) != 1 {
				t.Errorf("got %v, file of %d bytes: %v, sent %d times\n%s", err, len(backup), readErr, len(store.Puts()), out)
			}
			state, err := os.ReadFile(p.state)
			must(err)
			if strings.Contains(out+string(state), "X-Amz-Signature") {
				t.Errorf("the URL is in the output or in the state:\n%s\n%s", out, state)
			}
		})
	}
}

// TestTerraformActionUploadIsNotDropped holds that there is no backup without an upload where the whole of it is
// ephemeral.
func TestTerraformActionUploadIsNotDropped(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dtr.tar")
	cluster := start(t, "2.5.6")
	p, _ := actionExample(t, "dtr_backup", cluster, "/tmp/dtr-backup.tar", file,
		"type      = string\n  sensitive", "type = object({ url = string })\n  default = { url = \"https://store.example.com\" }\n  sensitive",
		"upload = {\n      url = var.backup_url\n    }", "upload = var.backup_url")
	p.connect(cluster) // and no URL, which is no such object
	out, err := byHand(p, "action.dtr_backup.main")
	_, statErr := os.Stat(file)
	if err == nil || !strings.Contains(out, "Error: Invalid use of ephemeral value") || !os.IsNotExist(statErr) {
		t.Errorf("got %v, file: %v\n%s", err, statErr, out)
	}
}
