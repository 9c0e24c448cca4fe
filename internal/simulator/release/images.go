package release

import (
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Bundle lists every image of a version: the bootstrapper's first, the content
// cache's second, then those of the parts.
func Bundle(repository, version string) []string {
	refs := []string{repository + ":" + version, repository + "-content-cache:" + version}
	for _, p := range Parts {
		refs = append(refs, p.Image(repository, version))
	}
	return refs
}

// SplitRef splits an image reference into repository and tag.
func SplitRef(ref string) (repository, tag string) {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, "latest"
}

// NormalRef is an image reference with its tag and without the default registry.
func NormalRef(ref string) string {
	repository, tag := SplitRef(ref)
	return repository + ":" + tag
}

// IsBootstrapper reports whether an image is DTR's bootstrapper, from the
// official repositories or from a mirror.
func IsBootstrapper(ref string) bool {
	repository, tag := SplitRef(ref)
	_, err := semver.StrictNewVersion(tag)
	return err == nil && path.Base(repository) == "dtr"
}

// IsContentCache reports whether an image is that of a content cache.
func IsContentCache(ref string) bool {
	ref, _, _ = strings.Cut(ref, "@")
	repository, _ := SplitRef(ref)
	return strings.HasSuffix(repository, "dtr-content-cache")
}
