package simulator

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// registry simulates the registries that the engines pull from: the official
// repositories with every released version, and what tests add or remove.
type registry struct {
	mu      sync.Mutex
	mirrors []string
	added   map[string]bool
	removed map[string]bool
	digests map[string]string
}

func newRegistry() *registry {
	return &registry{added: map[string]bool{}, removed: map[string]bool{}, digests: map[string]string{}}
}

// digest is what the registry says of a reference, if it has it.
func (r *registry) digest(ref string) (string, bool) {
	ref = release.NormalRef(ref)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed[ref] || !r.added[ref] && !r.published(ref) {
		return "", false
	}
	return cmp.Or(r.digests[ref], "sha256:"+release.StableID("manifest", ref)), true
}

// manifest is the digest that an image has, in the registry or not.
func (r *registry) manifest(ref string) string {
	ref = release.NormalRef(ref)
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.digests[ref], "sha256:"+release.StableID("manifest", ref))
}

func (r *registry) published(ref string) bool {
	repository, tag := release.SplitRef(ref)
	v, err := semver.StrictNewVersion(tag)
	if err != nil || !release.Exists(v) {
		return false
	}
	for _, prefix := range append([]string{release.Repository(v)}, r.mirrors...) {
		if strings.HasPrefix(repository, prefix) && slices.Contains(release.Bundle(prefix, tag), ref) {
			return true
		}
	}
	return false
}

// AddMirror makes every released version available under another repository,
// "reg.example.com/dtr/dtr" for instance.
func (r *registry) AddMirror(repository string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mirrors = append(r.mirrors, repository)
}

// AddToRegistry makes an image available that otherwise is not.
func (r *registry) AddToRegistry(ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added[release.NormalRef(ref)] = true
	delete(r.removed, release.NormalRef(ref))
}

// RemoveFromRegistry makes an image impossible to pull. Nodes that have it keep it.
func (r *registry) RemoveFromRegistry(ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed[release.NormalRef(ref)] = true
}

func (r *registry) setDigest(ref, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.digests[ref] = digest
}
