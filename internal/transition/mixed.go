package transition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// MixedError says that the replicas run different versions and that the stops
// that were asked for do not finish the rollout that was interrupted.
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

// Error says in one sentence what runs.
func (e *MixedError) Error() string {
	return "the replicas run different versions of DTR: " + e.running()
}

// Summary is the title of the refusal.
func (e *MixedError) Summary() string { return "An interrupted DTR upgrade is to be finished first" }

// Detail says what runs and what was asked for and, after a blank line, which
// rollout to finish.
func (e *MixedError) Detail() string {
	observed := "The replicas run " + e.running()
	if len(e.Stops) > 0 {
		observed += fmt.Sprintf(", and the next stop is %s", e.Stops[0])
	}
	return observed + " (mixed versions).\n\n" + e.advice()
}

func (e *MixedError) advice() string {
	switch {
	case e.Finish == nil:
		return "No supported upgrade brings these versions together. Remove the replicas that run other versions than the rest and join new ones, or restore a backup."
	case len(e.Running) > 2:
		return fmt.Sprintf("Finish the rollout to %s: run the upgrade command of its bootstrapper by hand until all replicas run it, then plan again.", e.Finish)
	}
	if via, ok := e.goingOn(); ok {
		return fmt.Sprintf("Finish the rollout to %s on the way:\n  via = %s", e.Finish, List(via))
	}
	advice := fmt.Sprintf("Finish the rollout to %s:\n  target_version = %q", e.Finish, e.Finish)
	if len(e.Stops) > 1 {
		advice += "\n  via            = []"
	}
	return advice
}

// goingOn gives the via that finishes the rollout and goes on to the target, if
// there is one.
func (e *MixedError) goingOn() ([]*semver.Version, bool) {
	if len(e.Stops) == 0 {
		return nil, false
	}
	path, err := cmp.Or(e.catalog, known).path(e.Finish, e.Stops[len(e.Stops)-1])
	if err != nil || len(path) == 0 {
		return nil, false
	}
	return append([]*semver.Version{e.Finish}, path[:len(path)-1]...), true
}

// running lists the versions as a sentence does: "2.5.17, 2.6.3 and 2.6.15".
func (e *MixedError) running() string {
	last := len(e.Running) - 1
	names := make([]string, last)
	for i, v := range e.Running[:last] {
		names[i] = v.String()
	}
	return strings.Join(names, ", ") + " and " + e.Running[last].String()
}
