package transition

import (
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
)

// maxMajors bounds how many major versions a path crosses, so that a mistyped
// major such as 20210412 ends in an answer.
const maxMajors = 8

// UnknownReleaseError says that a path must pass through a minor version of which
// no release is known, so that the stop there cannot be named.
type UnknownReleaseError struct {
	From, To *semver.Version
	Line     string // the first unknown minor version on the way, such as "2.10"
}

func (e *UnknownReleaseError) Error() string {
	return fmt.Sprintf("the path from %s to %s needs a %s release, and none is known", e.From, e.To, e.Line)
}

// UpgradePath lists the versions to go through after from, to included, by the
// shortest supported way and with the latest known release wherever there is a
// choice. It is empty when both are equal. The error is a *Refusal when no way
// can exist, and a *UnknownReleaseError when the release data do not reach.
func UpgradePath(from, to *semver.Version) ([]*semver.Version, error) { return known.path(from, to) }

func (c *catalog) path(from, to *semver.Version) ([]*semver.Version, error) {
	switch rule := c.classify(from, to); {
	case rule == Same:
		return nil, nil
	case rule.Supported():
		return []*semver.Version{to}, nil
	case rule == PreRelease || to.LessThan(from):
		return nil, c.check(from, to)
	}
	if to.Major()-from.Major() > maxMajors {
		return nil, c.check(from, to)
	}

	// Breadth first, the highest version first: the first way that arrives is a
	// shortest one, and takes the latest release at each stop.
	nodes := c.between(from, to)
	cameFrom := map[*semver.Version]*semver.Version{}
	for queue := []*semver.Version{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, stop := range slices.Backward(nodes) {
			if !at.LessThan(stop) {
				break // ascending: what is left lies behind
			}
			if cameFrom[stop] != nil || !c.classify(at, stop).Supported() {
				continue
			}
			cameFrom[stop] = at
			if stop == to {
				return trace(cameFrom, from, to), nil
			}
			queue = append(queue, stop)
		}
	}
	if line, missing := c.missingLine(from, to); missing {
		return nil, &UnknownReleaseError{From: from, To: to, Line: line}
	}
	return nil, c.check(from, to)
}

// between lists where a path may stop: the known releases above from and below
// to, the release at which each major version is entered, and to; ascending.
func (c *catalog) between(from, to *semver.Version) []*semver.Version {
	var nodes []*semver.Version
	for _, r := range c.releases {
		if from.LessThan(r.Version) && r.Version.LessThan(to) {
			nodes = append(nodes, r.Version)
		}
	}
	for major := from.Major() + 1; major <= to.Major(); major++ {
		if first := c.first(major); first.LessThan(to) {
			nodes = append(nodes, first)
		}
	}
	slices.SortFunc(nodes, (*semver.Version).Compare)
	nodes = slices.CompactFunc(nodes, (*semver.Version).Equal)
	return append(nodes, to)
}

// missingLine names the first minor version that a path needs and that has no
// known release.
func (c *catalog) missingLine(from, to *semver.Version) (string, bool) {
	minor := from.Minor()
	if from.Major() != to.Major() {
		minor, _ = c.firstOf(to.Major())
	}
	for minor++; minor < to.Minor(); minor++ {
		_, found := c.last(func(v *semver.Version) bool { return v.Major() == to.Major() && v.Minor() == minor })
		if !found {
			return fmt.Sprintf("%d.%d", to.Major(), minor), true
		}
	}
	return "", false
}

func trace(cameFrom map[*semver.Version]*semver.Version, from, to *semver.Version) []*semver.Version {
	var path []*semver.Version
	for at := to; at != from; at = cameFrom[at] {
		path = append(path, at)
	}
	slices.Reverse(path)
	return path
}
