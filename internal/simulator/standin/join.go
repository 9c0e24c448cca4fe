package standin

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// join is phase 2 of a join: it creates the containers of the new replica.
func join(ctx context.Context, b *bootstrapper) error {
	b.reach(ctx, JoinStarted)
	if b.faults().SkipReplica == 1 {
		return nil
	}
	r := replica{id: b.options.replica, node: b.options.node}
	ports := []container.PortSummary{
		{PrivatePort: 80, PublicPort: uint16(b.options.httpPort)},
		{PrivatePort: 443, PublicPort: uint16(b.options.httpsPort)},
	}
	for i, p := range release.Parts {
		if b.faults().DieAtReplica == 1 && i == partsBeforeDeath {
			return errDied
		}
		if b.faults().LeaveOldPart == p.Name {
			continue
		}
		b.log.info("Creating " + p.ContainerName(r.id) + "...")
		if err := b.create(ctx, r, p, ports); err != nil {
			return fmt.Errorf("Failed to create %s: %w", p.ContainerName(r.id), err)
		}
	}
	if b.faults().LeaveOldPart == "" {
		if err := b.waitUntilHealthy(ctx, r); err != nil {
			return err
		}
	}
	b.log.info("Successfully registered dtr with UCP")
	return ctx.Err()
}
