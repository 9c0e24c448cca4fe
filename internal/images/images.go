// Package images knows where the images of DTR come from (a repository, archives),
// on which nodes they are, and brings them there: by a pull or a load.
//
// Which of them are needed, and whether one that is missing stops a run, is for
// its callers to decide.
package images

import (
	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
)

// Step is the step of a run in which images are brought.
const Step = "images"

// PullPolicy says when the bootstrapper's image is pulled.
type PullPolicy string

// The pull policies, with the meaning they have for containers elsewhere.
const (
	PullMissing PullPolicy = "missing"
	PullAlways  PullPolicy = "always"
	PullNever   PullPolicy = "never"
)

// Source is where images come from.
type Source struct {
	Repository string            // of the bootstrapper's image, as ucp.FamiliarImage writes it; "" is the vendor's for the version
	Pull       PullPolicy        // "" is PullMissing
	Digests    map[string]string // version to sha256:...; other content is refused
	Archives   map[string]string // version to a file that docker save wrote; nothing is pulled for that version
}

// Bootstrapper is the bootstrapper's image of a version.
func (s Source) Bootstrapper(v *semver.Version) string { return bootstrap.Image(s.Repository, v) }

// Components are the images of a replica's parts at a version.
func (s Source) Components(v *semver.Version) []string {
	return bootstrap.ComponentImages(s.Repository, v)
}

// All are the bootstrapper's image of a version and those of a replica's parts.
func (s Source) All(v *semver.Version) []string {
	return append([]string{s.Bootstrapper(v)}, s.Components(v)...)
}

// FromArchive reports whether an image comes out of an archive.
func (s Source) FromArchive(image string) bool {
	_, version := cluster.ParseImage(image)
	return s.Archives[version] != ""
}
