package standin

import (
	"context"
	"fmt"
	"slices"

	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// upgrade is phase 2 of an upgrade: it replaces the containers of one replica after
// the other. Those that already run the target are skipped, so a second run
// continues where the first one stopped.
func upgrade(ctx context.Context, b *bootstrapper) error {
	replicas, err := b.replicas(ctx)
	if err != nil {
		return err
	}
	b.log.info("Migrating db...")
	if slices.ContainsFunc(replicas, b.schemaDiffers) {
		b.log.info("Migrating database schema", "fromVersion", 9, "toVersion", 10)
	}
	for i, r := range replicas {
		if b.faults().SkipReplica == i+1 {
			continue
		}
		if err := b.reconfigure(ctx, i+1, r); err != nil {
			return err
		}
	}
	b.log.info("Verifying auth settings...")
	b.log.info("Successfully registered dtr with UCP")
	return nil
}

func (b *bootstrapper) schemaDiffers(r replica) bool {
	for _, v := range r.versions() {
		if v.Major() != b.version.Major() || v.Minor() != b.version.Minor() {
			return true
		}
	}
	return false
}

// reconfigure brings the k-th replica to the target version.
func (b *bootstrapper) reconfigure(ctx context.Context, k int, r replica) error {
	var due []release.Part
	for _, p := range release.Parts {
		if !r.isAt(p.Name, b.version) && b.faults().LeaveOldPart != p.Name {
			due = append(due, p)
		}
	}
	if len(due) == 0 {
		return nil
	}
	b.reach(ctx, ReplicaStarted(k))
	if err := b.waitForDatabase(ctx, r); err != nil {
		return err
	}
	for i, p := range due {
		if b.faults().DieAtReplica == k && i == partsBeforeDeath {
			return errDied
		}
		b.log.info("Recreating " + p.ContainerName(r.id) + "...")
		if err := b.recreate(ctx, r, p); err != nil {
			return fmt.Errorf("Failed to recreate %s: %w", p.ContainerName(r.id), err)
		}
	}
	if b.faults().DieAtReplica == k {
		return errDied // fewer containers were due
	}
	if err := b.waitUntilHealthy(ctx, r); err != nil {
		return err
	}
	b.log.info("Trying to get the kv store connection back after reconfigure")
	b.reach(ctx, ReplicaReplaced(k))
	return ctx.Err()
}

func (b *bootstrapper) recreate(ctx context.Context, r replica, p release.Part) error {
	if old, ok := r.containers[p.Name]; ok {
		if _, err := b.docker.ContainerStop(ctx, old.ID, client.ContainerStopOptions{}); err != nil {
			return err
		}
		if _, err := b.docker.ContainerRemove(ctx, old.ID, client.ContainerRemoveOptions{}); err != nil {
			return err
		}
	}
	return b.create(ctx, r, p, r.containers["nginx"].Ports)
}

// waitForDatabase waits until the databases of the other replicas run: this
// one is about to be replaced.
func (b *bootstrapper) waitForDatabase(ctx context.Context, r replica) error {
	b.log.info("Waiting for database to stabilize for up to 600 seconds before attempting to reconfigure replica " + r.id)
	if err := b.clock.Sleep(ctx, settleTime); err != nil {
		return err
	}
	return b.poll(ctx, "failed to wait for rethink to be healthy: Timed out while waiting for tables", func() (bool, error) {
		replicas, err := b.replicas(ctx)
		for _, other := range replicas {
			if other.id != r.id && !other.runs("rethinkdb") {
				return false, err
			}
		}
		return err == nil, err
	})
}
