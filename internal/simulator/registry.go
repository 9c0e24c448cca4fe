package simulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"
)

// registry stands for the registries that the engines pull from: the official
// repositories with every released version, and what tests add or take away.
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
	ref = normalRef(ref)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed[ref] || !r.added[ref] && !r.published(ref) {
		return "", false
	}
	return cmp.Or(r.digests[ref], "sha256:"+hash("manifest", ref)), true
}

// manifest is the digest that an image has, in the registry or not.
func (r *registry) manifest(ref string) string {
	ref = normalRef(ref)
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.digests[ref], "sha256:"+hash("manifest", ref))
}

func (r *registry) published(ref string) bool {
	repository, tag := splitRef(ref)
	v, err := semver.StrictNewVersion(tag)
	if err != nil || !released(v) {
		return false
	}
	for _, prefix := range append([]string{officialRepository(v)}, r.mirrors...) {
		if strings.HasPrefix(repository, prefix) && slices.Contains(bundle(prefix, tag), ref) {
			return true
		}
	}
	return false
}

// AddMirror makes every released version available under another repository,
// "reg.example.com/dtr/dtr" for instance.
func (c *Cluster) AddMirror(repository string) {
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	c.registry.mirrors = append(c.registry.mirrors, repository)
}

// AddToRegistry makes an image available that otherwise is not.
func (c *Cluster) AddToRegistry(ref string) {
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	c.registry.added[normalRef(ref)] = true
	delete(c.registry.removed, normalRef(ref))
}

// RemoveFromRegistry makes an image impossible to pull. Nodes that have it keep it.
func (c *Cluster) RemoveFromRegistry(ref string) {
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	c.registry.removed[normalRef(ref)] = true
}

// SetDigest has the registry say another digest of a reference, "sha256:...",
// and the nodes that have the image too.
func (c *Cluster) SetDigest(ref, digest string) {
	c.registry.mu.Lock()
	c.registry.digests[normalRef(ref)] = digest
	c.registry.mu.Unlock()
	c.engine.setDigest(normalRef(ref), digest)
}

// hash makes a stable identifier of 64 hexadecimal digits.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
