package transition

import "github.com/Masterminds/semver/v3"

// Rule is the id of one row of the table of transitions. Ids are stable: users
// see them in upgrade_path and in the result of the transition function.
type Rule string

// The rows of the table, in the notation of the upgrade documentation.
const (
	Same            Rule = "same"              // x.y.z -> x.y.z
	PatchUpgrade    Rule = "patch-upgrade"     // x.y.z -> x.y.z+1
	PatchSkip       Rule = "patch-skip"        // x.y.z -> x.y.z+n
	PatchDowngrade  Rule = "patch-downgrade"   // x.y.z -> x.y.z-n
	MinorUpgrade    Rule = "minor-upgrade"     // x.y.* -> x.y+1.*
	MinorSkip       Rule = "minor-skip"        // x.y.* -> x.y+n.*
	MinorDowngrade  Rule = "minor-downgrade"   // x.y.* -> x.y-n.*
	MajorUpgrade    Rule = "major-upgrade"     // x.*.* -> x+1.0.0, the first release
	MajorSkipsMinor Rule = "major-skips-minor" // x.*.* -> x+1.y.*
	MajorSkipsPatch Rule = "major-skips-patch" // x.*.* -> x+1.0.z
	MajorSkip       Rule = "major-skip"        // x.*.* -> x+n.*.*
	MajorDowngrade  Rule = "major-downgrade"   // x.*.* -> x-n.*.*
	PreRelease      Rule = "pre-release"       // either side is one
	AdvisoryRefusal Rule = "advisory"          // refused by the release notes
)

// step is how one number of a version changes, as a bit, so that a row of the
// table can accept several.
type step uint8

const (
	lower  step = 1 << iota
	equal       // unchanged
	next        // one more
	beyond      // two more, or further

	other   = lower | next | beyond
	anyStep = other | equal
)

func stepOf(from, to uint64) step {
	switch {
	case to < from:
		return lower
	case to == from:
		return equal
	case to-from == 1:
		return next
	default:
		return beyond
	}
}

// row is one row of the table. It matches when each number takes one of the
// row's steps and the condition, if there is one, holds.
type row struct {
	rule Rule

	// The minor and the patch count from the running version, or, when the major
	// changes, from the first release of the new major.
	major, minor, patch step
	when                func(c *catalog, from, to *semver.Version) bool

	supported bool
	name      string // the rule in the middle of a sentence
	summary   string // the rule as a sentence
}

const (
	noDowngrades  = "Downgrades are not supported; only a backup leads back."
	entersAtFirst = "A major upgrade goes to the first release of the next major version."
)

// table holds the rows in the order in which they are tried: the first match
// decides. The refusals stand before what is supported, and the advisories
// between the two, because release data may add a refusal but relax none.
var table = []row{
	{
		rule: PreRelease, major: anyStep, minor: anyStep, patch: anyStep, when: eitherPreRelease,
		name: "pre-release", summary: "Pre-releases can neither be upgraded nor be upgraded to.",
	},
	{
		rule: Same, major: equal, minor: equal, patch: equal, supported: true,
		name: "same version", summary: "Both are the same version: there is nothing to do.",
	},
	{
		rule: PatchDowngrade, major: equal, minor: equal, patch: lower,
		name: "patch downgrade", summary: noDowngrades,
	},
	{
		rule: MinorSkip, major: equal, minor: beyond, patch: anyStep,
		name: "minor skip", summary: "Minor versions are upgraded one at a time; none can be skipped.",
	},
	{
		rule: MinorDowngrade, major: equal, minor: lower, patch: anyStep,
		name: "minor downgrade", summary: noDowngrades,
	},
	{
		rule: MajorSkipsMinor, major: next, minor: other, patch: anyStep,
		name: "major upgrade that skips a minor version", summary: entersAtFirst,
	},
	{
		rule: MajorSkipsPatch, major: next, minor: equal, patch: other,
		name: "major upgrade that skips a patch version", summary: entersAtFirst,
	},
	{
		rule: MajorSkip, major: beyond, minor: anyStep, patch: anyStep,
		name: "major skip", summary: "Major versions are upgraded one at a time; none can be skipped.",
	},
	{
		rule: MajorDowngrade, major: lower, minor: anyStep, patch: anyStep,
		name: "major downgrade", summary: noDowngrades,
	},
	{
		rule: AdvisoryRefusal, major: anyStep, minor: anyStep, patch: anyStep, when: refusedByAdvisory,
		name: "release notes advisory", summary: "The vendor's release notes rule this upgrade out.",
	},
	{
		rule: PatchUpgrade, major: equal, minor: equal, patch: next, supported: true,
		name: "patch upgrade", summary: "An upgrade to the next patch version is supported.",
	},
	{
		rule: PatchSkip, major: equal, minor: equal, patch: beyond, supported: true,
		name: "patch skip", summary: "Patch versions can be skipped: a patch migrates no data.",
	},
	{
		rule: MinorUpgrade, major: equal, minor: next, patch: anyStep, supported: true,
		name: "minor upgrade", summary: "An upgrade from any patch version to any patch version of the next minor version is supported.",
	},
	{
		rule: MajorUpgrade, major: next, minor: equal, patch: equal, supported: true,
		name: "major upgrade", summary: "An upgrade to the first release of the next major version is supported.",
	},
}

func eitherPreRelease(_ *catalog, from, to *semver.Version) bool {
	return from.Prerelease() != "" || to.Prerelease() != ""
}

func refusedByAdvisory(c *catalog, from, to *semver.Version) bool {
	return c.refusal(from, to) != nil
}

// Supported reports whether a transition of this rule may be made. It is true of
// Same, which asks for nothing, and false of a word that is not a rule.
func (r Rule) Supported() bool { return r.row().supported }

// Name is what the rule is called in the middle of a sentence.
func (r Rule) Name() string { return r.row().name }

// Summary says in one sentence what the rule allows or refuses.
func (r Rule) Summary() string { return r.row().summary }

func (r Rule) row() *row {
	for i := range table {
		if table[i].rule == r {
			return &table[i]
		}
	}
	return &row{}
}

// Classify names the rule that the step from one version to another falls under.
// Build metadata does not count. Neither version may be nil.
func Classify(from, to *semver.Version) Rule { return known.classify(from, to) }

func (c *catalog) classify(from, to *semver.Version) Rule {
	minor, patch := from.Minor(), from.Patch()
	if to.Major() != from.Major() {
		minor, patch = c.firstOf(to.Major())
	}
	var (
		majorStep = stepOf(from.Major(), to.Major())
		minorStep = stepOf(minor, to.Minor())
		patchStep = stepOf(patch, to.Patch())
	)
	for i := range table {
		r := &table[i]
		if r.major&majorStep == 0 || r.minor&minorStep == 0 || r.patch&patchStep == 0 {
			continue
		}
		if r.when == nil || r.when(c, from, to) {
			return r.rule
		}
	}
	// Not reached: the rows cover every combination of steps, which the tests hold.
	return ""
}
