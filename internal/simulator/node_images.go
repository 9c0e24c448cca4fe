package simulator

import (
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// nodeImages are the test's controls of the images on the nodes.
type nodeImages struct {
	engine   *engine
	registry *registry
}

// RemoveImage removes an image from every node.
func (n *nodeImages) RemoveImage(ref string) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	for _, on := range n.engine.nodes {
		delete(on.images, release.NormalRef(ref))
	}
}

// AddImage puts an image on the named nodes, on all of them if none is named.
func (n *nodeImages) AddImage(ref string, nodeNames ...string) {
	digest := n.registry.manifest(ref)
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	for _, on := range n.engine.nodes {
		if len(nodeNames) == 0 || slices.Contains(nodeNames, on.name) {
			on.put(ref, digest)
		}
	}
}

// TagImage puts an image of another digest under a reference on one node, as
// docker tag does there.
func (n *nodeImages) TagImage(nodeName, ref, digest string) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	n.engine.nodeByName(nodeName).put(ref, digest)
}

// AddBundle puts every image of a version on every node, as loading the
// vendor's archive on each of them does.
func (n *nodeImages) AddBundle(version string) {
	for _, ref := range release.Bundle(release.Repository(semver.MustParse(version)), version) {
		n.AddImage(ref)
	}
}

// SetDigest changes the digest of a reference, "sha256:...", in the registry and on
// the nodes that have the image.
func (n *nodeImages) SetDigest(ref, digest string) {
	ref = release.NormalRef(ref)
	n.registry.setDigest(ref, digest)
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	for _, on := range n.engine.nodes {
		if img, ok := on.images[ref]; ok {
			img.digest = digest
			on.images[ref] = img
		}
	}
}
