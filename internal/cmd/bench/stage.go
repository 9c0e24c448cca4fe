package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// took is what a process and those that it started took.
type took struct{ wall, cpu time.Duration }

// runCommand runs the command, which ends with the status.
func runCommand(cmd *exec.Cmd, status int) (took, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return took{}, err
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		return took{}, fmt.Errorf("%s: exit status %d, not %d\n%s", strings.Join(cmd.Args, " "), got, status, &out)
	}
	return took{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// stage is a Terraform in a working directory of its own.
type stage struct {
	*terraformtest.WorkingDir
	env    []string
	record string // of the providers' memory; "" where it is not measured
}

// stage makes a working directory with a configuration. The providers are those that
// were built, run without an init, so that each is measured alike.
func (b *bench) stage(configuration string) (*stage, error) {
	path, err := os.MkdirTemp(b.dir, "tf")
	if err != nil {
		return nil, err
	}
	working, err := terraformtest.New(path, b.terraform)
	if err != nil {
		return nil, err
	}
	s := &stage{WorkingDir: working}
	return s, errors.Join(
		s.UseProviders(map[string]string{ownSource: b.program(ownProgram), peerSource: b.program(peerProgram)}),
		s.Write("main.tf", configuration),
	)
}

// measured is a stage whose providers have their memory measured.
func (b *bench) measured(configuration, program string) (*stage, error) {
	s, err := b.stage(configuration)
	if err != nil {
		return nil, err
	}
	wrapper := filepath.Join(s.Path, program)
	s.record = filepath.Join(s.Path, "memory")
	s.env = []string{envProgram + "=" + b.program(program), envRecord + "=" + s.record}
	source := map[string]string{ownProgram: ownSource, peerProgram: peerSource}[program]
	return s, errors.Join(os.Symlink(b.program(measuredProgram), wrapper), s.UseProviders(map[string]string{source: wrapper}))
}

func (s *stage) run(ctx context.Context, status int, args ...string) (took, error) {
	cmd := s.Command(ctx, append(args, "-input=false", "-no-color")...)
	cmd.Env = append(cmd.Env, s.env...)
	return runCommand(cmd, status)
}

// plan plans; Terraform's exit status says whether there are changes.
func (s *stage) plan(ctx context.Context, changes bool) (took, error) {
	status := 0
	if changes {
		status = 2
	}
	return s.run(ctx, status, "plan", "-detailed-exitcode")
}

func (s *stage) apply(ctx context.Context) (took, error) {
	return s.run(ctx, 0, "apply", "-auto-approve")
}

// peak is the most memory of any of the provider's processes since the last call, in MiB.
func (s *stage) peak() (float64, error) {
	peaks, err := readRecord(s.record)
	if err != nil {
		return 0, err
	}
	var most int64
	for _, p := range peaks {
		most = max(most, p)
	}
	return float64(most) / (1 << 20), os.Remove(s.record)
}

// resource is the upgrade of a cluster, with its provider under an alias.
func resource(c *simulator.Cluster, alias, body string) string {
	return fmt.Sprintf(`
provider "dtr" {
  alias    = %[1]q
  url      = %[2]q
  username = %[4]q
  password = %[5]q
  ca_cert  = %[6]q
  ucp = {
    url      = %[3]q
    username = %[4]q
    password = %[5]q
    ca_cert  = %[6]q
  }
}

resource "dtr_upgrade" %[1]q {
  provider = dtr.%[1]s
  %[7]s
}
`, alias, c.DTRURL(), c.UCPURL(), c.Username(), c.Password(), c.CACert(), body)
}

// upgrade is a configuration with one cluster.
func upgrade(c *simulator.Cluster, body string) string {
	return ownRequired + resource(c, "this", body)
}

func target(version string) string { return fmt.Sprintf("target_version = %q", version) }

const (
	ownRequired  = "terraform {\n  required_providers {\n    dtr = { source = \"" + ownSource + "\" }\n  }\n}\n"
	peerRequired = "terraform {\n  required_providers {\n    time = { source = \"" + peerSource + "\" }\n  }\n}\n"
)

// static is a resource of the peer's, under an alias.
func static(alias, is string) string {
	return fmt.Sprintf(`
provider "time" {
  alias = %[1]q
}

resource "time_static" %[1]q {
  provider = time.%[1]s
  triggers = { is = %[2]q }
}
`, alias, is)
}

// builtIn is a resource of Terraform's own.
func builtIn(is string) string {
	return fmt.Sprintf("resource \"terraform_data\" \"this\" {\n  input = %q\n}\n", is)
}
