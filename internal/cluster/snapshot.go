package cluster

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Snapshot is the state of a cluster that the preflight checks are based on.
type Snapshot struct {
	*Inventory

	Status dtr.ClusterStatus
	Nodes  []ucp.Node
}

// Look takes a snapshot with four requests in parallel, after the login to UCP: the
// settings and the cluster status of DTR, the containers and the nodes of UCP. If
// another engine runs the bootstrapper, its bootstrappers are read as well, since UCP
// need not show them.
//
// The errors are a *NoReplicasError, with which the inventory is returned to tell
// which cluster it is, and those of the clients.
func Look(ctx context.Context, c Cluster) (*Snapshot, error) {
	return look(ctx, c, func(ctx context.Context) (*Inventory, error) { return InspectAll(ctx, c) })
}

// LookFurther is Look of a cluster whose settings were read just now, with an inventory:
// they are not asked for again.
func LookFurther(ctx context.Context, c Cluster, seen *Inventory) (*Snapshot, error) {
	return look(ctx, c, func(ctx context.Context) (*Inventory, error) {
		engine, err := c.UCP.Engine(ctx)
		if err != nil {
			return nil, err
		}
		containers, err := listAll(ctx, c, engine)
		if err != nil {
			return nil, err
		}
		inventory := newInventory(seen.Host, c, seen.settings, containers)
		if err := inventory.checkJoins(ctx, c); err != nil {
			return nil, err
		}
		return inventory, inventory.Check(seen.settings)
	})
}

func look(ctx context.Context, c Cluster, inspect func(context.Context) (*Inventory, error)) (*Snapshot, error) {
	s := &Snapshot{}
	var direct []ucp.Container
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { s.Inventory, err = inspect(groupCtx); return err })
	group.Go(func() (err error) { s.Status, err = c.DTR.ClusterStatus(groupCtx); return err })
	group.Go(func() error {
		engine, err := c.UCP.Engine(groupCtx)
		if err != nil {
			return err
		}
		s.Nodes, err = engine.Nodes(groupCtx)
		return err
	})
	if c.Docker != nil {
		group.Go(func() error {
			engine, err := c.Docker.Engine(groupCtx)
			if err != nil {
				return err
			}
			direct, err = engine.SelectContainers(groupCtx, patterns(c.Mirror), func(found ucp.Container) bool { return isBootstrapper(found, c.Mirror) })
			return err
		})
	}
	err := group.Wait()
	if s.Inventory != nil {
		s.addBootstrappers(direct, c)
		if err == nil && len(direct) > 0 {
			err = s.checkJoins(ctx, c)
		}
	}
	return s, err
}

// AddOwn adds to an inventory this provider's containers on the engine that runs the
// bootstrapper, if UCP does not show them.
func (i *Inventory) AddOwn(ctx context.Context, c Cluster) error {
	if c.Docker == nil {
		return nil
	}
	engine, err := c.Docker.Engine(ctx)
	if err != nil {
		return err
	}
	own, err := engine.ContainersNamed(ctx, namePart)
	if err != nil {
		return err
	}
	i.addBootstrappers(own, c)
	return nil
}
