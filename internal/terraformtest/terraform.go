package terraformtest

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-version"
	install "github.com/hashicorp/hc-install"
	"github.com/hashicorp/hc-install/fs"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
	"github.com/hashicorp/hc-install/src"
)

// MinimumVersion is the oldest Terraform for the demo and the tests: ephemeral
// variables, which their configurations use, came with it.
const MinimumVersion = "1.10"

// pinnedVersion is what is downloaded where there is no Terraform.
const pinnedVersion = "1.11.4"

// What terraform-plugin-testing reads as well: a Terraform, or OpenTofu, that is not the
// one on the PATH, and the host of the registry that it knows providers by.
const (
	EnvTerraform = "TF_ACC_TERRAFORM_PATH"
	envHost      = "TF_ACC_PROVIDER_HOST"
)

// FindTerraform returns the Terraform that the environment names. Without one it finds
// Terraform on the PATH, or downloads it into dir.
func FindTerraform(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv(EnvTerraform); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", EnvTerraform, err)
		}
		return filepath.Abs(found)
	}
	installer := install.NewInstaller()
	installer.SetLogger(log.New(io.Discard, "", 0))
	binary, err := installer.Ensure(ctx, []src.Source{
		&fs.Version{Product: product.Terraform, Constraints: version.MustConstraints(version.NewConstraint(">= " + MinimumVersion)), Timeout: 30 * time.Second},
		&releases.ExactVersion{Product: product.Terraform, Version: version.Must(version.NewVersion(pinnedVersion)), InstallDir: dir},
	})
	if err != nil {
		return "", fmt.Errorf("install Terraform %s or later: there is none on the PATH, and %s cannot be downloaded: %w", MinimumVersion, pinnedVersion, err)
	}
	return binary, nil
}
