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
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// configuration is what an operator would write, but for the addresses.
var configuration = template.Must(template.New("main.tf").Parse(terraformtest.RequiredProviders + `
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

// stage is Terraform in its working directory, set at the cluster.
type stage struct {
	*terraformtest.WorkingDir
	progress string // the provider's file
	tf       *tfexec.Terraform
	cluster  *simulator.Cluster
}

func newStage(ctx context.Context, working *terraformtest.WorkingDir, cluster *simulator.Cluster) (*stage, error) {
	tf, err := tfexec.NewTerraform(working.Path, working.Terraform)
	if err != nil {
		return nil, err
	}
	env := working.Env()
	env["DTR_PROGRESS_FILE"] = filepath.Join(working.Path, "progress.log")
	s := &stage{WorkingDir: working, progress: env["DTR_PROGRESS_FILE"], tf: tf, cluster: cluster}
	if err := errors.Join(
		tf.SetEnv(env),
		s.Write("ca.pem", cluster.CACert()),
		s.Write("secret.auto.tfvars", fmt.Sprintf("password = %q\n", cluster.Password())),
		s.write(startVersion),
	); err != nil {
		return nil, err
	}
	return s, tf.Init(ctx)
}

// write writes the configuration for a target version.
func (s *stage) write(target string) error {
	var text bytes.Buffer
	if err := configuration.Execute(&text, map[string]string{
		"Target": target,
		"DTR":    s.cluster.DTRURL(), "UCP": s.cluster.UCPURL(), "Username": s.cluster.Username(),
	}); err != nil {
		return err
	}
	return s.Write("main.tf", text.String())
}

func (s *stage) plan(ctx context.Context) (changes bool, err error) {
	out := newIndenter(os.Stdout)
	defer out.Flush()
	s.tf.SetStdout(out)
	s.tf.SetStderr(out)
	return s.tf.Plan(ctx)
}

// apply applies, and prints what the provider reports as it happens.
func (s *stage) apply(ctx context.Context) error {
	progress, err := follow(s.progress, os.Stdout)
	if err != nil {
		return err
	}
	out := newIndenter(&after{line: "dtr_upgrade.main: ", to: progress}) // it repeats the plan first
	s.tf.SetStdout(out)
	s.tf.SetStderr(out)
	err = s.tf.Apply(ctx)
	out.Flush()
	return errors.Join(err, progress.stop())
}

// refused plans for a version that the provider has to refuse, and prints how it
// does.
func (s *stage) refused(ctx context.Context, target, says string) error {
	if err := s.write(target); err != nil {
		return err
	}
	var said bytes.Buffer
	out := newIndenter(io.MultiWriter(os.Stdout, &said))
	s.tf.SetStdout(io.Discard)
	s.tf.SetStderr(out)
	_, err := s.tf.Plan(ctx)
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

func (s *stage) lastUpgrade(ctx context.Context) (lastUpgrade, error) {
	s.tf.SetStdout(io.Discard)
	outputs, err := s.tf.Output(ctx)
	if err != nil {
		return lastUpgrade{}, err
	}
	var last lastUpgrade
	return last, json.Unmarshal(outputs["last_upgrade"].Value, &last)
}

// after drops all lines before the first that holds the text of line.
type after struct {
	line string
	to   io.Writer
	seen bool
}

func (a *after) Write(line []byte) (int, error) {
	if a.seen = a.seen || bytes.Contains(line, []byte(a.line)); !a.seen {
		return len(line), nil
	}
	return a.to.Write(line)
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
