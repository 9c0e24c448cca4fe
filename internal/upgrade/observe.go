package upgrade

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Observation is all that preflight judges: a snapshot of the cluster, and what
// only an upgrade asks for.
type Observation struct {
	migration.Seen

	At time.Time // by the clock of the options

	Ping    error       // of DTR's external address; nil when it answered well
	Version ucp.Version // of the engine behind UCP, and of UCP

	ContentTrust    bool
	ContentTrustErr error // why it could not be read

	RunnerMemory int64 // bytes, of the engine that runs the bootstrapper; 0 when it runs through UCP
	Images       *images.Lookup
	Backup       backup.FileState
}

// Observe reads what preflight needs, in two steps after the login to UCP. The first one
// tells which versions run. Unless that shows that nothing is due, the second one asks
// for everything else, side by side. Only an image that its registry does not hand out
// costs another look, at the nodes. Errors: an *cluster.OtherClusterError, a
// *cluster.NoReplicasError, and those of the clients.
func Observe(ctx context.Context, c cluster.Cluster, o Options) (*Observation, error) {
	return observe(ctx, c, o, nil, migration.Actions())
}

// ObserveForPlan is Observe for a plan, by which nothing is changed. The first step is
// left out if seen, which may be nil, is what a refresh has read just now. Of the
// migrations those are asked for that the versions make plausible; an apply asks for all
// of them.
func ObserveForPlan(ctx context.Context, c cluster.Cluster, o Options, seen *cluster.Inventory) (*Observation, error) {
	return observe(ctx, c, o, seen, nil)
}

func observe(parent context.Context, c cluster.Cluster, o Options, seen *cluster.Inventory, actions []string) (*Observation, error) {
	c.Mirror = o.Images.Repository
	obs := &Observation{
		Seen: migration.Seen{Snapshot: &cluster.Snapshot{Inventory: seen}, Jobs: map[string][]dtr.Job{}},
		At:   o.now(),
	}
	if atRest, err := obs.lookFirst(parent, c, o); err != nil || atRest {
		obs.Images = images.NewLookup(o.Images, nil)
		return obs, err
	}
	complete := actions != nil
	if !complete {
		actions = migration.ActionsAt(obs.Versions())
	}
	versions := obs.targets(o)
	obs.Images = images.NewLookup(o.Images, versions)
	if name := o.backupFile(); name != "" {
		obs.Backup = backup.Look(name)
	}
	group, ctx := errgroup.WithContext(parent)
	first := obs.Inventory
	group.Go(func() (err error) { obs.Snapshot, err = cluster.LookFurther(ctx, c, first); return err })
	group.Go(func() error { obs.Ping = c.Ping(ctx); return nil })
	if complete || slices.Contains(lines(first.Versions()), migration.MetadataStoreVersion) {
		group.Go(func() (err error) { obs.Features, err = c.DTR.Features(ctx); return err })
	}
	var mu sync.Mutex // guards obs.Jobs
	for _, action := range actions {
		group.Go(func() error {
			jobs, err := migration.Latest(ctx, c.DTR, action)
			mu.Lock()
			defer mu.Unlock()
			obs.Jobs[action] = jobs
			return err
		})
	}
	group.Go(func() error {
		obs.ContentTrust, obs.ContentTrustErr = c.UCP.RequireContentTrust(ctx)
		return nil
	})
	group.Go(func() error {
		engine, err := c.UCP.Engine(ctx)
		if err != nil {
			return err
		}
		group.Go(func() (err error) { obs.Version, err = engine.Version(ctx); return err })
		group.Go(func() error { return obs.Images.AskComponents(ctx, engine, versions) })
		return nil
	})
	group.Go(func() error {
		engine, err := c.BootstrapEngine(ctx)
		if err != nil {
			return err
		}
		group.Go(func() error { return obs.Images.AskBootstrappers(ctx, engine, c.Docker != nil, versions) })
		if c.Docker == nil {
			return nil
		}
		group.Go(func() (err error) { obs.RunnerMemory, err = engine.Memory(ctx); return err })
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	existing, _ := obs.ExistingReplica(o.ExistingReplicaID)
	obs.Images.Node = c.BootstrapNode(existing)
	if err := obs.lookForBackupImage(parent, c, o); err != nil {
		return nil, err
	}
	return obs, obs.Images.AskNodes(parent, c, obs.ReplicaNodes(), versions)
}

// lookFirst reads the inventory, unless it was read already, and reports whether it
// shows that nothing is due.
func (obs *Observation) lookFirst(ctx context.Context, c cluster.Cluster, o Options) (atRest bool, err error) {
	if obs.Inventory == nil {
		obs.Inventory, err = cluster.Inspect(ctx, c)
	}
	if obs.Inventory != nil { // that it is another cluster explains all else
		if err := cluster.CheckHost(o.Host, obs.Host); err != nil {
			return false, err
		}
	}
	if err != nil || !obs.wholeAtTarget(o) {
		return false, err
	}
	if err := obs.AddOwn(ctx, c); err != nil {
		return false, err
	}
	if _, begun := obs.UpgradeContainer(); begun {
		return false, nil
	}
	if slices.Contains(lines(obs.Versions()), migration.MetadataStoreVersion) {
		if obs.Jobs[migration.MetadataStore], err = migration.Latest(ctx, c.DTR, migration.MetadataStore); err != nil {
			return false, err
		}
	}
	return obs.resume(o) == nil, nil
}

// wholeAtTarget reports whether every container runs the target, and an earlier run has
// seen the cluster whole there.
func (obs *Observation) wholeAtTarget(o Options) bool {
	return o.verified() && obs.Inventory.At(o.Target)
}

// targets are the versions of the hops that are due and were not applied yet: no images
// of others are asked for.
func (obs *Observation) targets(o Options) []*semver.Version {
	hops, _ := transition.PlanMixed(obs.Versions(), o.stops()) // without hops nothing is asked
	return slices.DeleteFunc(o.ahead(), func(v *semver.Version) bool {
		return !slices.ContainsFunc(hops, func(h transition.Hop) bool { return h.To.Equal(v) })
	})
}

// lines are the minor versions of versions.
func lines(versions []*semver.Version) []string {
	var all []string
	for _, v := range versions {
		all = append(all, minor(v.String()))
	}
	return all
}

// lookForBackupImage asks for the bootstrapper's image of the version that runs,
// where that is going to take a backup.
func (obs *Observation) lookForBackupImage(ctx context.Context, c cluster.Cluster, o Options) error {
	versions := obs.Versions()
	if o.Backup == nil || len(versions) != 1 || !versions[0].LessThan(o.Target) {
		return nil
	}
	return obs.Images.AddBootstrapper(ctx, c, versions[0])
}
