package cluster

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Snapshot is what every check of a cluster judges by, read in one go.
type Snapshot struct {
	*Inventory

	Status dtr.ClusterStatus
	Nodes  []ucp.Node
}

// Look takes a snapshot with four requests side by side, after the login to UCP:
// the settings and the cluster status of DTR, the containers and the nodes of UCP.
// Where an engine of its own runs the bootstrapper, that is asked for its
// bootstrappers besides: UCP need not show them.
//
// The errors are a *NoReplicasError, beside which the inventory tells whose cluster
// it is, and those of the clients.
func Look(ctx context.Context, c Cluster) (*Snapshot, error) {
	s := &Snapshot{}
	var direct []ucp.Container
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { s.Inventory, err = Inspect(groupCtx, c); return err })
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
			direct, err = engine.Containers(groupCtx, nil)
			return err
		})
	}
	err := group.Wait()
	if s.Inventory != nil {
		s.addBootstrappers(direct)
	}
	return s, err
}
