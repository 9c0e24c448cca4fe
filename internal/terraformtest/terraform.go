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

// pinned is the Terraform that is installed where there is none. Ephemeral
// variables, which the configurations use, came with 1.10.
const (
	pinned  = "1.11.4"
	minimum = ">= 1.10.0"
)

// FindTerraform finds Terraform on the PATH, or downloads the pinned one into
// dir.
func FindTerraform(ctx context.Context, dir string) (string, error) {
	installer := install.NewInstaller()
	installer.SetLogger(log.New(io.Discard, "", 0))
	binary, err := installer.Ensure(ctx, []src.Source{
		&fs.Version{Product: product.Terraform, Constraints: version.MustConstraints(version.NewConstraint(minimum)), Timeout: 30 * time.Second},
		&releases.ExactVersion{Product: product.Terraform, Version: version.Must(version.NewVersion(pinned)), InstallDir: dir},
	})
	if err != nil {
		return "", fmt.Errorf("find Terraform %s on the PATH, or download %s: %w", minimum, pinned, err)
	}
	return binary, nil
}
