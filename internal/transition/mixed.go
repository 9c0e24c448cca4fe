package transition

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// MixedError says that the replicas run different versions and that the stops that
// were asked for do not finish the rollout that was interrupted.
type MixedError struct {
	Running []*semver.Version // ascending
	Stops   []*semver.Version // what was asked for from the lowest on, the target last
	Finish  *semver.Version   // whose rollout to finish first; nil when no upgrade leads there

	catalog *catalog // nil: known
}

// PlanMixed plans the hops of a cluster whose replicas run the given versions, in
// any order, through the stops, of which the last is the target. Stops that are
// passed already are left out, and there are no hops when the target runs.
// Two versions are a rollout that was interrupted and is finished first: the
// higher one must be the next stop after the lower one. The error is a *Refusal or
// a *MixedError.
func PlanMixed(running []*semver.Version, stops []*semver.Version) ([]Hop, error) {
	return known.planMixed(running, stops)
}

func (c *catalog) planMixed(running []*semver.Version, stops []*semver.Version) ([]Hop, error) {
	running = slices.SortedFunc(slices.Values(running), (*semver.Version).Compare)
	running = slices.CompactFunc(running, (*semver.Version).Equal)
	if len(running) == 0 {
		return nil, errors.New("no version runs that a plan could start from")
	}
	lowest, highest := running[0], running[len(running)-1]
	remaining := ahead(lowest, stops)
	interrupted := len(running) == 2 && len(remaining) > 0 && remaining[0].Equal(highest)
	if len(running) == 1 || interrupted {
		return c.hops(lowest, stops)
	}
	return nil, &MixedError{Running: running, Stops: remaining, Finish: c.finishing(running), catalog: c}
}

// finishing gives the highest version when every other one may be upgraded to it
// in one hop, and nil otherwise: then no single rollout brings them together.
func (c *catalog) finishing(running []*semver.Version) *semver.Version {
	highest := running[len(running)-1]
	for _, v := range running {
		if !c.classify(v, highest).Supported() {
			return nil
		}
	}
	return highest
}

func (e *MixedError) Error() string {
	names := make([]string, len(e.Running))
	for i, v := range e.Running {
		names[i] = v.String()
	}
	return "the replicas run different versions of DTR: " + strings.Join(names, ", ")
}

// Path lists the stops that finish the rollout and go on to the target, the target
// last; nil when no supported path leads there.
func (e *MixedError) Path() []*semver.Version {
	if e.Finish == nil || len(e.Stops) == 0 {
		return nil
	}
	path, err := cmp.Or(e.catalog, known).path(e.Finish, e.Stops[len(e.Stops)-1])
	if err != nil || len(path) == 0 {
		return nil
	}
	return append([]*semver.Version{e.Finish}, path...)
}
