package simulator

import (
	"io"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// Bundle lists every image of a version, see [release.Bundle].
func Bundle(repository, version string) []string { return release.Bundle(repository, version) }

// WriteBundle writes every image of a version, see [release.WriteBundle].
func WriteBundle(w io.Writer, repository, version string) error {
	return release.WriteBundle(w, repository, version)
}
