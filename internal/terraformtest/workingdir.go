// Package terraformtest runs Terraform as a process, in working directories where
// the provider is the one of this tree, without a registry and without the user's
// own settings. The demo and tests use it. It imports no other package of this
// module.
package terraformtest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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

// cliConfig is the configuration of the command line: the user's own may send
// Terraform elsewhere for the provider.
const cliConfig = "cli.tfrc"

// WorkingDir is a working directory of Terraform, and the Terraform to run in it.
type WorkingDir struct {
	Path      string
	Terraform string // path of the program
}

// New makes an existing directory a working directory of Terraform.
func New(path, terraform string) (*WorkingDir, error) {
	d := &WorkingDir{Path: path, Terraform: terraform}
	return d, d.Write(cliConfig, "")
}

// BuildProvider builds the provider to where Terraform finds it by itself: below
// terraform.d in its working directory.
func (d *WorkingDir) BuildProvider(ctx context.Context) error {
	host := cmp.Or(os.Getenv(envHost), "registry.terraform.io")
	plugin := filepath.Join(d.Path, "terraform.d", "plugins", host, "dtr-upgrade", "dtr", ProviderVersion,
		runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-dtr_v"+ProviderVersion)
	if runtime.GOOS == "windows" {
		plugin += ".exe"
	}
	return Build(ctx, plugin)
}

// Build builds the provider to the path, as a release is built.
func Build(ctx context.Context, path string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace,nethttpomithttp2", "-gcflags", "github.com/...=-l", "-gcflags", "google.golang.org/...=-l",
		"-ldflags", "-s -w -X main.version="+ProviderVersion, "-o", path, "github.com/dtr-upgrade/terraform-provider-dtr")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the provider: %w\n%s", err, out)
	}
	return nil
}

// UseProvider has Terraform run the program as the provider, from now on and
// without an init. The program's name has to begin with "terraform-provider-dtr".
func (d *WorkingDir) UseProvider(program string) error {
	return d.UseProviders(map[string]string{"dtr-upgrade/dtr": program})
}

// UseProviders is UseProvider for several providers: source to program, whose name
// has to begin with "terraform-provider-" and the provider's.
func (d *WorkingDir) UseProviders(programs map[string]string) error {
	var overrides strings.Builder
	for source, program := range programs {
		fmt.Fprintf(&overrides, "    %q = %q\n", source, filepath.Dir(program))
	}
	return d.Write(cliConfig, "provider_installation {\n  dev_overrides {\n"+overrides.String()+"  }\n  direct {}\n}\n")
}

// Write writes a file of the directory.
func (d *WorkingDir) Write(name, text string) error {
	return os.WriteFile(filepath.Join(d.Path, name), []byte(text), 0o600)
}

// Env is all of the environment that Terraform runs with.
func (d *WorkingDir) Env() map[string]string {
	return map[string]string{
		"PATH":               os.Getenv("PATH"),
		"HOME":               d.Path,
		"TMPDIR":             d.Path,
		"CHECKPOINT_DISABLE": "1",
		"TF_CLI_CONFIG_FILE": filepath.Join(d.Path, cliConfig),
	}
}

// Command is Terraform with arguments, to be run in the directory.
func (d *WorkingDir) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.Terraform, args...)
	cmd.Dir = d.Path
	for name, value := range d.Env() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}
