package upgrade

import (
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Plan is what is left to do.
type Plan struct {
	// Resume is the hop into the version that runs already and that an earlier
	// run did not see to its end; nil when there is none.
	Resume *transition.Hop
	Hops   []transition.Hop
}

// Due says whether there is anything to do.
func (p Plan) Due() bool { return p.Resume != nil || len(p.Hops) > 0 }

// next is the hop to work on.
func (p Plan) next() transition.Hop {
	if p.Resume != nil {
		return *p.Resume
	}
	return p.Hops[0]
}

// bootstrapper is the container of this provider's upgrade of the cluster. There
// are two only where the provider was set to another engine meanwhile; the one at
// work counts.
func (i *Inventory) bootstrapper() (ucp.Container, bool) {
	ours := slices.DeleteFunc(slices.Clone(i.Bootstrappers), func(c ucp.Container) bool { return !isOurs(c, i.Host) || !isUpgrade(c.Labels) })
	if len(ours) == 0 {
		return ucp.Container{}, false
	}
	return ours[max(0, slices.IndexFunc(ours, running))], true
}

// resume finds the hop into the current version that is not finished: its
// bootstrapper container is still there, a container is missing, or a migration
// that belongs to it is not done and the configuration asks for that version.
func (obs *Observation) resume(o Options) *transition.Hop {
	versions := obs.Versions()
	if len(versions) != 1 {
		return nil // the hop into the higher version is among the plan's hops
	}
	current := versions[0]
	ahead := false // what is half done is of the hop after it
	if c, ok := obs.bootstrapper(); ok {
		from, to := labelledVersion(c.Labels, labelFrom), labelledVersion(c.Labels, labelTo)
		if from != nil && to != nil && to.Equal(current) {
			return newHop(from, to)
		}
		ahead = from != nil && to != nil && from.Equal(current) && slices.ContainsFunc(o.stops(), to.Equal)
	}
	if !slices.ContainsFunc(o.stops(), current.Equal) {
		return nil
	}
	hop := newHop(current, current)
	pending := obs.pendingMigration(current)
	applied := o.Applied != nil && !o.Applied.LessThan(current)
	if pending != nil && pending.action == metadataStoreMigration || !applied && obs.owesMigration(current) {
		hop.MigrationJobs = []string{metadataStoreMigration}
	}
	_, scaling := obs.scaling() // whose half a replica it then is
	if len(hop.MigrationJobs) > 0 || obs.halfDone() && !scaling && !ahead {
		return hop
	}
	return nil
}

func newHop(from, to *semver.Version) *transition.Hop {
	return &transition.Hop{
		From: from, To: to,
		Rule:          transition.Classify(from, to),
		MigrationJobs: transition.MigrationJobs(from, to),
	}
}
