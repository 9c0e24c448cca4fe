package standin

import (
	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// replica is one replica as UCP shows it.
type replica struct {
	id, node   string
	containers map[string]container.Summary // by part
}

// isComplete reports whether every container of the replica runs.
func (r replica) isComplete() bool {
	for _, p := range release.Parts {
		if !r.runs(p.Name) {
			return false
		}
	}
	return true
}

// runs reports whether a part of the replica runs, on a node that answers.
func (r replica) runs(part string) bool {
	c, ok := r.containers[part]
	return ok && c.State == container.StateRunning && c.Status != "Host Down"
}

// isAt reports whether a part runs at a version, whichever repository its image
// came from.
func (r replica) isAt(part string, v *semver.Version) bool {
	c, ok := r.containers[part]
	_, tag := release.SplitRef(c.Image)
	return ok && c.State == container.StateRunning && tag == v.String()
}

// versions are those of the replica's images, as far as their tags are versions.
func (r replica) versions() []*semver.Version {
	var versions []*semver.Version
	for _, c := range r.containers {
		_, tag := release.SplitRef(c.Image)
		if v, err := semver.NewVersion(tag); err == nil {
			versions = append(versions, v)
		}
	}
	return versions
}
