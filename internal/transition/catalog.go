package transition

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
)

//go:embed releases.json
var releasesJSON []byte

// known is what releases.json says. It is read when the program starts, so that
// a mistake in it cannot wait for the moment of an upgrade.
var known = mustLoad(releasesJSON)

// Release is one release that is known to exist. The list is data, not law: a
// version that is missing from it is unknown, not invalid.
type Release struct {
	Version       *semver.Version
	Line          string // the minor version, such as "2.6"
	FirstReleased string // when the line first appeared, as YYYY-MM-DD or YYYY
}

// catalog is the release data, ready for use.
type catalog struct {
	releases   []Release // ascending
	firsts     map[uint64]*semver.Version
	migrations []migration
	advisories []advisory
	refusals   []advisory // those of the advisories that refuse
}

// migration names the jobs that DTR runs after a hop.
type migration struct {
	From patterns `json:"from"`
	To   patterns `json:"to"`
	Jobs []string `json:"jobs"`
}

// advisory is a warning or a refusal from the vendor's release notes.
type advisory struct {
	Advisory
	From    patterns        `json:"from"`
	To      patterns        `json:"to"`
	Instead *semver.Version `json:"instead"` // the version to go to instead, or nil
}

func (a *advisory) applies(from, to *semver.Version) bool {
	return a.From.match(from) && a.To.match(to) && !from.Equal(to)
}

func mustLoad(data []byte) *catalog {
	c, err := load(data)
	if err != nil {
		panic("transition: releases.json: " + err.Error())
	}
	return c
}

func load(data []byte) (*catalog, error) {
	var file struct {
		Lines []struct {
			Line          string `json:"line"`
			Patches       string `json:"patches"`
			FirstReleased string `json:"first_released"`
		} `json:"lines"`
		FirstOfMajor []*semver.Version `json:"first_of_major"`
		Migrations   []migration       `json:"migrations"`
		Advisories   []advisory        `json:"advisories"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, err
	}
	c := &catalog{
		firsts:     make(map[uint64]*semver.Version, len(file.FirstOfMajor)),
		migrations: file.Migrations,
		advisories: file.Advisories,
	}
	for _, l := range file.Lines {
		base, err := parse(l.Line + ".0")
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", l.Line, err)
		}
		patches, err := parseRanges(l.Patches)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", l.Line, err)
		}
		for _, r := range patches {
			if r.last > maxPatch {
				return nil, fmt.Errorf("line %q: range %q has no end", l.Line, l.Patches)
			}
			for patch := r.first; patch <= r.last; patch++ {
				c.releases = append(c.releases, Release{
					Version:       semver.New(base.Major(), base.Minor(), patch, "", ""),
					Line:          l.Line,
					FirstReleased: l.FirstReleased,
				})
			}
		}
	}
	for i := 1; i < len(c.releases); i++ {
		if before, v := c.releases[i-1].Version, c.releases[i].Version; !before.LessThan(v) {
			return nil, fmt.Errorf("releases are not in ascending order: %s before %s", before, v)
		}
	}
	for _, v := range file.FirstOfMajor {
		c.firsts[v.Major()] = v
	}
	for _, a := range file.Advisories {
		switch a.Kind {
		case Warn:
		case Refuse:
			c.refusals = append(c.refusals, a)
		default:
			return nil, fmt.Errorf("advisory %q: kind %q is neither %q nor %q", a.ID, a.Kind, Warn, Refuse)
		}
	}
	return c, nil
}

// maxPatch bounds the patches of a line, which are listed one by one.
const maxPatch = 999

// Releases lists the releases known to exist, ascending.
func Releases() []Release { return slices.Clone(known.releases) }

// LatestPatch gives the highest known release of a minor version, and false when
// none is known.
func LatestPatch(major, minor uint64) (*semver.Version, bool) {
	return known.last(func(v *semver.Version) bool { return v.Major() == major && v.Minor() == minor })
}

// MigrationJobs names the jobs that DTR runs by itself after the hop, in order.
func MigrationJobs(from, to *semver.Version) []string { return known.migrationJobs(from, to) }

func (c *catalog) last(match func(*semver.Version) bool) (*semver.Version, bool) {
	for _, r := range slices.Backward(c.releases) {
		if match(r.Version) {
			return r.Version, true
		}
	}
	return nil, false
}

func (c *catalog) first(major uint64) *semver.Version {
	minor, patch := c.firstOf(major)
	return semver.New(major, minor, patch, "", "")
}

// firstOf is first without the allocation.
func (c *catalog) firstOf(major uint64) (minor, patch uint64) {
	if v := c.firsts[major]; v != nil {
		return v.Minor(), v.Patch()
	}
	return 0, 0
}

func (c *catalog) migrationJobs(from, to *semver.Version) []string {
	var jobs []string
	for _, m := range c.migrations {
		if m.From.match(from) && m.To.match(to) {
			jobs = append(jobs, m.Jobs...)
		}
	}
	return jobs
}
