// Package workspace makes Terraform working directories in which the provider is
// the one of this tree, without a registry and without the user's own settings.
// The demo and the tests that run Terraform as a process use it. It imports no
// other package of this module.
package workspace

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// ProviderVersion is the version that the local build goes by.
const ProviderVersion = "0.1.0"

// RequiredProviders is the block of a configuration that asks for the provider.
const RequiredProviders = `terraform {
  required_providers {
    dtr = {
      source  = "dtr-upgrade/dtr"
      version = "` + ProviderVersion + `"
    }
  }
}
`

// cliConfig is an empty configuration of the command line: the user's own may
// send Terraform elsewhere for the provider.
const cliConfig = "empty.tfrc"

// Workspace is a working directory and the Terraform to run in it.
type Workspace struct {
	Dir       string
	Terraform string // path of the program
}

// New builds the provider into dir, to where Terraform finds it by itself: below
// terraform.d in its working directory.
func New(ctx context.Context, dir, terraform string) (*Workspace, error) {
	plugin := filepath.Join(dir, "terraform.d", "plugins", "registry.terraform.io", "dtr-upgrade", "dtr", ProviderVersion,
		runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-dtr_v"+ProviderVersion)
	if runtime.GOOS == "windows" {
		plugin += ".exe"
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w -X main.version="+ProviderVersion, "-o", plugin,
		"github.com/dtr-upgrade/terraform-provider-dtr")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the provider: %w\n%s", err, out)
	}
	w := &Workspace{Dir: dir, Terraform: terraform}
	return w, w.Write(cliConfig, "")
}

// Write writes a file of the directory.
func (w *Workspace) Write(name, text string) error {
	return os.WriteFile(filepath.Join(w.Dir, name), []byte(text), 0o600)
}

// Env is all of the environment that Terraform runs with.
func (w *Workspace) Env() map[string]string {
	return map[string]string{
		"PATH":               os.Getenv("PATH"),
		"HOME":               w.Dir,
		"TMPDIR":             w.Dir,
		"CHECKPOINT_DISABLE": "1",
		"TF_CLI_CONFIG_FILE": filepath.Join(w.Dir, cliConfig),
	}
}

// Command is Terraform with arguments, to be run in the directory.
func (w *Workspace) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.Terraform, args...)
	cmd.Dir = w.Dir
	for name, value := range w.Env() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}
