package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// configuration is what an operator would write, but for the addresses.
var configuration = template.Must(template.New("main.tf").Parse(`terraform {
  required_providers {
    dtr = {
      source  = "dtr-upgrade/dtr"
      version = "{{.ProviderVersion}}"
    }
  }
}

variable "password" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "dtr" {
  url      = "{{.DTR}}"
  username = "{{.Username}}"
  password = var.password
  ca_cert  = file("ca.pem")

  ucp = {
    url      = "{{.UCP}}"
    username = "{{.Username}}"
    password = var.password
    ca_cert  = file("ca.pem")
  }
}

resource "dtr_upgrade" "main" {
  target_version = "{{.Target}}"
}

output "last_upgrade" {
  value = dtr_upgrade.main.last_upgrade
}
`))

// workspace is Terraform in its working directory, set at the cluster.
type workspace struct {
	dir, log string
	tf       *tfexec.Terraform
	cluster  *simulator.Cluster
}

func newWorkspace(ctx context.Context, dir, binary string, cluster *simulator.Cluster) (*workspace, error) {
	tf, err := tfexec.NewTerraform(dir, binary)
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir, log: filepath.Join(dir, "provider.log"), tf: tf, cluster: cluster}
	cliConfig := filepath.Join(dir, "empty.tfrc") // not the user's: it may send the provider elsewhere
	for name, text := range map[string]string{"ca.pem": cluster.CACert(), "empty.tfrc": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(
		tf.SetEnv(map[string]string{
			"PATH": os.Getenv("PATH"), "HOME": dir, "TMPDIR": os.Getenv("TMPDIR"),
			"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": cliConfig, "TF_VAR_password": cluster.Password(),
		}),
		tf.SetLogPath(w.log),
		tf.SetLogCore("ERROR"),
		tf.SetLogProvider("INFO"),
		w.write(startVersion),
	); err != nil {
		return nil, err
	}
	return w, tf.Init(ctx)
}

// write writes the configuration for a target version.
func (w *workspace) write(target string) error {
	var text bytes.Buffer
	if err := configuration.Execute(&text, map[string]string{
		"ProviderVersion": providerVersion, "Target": target,
		"DTR": w.cluster.DTRURL(), "UCP": w.cluster.UCPURL(), "Username": w.cluster.Username(),
	}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "main.tf"), text.Bytes(), 0o600)
}

func (w *workspace) plan(ctx context.Context) (changes bool, err error) {
	out := newIndenter(os.Stdout)
	defer out.Flush()
	w.tf.SetStdout(out)
	w.tf.SetStderr(out)
	return w.tf.Plan(ctx)
}

// apply applies, and prints what the provider reports as it happens.
func (w *workspace) apply(ctx context.Context) error {
	out := newIndenter(os.Stdout)
	defer out.Flush()
	w.tf.SetStdout(io.Discard) // it repeats the plan; the log tells more
	w.tf.SetStderr(out)
	progress, err := followLog(w.log)
	if err != nil {
		return err
	}
	err = w.tf.Apply(ctx)
	return errors.Join(err, progress.stop())
}

// refused plans for a version that the provider has to refuse, and prints how it
// does.
func (w *workspace) refused(ctx context.Context, target, says string) error {
	if err := w.write(target); err != nil {
		return err
	}
	var said bytes.Buffer
	out := newIndenter(io.MultiWriter(os.Stdout, &said))
	w.tf.SetStdout(io.Discard)
	w.tf.SetStderr(out)
	_, err := w.tf.Plan(ctx)
	out.Flush()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return fmt.Errorf("version %s was not refused", target)
	case !strings.Contains(said.String(), says):
		return fmt.Errorf("version %s was refused, but not with %q: %w", target, says, err)
	}
	return nil
}

// lastUpgrade is the resource's own account.
type lastUpgrade struct {
	From                  string `json:"from"`
	To                    string `json:"to"`
	BootstrapperRuns      int    `json:"bootstrapper_runs"`
	MigrationAttempts     int    `json:"migration_attempts"`
	Probes                int    `json:"probes"`
	FailedProbes          int    `json:"failed_probes"`
	LongestInterruptionMS int    `json:"longest_interruption_ms"`
}

func (w *workspace) lastUpgrade(ctx context.Context) (lastUpgrade, error) {
	w.tf.SetStdout(io.Discard)
	outputs, err := w.tf.Output(ctx)
	if err != nil {
		return lastUpgrade{}, err
	}
	var last lastUpgrade
	return last, json.Unmarshal(outputs["last_upgrade"].Value, &last)
}

// indenter indents every line that goes through it.
type indenter struct {
	*io.PipeWriter
	done chan struct{}
}

func newIndenter(to io.Writer) *indenter {
	r, w := io.Pipe()
	i := &indenter{PipeWriter: w, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if _, err := fmt.Fprintln(to, strings.TrimRight("  "+lines.Text(), " ")); err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	return i
}

// Flush waits until everything is printed.
func (i *indenter) Flush() {
	_ = i.Close()
	<-i.done
}
