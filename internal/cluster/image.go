package cluster

import (
	"strings"

	"github.com/distribution/reference"
)

// ParseImage splits an image reference into repository and tag, both as Docker
// shows them: without Docker Hub's name and without a digest. Both are empty for a
// reference that does not parse.
func ParseImage(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", ""
	}
	if tagged, ok := ref.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	return reference.FamiliarName(ref), tag
}
