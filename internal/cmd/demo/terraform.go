package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hashicorp/go-version"
	install "github.com/hashicorp/hc-install"
	"github.com/hashicorp/hc-install/fs"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
	"github.com/hashicorp/hc-install/src"
)

// pinned is the Terraform that is installed where there is none. Ephemeral
// variables, which the demo's configuration uses, came with 1.10.
const (
	pinned  = "1.11.4"
	minimum = ">= 1.10.0"
)

// findTerraform finds Terraform on the PATH, or downloads the pinned one into
// dir.
func findTerraform(ctx context.Context, dir string) (string, error) {
	installer := install.NewInstaller()
	installer.SetLogger(log.New(io.Discard, "", 0))
	binary, err := installer.Ensure(ctx, []src.Source{
		&fs.Version{Product: product.Terraform, Constraints: version.MustConstraints(version.NewConstraint(minimum)), Timeout: 30 * time.Second},
		&releases.ExactVersion{Product: product.Terraform, Version: version.Must(version.NewVersion(pinned)), InstallDir: dir},
	})
	if err != nil {
		return "", fmt.Errorf("find Terraform %s on the PATH, or download %s: %w", minimum, pinned, err)
	}
	fmt.Printf("  Terraform: %s\n", binary)
	return binary, nil
}

// providerVersion is the version that the local build goes by.
const providerVersion = "0.1.0"

// buildProvider builds the provider to where Terraform finds it without a
// registry: below terraform.d in its working directory.
func buildProvider(ctx context.Context, dir string) error {
	plugin := filepath.Join(dir, "terraform.d", "plugins", "registry.terraform.io", "dtr-upgrade", "dtr", providerVersion,
		runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-dtr_v"+providerVersion)
	if runtime.GOOS == "windows" {
		plugin += ".exe"
	}
	//nolint:gosec // the arguments are fixed but for the temporary directory
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+providerVersion, "-o", plugin,
		"github.com/dtr-upgrade/terraform-provider-dtr")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the provider: %w", err)
	}
	return nil
}
