package upgrade

import (
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Plan is what is left to do.
type Plan struct {
	// Resume is the hop into the version that runs already and that an earlier
	// run did not see to its end; nil when there is none.
	Resume *transition.Hop
	Hops   []transition.Hop
	// Verify says that the cluster is to be verified though no hop is due: nobody has
	// seen it whole at the target, for all that is known.
	Verify bool
}

// Due reports whether there is anything to do besides looking.
func (p Plan) Due() bool { return p.Resume != nil || len(p.Hops) > 0 }

// next is the hop to work on.
func (p Plan) next() transition.Hop {
	if p.Resume != nil {
		return *p.Resume
	}
	return p.Hops[0]
}

// Left are the hops that are not finished. The one that an earlier run began is among
// them for as long as its bootstrapper's container tells of it, so that the same hops are
// planned again if it ends between plan and apply. A version's own follow-up work is no
// hop.
func (p Plan) Left() []transition.Hop {
	if p.Resume == nil || p.Resume.Rule == transition.Same {
		return p.Hops
	}
	return append([]transition.Hop{*p.Resume}, p.Hops...)
}

// Path is the way that the plan is on: the hops that are not finished, and before them
// those that an earlier run has finished. The bootstrapper's container of the hop that is
// under way tells where the way began.
func (obs *Observation) Path(plan Plan, o Options) []transition.Hop {
	left := plan.Left()
	ours, _ := obs.UpgradeContainer()
	start := cluster.LabelledVersion(ours.Labels, cluster.LabelStart)
	if start == nil {
		return left
	}
	path, err := transition.PlanMixed([]*semver.Version{start}, o.stops())
	if err != nil || len(path) < len(left) {
		return left
	}
	for i, hop := range path[len(path)-len(left):] {
		if !hop.To.Equal(left[i].To) {
			return left
		}
	}
	return path
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
	nextBegun := false // what is half done is of the hop after it
	if c, ok := obs.UpgradeContainer(); ok {
		from, to := cluster.LabelledVersion(c.Labels, cluster.LabelFrom), cluster.LabelledVersion(c.Labels, cluster.LabelTo)
		if from != nil && to != nil && to.Equal(current) {
			return newHop(from, to)
		}
		nextBegun = from != nil && to != nil && from.Equal(current) && slices.ContainsFunc(o.stops(), to.Equal)
	}
	if !slices.ContainsFunc(o.stops(), current.Equal) {
		return nil
	}
	hop := newHop(current, current)
	if obs.ResumesMigration(current, o.Applied) {
		hop.MigrationJobs = []string{migration.MetadataStore}
	}
	_, changing := obs.MembershipChange() // then the half done replica is of that
	if len(hop.MigrationJobs) > 0 || obs.HalfDone() && !changing && !nextBegun {
		return hop
	}
	return nil
}

// couldBeMade reports whether a hop that only the labels of containers tell of can have
// been made by one of them. It is asked of hops that migrate data: what they note of before
// is kept from the first attempt on. While UCP does not show all there is, none is doubted.
func (obs *Observation) couldBeMade(hop transition.Hop) bool {
	lacking := func(r cluster.Replica) bool { return len(r.Missing()) > 0 }
	if len(hop.MigrationJobs) == 0 || hop.From.Equal(hop.To) || slices.ContainsFunc(obs.Replicas, lacking) {
		return true
	}
	return slices.ContainsFunc(obs.Bootstrappers, func(c ucp.Container) bool {
		return c.Labels[cluster.LabelCluster] == obs.Host && isForHop(c.Labels, hop) && migration.TellsOfJobs(c.Labels, hop) &&
			(c.Node == "" || obs.Predates(c.Created) || obs.Finished(c.Labels, hop)) // the clock of an engine of its own is not compared with those of UCP's nodes
	})
}

func newHop(from, to *semver.Version) *transition.Hop {
	return &transition.Hop{
		From: from, To: to,
		Rule:          transition.Classify(from, to),
		MigrationJobs: transition.MigrationJobs(from, to),
	}
}

// isForHop reports whether a container with the labels was made for a hop.
func isForHop(labels map[string]string, hop transition.Hop) bool {
	to := cluster.LabelledVersion(labels, cluster.LabelTo)
	return cluster.IsUpgrade(labels) && to != nil && to.Equal(hop.To)
}

// hopProgress is how far bootstrappers have come with a hop.
type hopProgress int

const (
	hopNotBegun hopProgress = iota // no bootstrapper was started
	hopTried                       // one has replaced nothing yet; the database it may have changed
	hopUnderWay                    // one has replaced something
)

// progressOf is how far a hop has come where a bootstrapper was started, or not. That one
// runs is no proof that it has replaced anything: DTR's own containers tell that.
func progressOf(i *cluster.Inventory, hop transition.Hop, started bool) hopProgress {
	switch {
	case slices.ContainsFunc(i.Versions(), hop.To.Equal):
		return hopUnderWay
	case !started:
		return hopNotBegun
	case i.HalfDone():
		return hopUnderWay
	}
	return hopTried
}
