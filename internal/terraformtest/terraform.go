package terraformtest

import (
	"context"
	"fmt"
	"io"
	"log"
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

// FindTerraform finds Terraform on the PATH, or downloads it into dir.
func FindTerraform(ctx context.Context, dir string) (string, error) {
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
