package upgrade

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
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

// Observe reads what preflight needs. The requests go out side by side: after
// the login to UCP nothing waits for anything else. Only an image that its
// registry does not hand out costs a second look, at the nodes. Errors: an
// *cluster.OtherClusterError, a *cluster.NoReplicasError, and those of the clients.
func Observe(parent context.Context, c cluster.Cluster, o Options) (*Observation, error) {
	c.Mirror = o.Images.Repository
	versions := o.ahead()
	obs := &Observation{
		Seen: migration.Seen{Snapshot: &cluster.Snapshot{}, Jobs: map[string][]dtr.Job{}},
		At:   o.now(), Images: images.NewLookup(o.Images, versions),
	}
	if name := o.backupFile(); name != "" {
		obs.Backup = backup.Look(name)
	}
	group, ctx := errgroup.WithContext(parent)
	group.Go(func() error {
		seen, err := cluster.Look(ctx, c)
		obs.Snapshot = seen
		if seen.Inventory != nil { // that it is another cluster explains all else
			if err := cluster.CheckHost(o.Host, seen.Host); err != nil {
				return err
			}
		}
		return err
	})
	group.Go(func() error { obs.Ping = c.Ping(ctx); return nil })
	group.Go(func() (err error) { obs.Features, err = c.DTR.Features(ctx); return err })
	var mu sync.Mutex // guards obs.Jobs
	for _, action := range migration.Actions() {
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
		group.Go(func() error { return obs.Images.AskBootstrappers(ctx, engine, versions) })
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

// lookForBackupImage asks for the bootstrapper's image of the version that runs,
// where that is going to take a backup.
func (obs *Observation) lookForBackupImage(ctx context.Context, c cluster.Cluster, o Options) error {
	versions := obs.Versions()
	if o.Backup == nil || len(versions) != 1 || !versions[0].LessThan(o.Target) {
		return nil
	}
	return obs.Images.AddBootstrapper(ctx, c, versions[0])
}
