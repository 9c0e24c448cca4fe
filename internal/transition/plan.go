package transition

import (
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
	Index       int             // of Stop
	Stop, After *semver.Version // Stop is not below After, which follows it
	Target      bool            // After is the target, the last of the stops
}

func (e *OrderError) Error() string {
	return fmt.Sprintf("stop %s is followed by %s, which is not above it", e.Stop, e.After)
}

// StopsAscending checks the order of the stops, of which the last is the target.
// One stop may be the target itself: a path from UpgradePath ends in it. The error
// is an *OrderError.
func StopsAscending(stops []*semver.Version) error {
	for i := 1; i < len(stops); i++ {
		target := i == len(stops)-1
		if stops[i-1].LessThan(stops[i]) || target && stops[i-1].Equal(stops[i]) {
			continue
		}
		return &OrderError{Index: i - 1, Stop: stops[i-1], After: stops[i], Target: target}
	}
	return nil
}

// hops plans the way from the running version through the stops, of which the
// last is the target. Stops that are passed already are left out, and there are
// no hops when the target runs. The error is a *Refusal.
func (c *catalog) hops(from *semver.Version, stops []*semver.Version) ([]Hop, error) {
	stops = ahead(from, stops)
	var hops []Hop
	at := from
	for _, stop := range stops {
		if r := c.refuse(at, stop); r != nil {
			r.Running, r.Stops = from, stops
			return nil, r
		}
		if rule := c.classify(at, stop); rule != Same {
			hops = append(hops, Hop{From: at, To: stop, Rule: rule, MigrationJobs: c.migrationJobs(at, stop)})
		}
		at = stop
	}
	return hops, nil
}

// ahead leaves out the stops that from has reached. The target stays: when it lies
// behind, the path is a downgrade, whatever the other stops are.
func ahead(from *semver.Version, stops []*semver.Version) []*semver.Version {
	last := len(stops) - 1
	if last < 0 {
		return nil
	}
	if !from.LessThan(stops[last]) {
		return stops[last:]
	}
	return stops[slices.IndexFunc(stops, from.LessThan):]
}
