package standin

import (
	"context"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// remove is phase 2 of a removal: it removes the containers of the replica.
func remove(ctx context.Context, b *bootstrapper) error {
	replicas, err := b.replicas(ctx)
	if err != nil {
		return err
	}
	b.reach(ctx, RemoveStarted)
	if b.faults().SkipReplica == 1 {
		return nil
	}
	removed := 0
	for _, r := range replicas {
		if r.id != b.options.replica {
			continue
		}
		for _, p := range slices.Backward(release.Parts) {
			c, ok := r.containers[p.Name]
			if !ok {
				continue
			}
			if b.faults().DieAtReplica == 1 && removed == partsBeforeDeath {
				return errDied
			}
			b.log.info("Removing " + p.ContainerName(r.id) + "...")
			if isLost(c) && b.options.force {
				continue // it is out of reach
			}
			if _, err := b.docker.ContainerStop(ctx, c.ID, client.ContainerStopOptions{}); err != nil {
				return err
			}
			if _, err := b.docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{RemoveVolumes: true}); err != nil {
				return err
			}
			removed++
		}
	}
	b.log.info("Successfully registered dtr with UCP")
	return ctx.Err()
}

// isLost reports whether UCP does not reach the node of a container.
func isLost(c container.Summary) bool { return strings.Contains(c.Status, "Host Down") }
