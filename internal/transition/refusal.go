package transition

import (
	"cmp"
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// Refusal says which transition is not supported, and by which rule.
type Refusal struct { //nolint:errname // the word for it everywhere else, too
	Rule     Rule
	From, To *semver.Version

	// Running is the version that runs, and Stops are those that were asked for
	// from there on, the target last. From and To are one hop of that path.
	Running *semver.Version
	Stops   []*semver.Version

	// Reason is what the release notes say, and Instead the version that they name
	// in place of To, or nil. Both are set when Rule is AdvisoryRefusal alone.
	Reason  string
	Instead *semver.Version

	catalog *catalog // nil: known
}

// Error says in one sentence what is refused.
func (r *Refusal) Error() string {
	return fmt.Sprintf("DTR cannot go from %s to %s (%s)", r.From, r.To, r.Rule.Name())
}

// Path lists the stops of a supported path from Running through all Stops: those
// that were asked for and the missing ones between them, the target last. It is
// worked out when it is asked for, so that a refusal stays cheap. The error is a
// *Refusal when there is no such path, and a *UnknownReleaseError when the release
// data do not reach.
func (r *Refusal) Path() ([]*semver.Version, error) {
	var path []*semver.Version
	at := r.Running
	for _, stop := range r.Stops {
		part, err := cmp.Or(r.catalog, known).path(at, stop)
		if err != nil {
			return nil, err
		}
		path = append(path, part...)
		at = stop
	}
	return path, nil
}

// check returns nil when the transition may be made and a *Refusal otherwise.
func (c *catalog) check(from, to *semver.Version) error {
	if r := c.refuse(from, to); r != nil {
		return r
	}
	return nil
}

// refuse returns nil when the transition may be made. A refusal is that of the whole
// path; the caller says where it is a hop of a longer one.
func (c *catalog) refuse(from, to *semver.Version) *Refusal {
	rule := c.classify(from, to)
	if rule.Supported() {
		return nil
	}
	r := &Refusal{Rule: rule, From: from, To: to, Running: from, Stops: []*semver.Version{to}, catalog: c}
	if rule == AdvisoryRefusal {
		a := c.refusal(from, to)
		r.Reason, r.Instead = a.Detail, a.Instead
	}
	return r
}
