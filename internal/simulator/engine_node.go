package simulator

import (
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/swarm"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// windows is the operating system of nodes that cannot have DTR's images.
const windows = "windows"

// node is a machine with an engine.
type node struct {
	name, id, addr string
	manager, down  bool
	hidden         int // how often UCP was told not to know it
	memory         int64
	version        string
	availability   string
	os             string
	ahead          time.Duration        // the node's clock
	images         map[string]image     // by reference
	volumes        map[string]time.Time // when each was created, by name
}

// image is one that a node has; digest is empty when it was loaded from a file.
type image struct{ id, digest string }

// date is a time of this machine as the node's clock has it. No time stays none.
func (n *node) date(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(n.ahead)
}

// put puts an image on the node.
func (n *node) put(ref, digest string) {
	ref = release.NormalRef(ref)
	n.images[ref] = image{id: "sha256:" + release.StableID("image", ref, digest), digest: digest}
}

// has reports whether the node has an image.
func (n *node) has(ref string) bool {
	_, ok := n.images[release.NormalRef(ref)]
	return ok
}

// satisfies applies the constraints of classic Swarm that name a node.
func (n *node) satisfies(constraints []string) bool {
	for _, c := range constraints {
		if name, ok := strings.CutPrefix(c, "node=="); ok && name != n.name {
			return false
		}
		if name, ok := strings.CutPrefix(c, "node!="); ok && name == n.name {
			return false
		}
	}
	return true
}

// taskFits applies the constraints that name a node.
func (n *node) taskFits(spec swarm.TaskSpec) bool {
	if spec.Placement == nil {
		return true
	}
	return !slices.ContainsFunc(spec.Placement.Constraints, func(c string) bool {
		name, is := strings.CutPrefix(strings.ReplaceAll(c, " ", ""), "node.hostname==")
		return is && name != n.name
	})
}

// repoDigests lists the digests by which a registry knows the image.
func (i image) repoDigests(ref string) []string {
	if i.digest == "" {
		return []string{}
	}
	repository, _ := release.SplitRef(ref)
	return []string{repository + "@" + i.digest}
}
