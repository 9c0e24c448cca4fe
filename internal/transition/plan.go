package transition

import (
	"errors"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
)

// Hop is one supported transition, made by one run of the bootstrapper.
type Hop struct {
	From, To      *semver.Version
	Rule          Rule
	MigrationJobs []string // run by DTR after the hop; the next hop waits for them
}

// OrderError says that the stops do not ascend to the target.
type OrderError struct {
	Index    int             // of the offending stop
	Stop     *semver.Version // not below After
	After    *semver.Version // what follows it
	IsTarget bool            // whether After is the target
}

func (e *OrderError) Error() string {
	if e.IsTarget {
		return fmt.Sprintf("via names %s, which is not below target_version %s", e.Stop, e.After)
	}
	return fmt.Sprintf("via names %s before %s: the stops must ascend", e.Stop, e.After)
}

// StopsAscending checks the order of stops, of which the last is the target and
// the others are via. The error is an *OrderError.
func StopsAscending(stops []*semver.Version) error {
	for i := 1; i < len(stops); i++ {
		if !stops[i-1].LessThan(stops[i]) {
			return &OrderError{Index: i - 1, Stop: stops[i-1], After: stops[i], IsTarget: i == len(stops)-1}
		}
	}
	return nil
}

// Hops plans the way from the running version through the stops, of which the
// last is the target. Stops that are passed already are left out; nothing is left
// to do when the target runs. The error is a *Refusal.
func Hops(from *semver.Version, stops []*semver.Version) ([]Hop, error) {
	return known.hops(from, stops)
}

func (c *catalog) hops(from *semver.Version, stops []*semver.Version) ([]Hop, error) {
	stops = ahead(from, stops)
	var hops []Hop
	at := from
	for _, stop := range stops {
		if err := c.check(at, stop); err != nil {
			var r *Refusal
			if errors.As(err, &r) {
				r.Running, r.Stops = from, stops
			}
			return nil, err
		}
		if rule := c.classify(at, stop); rule != Same {
			hops = append(hops, Hop{From: at, To: stop, Rule: rule, MigrationJobs: c.migrationJobs(at, stop)})
		}
		at = stop
	}
	return hops, nil
}

// ahead leaves out the stops of via that from has reached. The target stays: when
// it lies behind, that is a downgrade, whatever via says.
func ahead(from *semver.Version, stops []*semver.Version) []*semver.Version {
	if len(stops) == 0 {
		return nil
	}
	via, target := stops[:len(stops)-1], stops[len(stops)-1]
	if !from.LessThan(target) {
		return []*semver.Version{target}
	}
	i := slices.IndexFunc(via, from.LessThan)
	if i < 0 {
		i = len(via)
	}
	return stops[i:]
}

// MixedError says that the replicas run different versions and that the wanted
// stops do not finish the rollout that was interrupted.
type MixedError struct {
	Running []*semver.Version // ascending
	Stops   []*semver.Version // as they were asked for, the target last
	Finish  *semver.Version   // the version whose rollout to finish, or nil when none can be told
}

// PlanMixed plans like Hops for a cluster whose replicas run the given versions,
// in any order. Two versions are an interrupted rollout, which the way must finish
// first: the higher one must be the next stop after the lower one. The error is a
// *Refusal or a *MixedError.
func PlanMixed(running []*semver.Version, stops []*semver.Version) ([]Hop, error) {
	return known.planMixed(running, stops)
}

func (c *catalog) planMixed(running []*semver.Version, stops []*semver.Version) ([]Hop, error) {
	running = slices.Clone(running)
	slices.SortFunc(running, (*semver.Version).Compare)
	running = slices.CompactFunc(running, (*semver.Version).Equal)
	switch len(running) {
	case 0:
		return nil, errors.New("no running version to plan from")
	case 1:
		return c.hops(running[0], stops)
	}
	lowest, highest := running[0], running[len(running)-1]
	if next := ahead(lowest, stops); len(running) == 2 && len(next) > 0 && next[0].Equal(highest) {
		return c.hops(lowest, stops)
	}
	e := &MixedError{Running: running, Stops: stops}
	if len(running) == 2 && c.classify(lowest, highest).Supported() {
		e.Finish = highest
	}
	return nil, e
}

func (e *MixedError) Error() string { return "the replicas run different versions of DTR" }

// Summary is the title of the refusal.
func (e *MixedError) Summary() string { return "The replicas run different versions of DTR" }

// Detail says what runs and what to write.
func (e *MixedError) Detail() string { return "" }
