package transition

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Refusal says why a transition is not supported and what to write instead.
type Refusal struct { //nolint:errname // the word for it everywhere else, too
	Rule     Rule
	From, To *semver.Version

	// What the release notes say, and the version that they name in place of To,
	// or nil. Set when Rule is AdvisoryRefusal.
	Reason  string
	Instead *semver.Version

	// Set when the transition is one hop of a longer way: what runs, and the
	// stops that were asked for from there on, the target last.
	Running *semver.Version
	Stops   []*semver.Version

	catalog *catalog // nil: known
}

// check returns nil when the transition may be made and a *Refusal otherwise.
func (c *catalog) check(from, to *semver.Version) error {
	if r := c.refuse(from, to); r != nil {
		return r
	}
	return nil
}

func (c *catalog) refuse(from, to *semver.Version) *Refusal {
	rule := c.classify(from, to)
	if rule.Supported() {
		return nil
	}
	r := &Refusal{Rule: rule, From: from, To: to, catalog: c}
	if rule == AdvisoryRefusal {
		a := c.refusal(from, to)
		r.Reason, r.Instead = a.Detail, a.Instead
	}
	return r
}

// Via lists the nearest supported stops between From and To. It is empty when no
// stop makes the transition possible, or none is known. It is worked out when it
// is asked for, so that a check stays cheap.
func (r *Refusal) Via() []*semver.Version {
	path, err := cmp.Or(r.catalog, known).path(r.From, r.To)
	if err != nil || len(path) == 0 {
		return nil
	}
	return path[:len(path)-1]
}

// Attribute names the attribute to mend: "target_version", or "via" when the
// refused hop starts or ends at one of its stops.
func (r *Refusal) Attribute() string {
	if len(r.Stops) > 1 {
		return "via"
	}
	return "target_version"
}

// Error says in one sentence what is refused.
func (r *Refusal) Error() string {
	return fmt.Sprintf("DTR cannot go from %s to %s (%s)", r.From, r.To, r.Rule.row().phrase)
}

// Summary is the title of the refusal.
func (r *Refusal) Summary() string { return r.Rule.row().headline }

// Detail says what runs and what was asked for and, after a blank line, what to
// write instead.
func (r *Refusal) Detail() string { return r.observed() + "\n\n" + r.advice() }

func (r *Refusal) observed() string {
	running, stops := r.asked()
	wanted := fmt.Sprintf("target_version is %s", stops[len(stops)-1])
	if len(stops) > 1 {
		wanted += fmt.Sprintf(", by a way that leads from %s to %s", r.From, r.To)
	}
	return fmt.Sprintf("The cluster runs %s and %s (%s, not supported).", running, wanted, r.Rule.row().phrase)
}

func (r *Refusal) advice() string {
	switch r.Rule {
	case PatchDowngrade, MinorDowngrade, MajorDowngrade:
		if r.Attribute() == "via" {
			return "List the stops of via in ascending order, all of them below target_version."
		}
		return fmt.Sprintf("Set target_version to %s or later. To go back, restore a backup taken with %s.", r.From, r.To)
	case PreRelease:
		if r.From.Prerelease() != "" {
			return "Nothing leads from a pre-release to another version: install a release afresh."
		}
		return "Upgrade to a release instead."
	case AdvisoryRefusal:
		switch {
		case r.Instead == nil:
			return r.Reason + " " + r.adviceOfStops()
		case r.Attribute() == "via":
			return fmt.Sprintf("%s Go to %s in place of %s.", r.Reason, r.Instead, r.To)
		}
		return fmt.Sprintf("%s Set target_version to %s.", r.Reason, r.Instead)
	}
	return r.Rule.Summary() + " " + r.adviceOfStops()
}

func (r *Refusal) adviceOfStops() string {
	via, err := r.way()
	var unknown *UnknownReleaseError
	switch {
	case err == nil:
		return "Name the stops on the way:\n  via = " + List(via)
	case errors.As(err, &unknown):
		return fmt.Sprintf("No %s release is known to this provider: name one in via, and one of every other minor version on the way.", unknown.Line)
	default:
		return "No supported way leads there."
	}
}

// asked gives what runs and the stops that were asked for.
func (r *Refusal) asked() (running *semver.Version, stops []*semver.Version) {
	if len(r.Stops) == 0 {
		return r.From, []*semver.Version{r.To}
	}
	return r.Running, r.Stops
}

// way lists all that via should name: the stops that were asked for and the
// missing ones between them.
func (r *Refusal) way() ([]*semver.Version, error) {
	var via []*semver.Version
	at, stops := r.asked()
	for _, stop := range stops {
		path, err := cmp.Or(r.catalog, known).path(at, stop)
		if err != nil {
			return nil, err
		}
		via = append(via, path...)
		at = stop
	}
	return via[:len(via)-1], nil
}

// List writes versions as a list in Terraform's language: ["2.6.15", "2.7.8"].
func List(versions []*semver.Version) string {
	quoted := make([]string, len(versions))
	for i, v := range versions {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
