package transition

import (
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// The kinds of an advisory.
const (
	Warn   = "warn"
	Refuse = "refuse"
)

// Advisory is what the vendor's release notes say of a hop.
type Advisory struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"` // Warn or Refuse
	Summary string `json:"summary"`
	Detail  string `json:"detail"`
}

// Advisories lists the warnings about one hop, in the order of the release data.
// A hop that an advisory refuses does not come this far.
func Advisories(from, to *semver.Version) []Advisory { return known.warnings(from, to) }

func (c *catalog) warnings(from, to *semver.Version) []Advisory {
	var found []Advisory
	for i := range c.advisories {
		if a := &c.advisories[i]; a.Kind == Warn && a.applies(from, to) {
			found = append(found, a.Advisory)
		}
	}
	if c.classify(from, to) != MajorUpgrade {
		return found
	}
	latest, ok := c.last(func(v *semver.Version) bool { return v.Major() == from.Major() })
	if ok && from.LessThan(latest) {
		found = append(found, Advisory{
			ID:      "major-from-older-release",
			Kind:    Warn,
			Summary: fmt.Sprintf("DTR is not at the latest release of version %d", from.Major()),
			Detail: fmt.Sprintf("The vendor strongly recommends to upgrade to the latest release of a major version before leaving it: from %s to %s, and only then to %s.",
				from, latest, to),
		})
	}
	return found
}

// refusal gives the advisory that refuses the transition, or nil. It is on the
// path of every classification and allocates nothing.
func (c *catalog) refusal(from, to *semver.Version) *advisory {
	for i := range c.refusals {
		if c.refusals[i].applies(from, to) {
			return &c.refusals[i]
		}
	}
	return nil
}
