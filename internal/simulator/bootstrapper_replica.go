package simulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

func (b *bootstrapper) phase2Labels() map[string]string {
	if b.command != commandRemove {
		return nil
	}
	return map[string]string{labelRemoves: b.options.replica}
}

// checkJoin refuses a join that would not make a member of the cluster: a replica
// runs the cluster's version, on a node of its own, beside replicas that are well.
func (b *bootstrapper) checkJoin(ctx context.Context, replicas []replica) error {
	o := &b.options
	if o.replica == "" {
		o.replica = newID()[:12]
	}
	if len(o.replica) != 12 || strings.Trim(o.replica, "0123456789abcdef") != "" {
		return fmt.Errorf("Invalid replica ID %q", o.replica)
	}
	for _, r := range replicas {
		switch {
		case r.id == o.replica:
			return fmt.Errorf("Replica %s already exists", r.id)
		case r.node == o.node:
			return fmt.Errorf("Port 443 is already in use on node %s", o.node)
		case !o.unsafe && !r.whole():
			return fmt.Errorf("Replica %s is not healthy", r.id)
		}
		for _, v := range r.versions() {
			if !v.Equal(b.version) {
				return fmt.Errorf("Replica %s runs %s and cannot be joined with %s", r.id, v, b.version)
			}
		}
	}
	list, err := b.docker.NodeList(ctx, client.NodeListOptions{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list.Items, func(n swarm.Node) bool { return n.Description.Hostname == o.node })
	if i < 0 || list.Items[i].Status.State != swarm.NodeStateReady {
		return fmt.Errorf("Node %s is not available", o.node)
	}
	return nil
}

// checkRemove refuses all but the graceful removal of one replica.
func (b *bootstrapper) checkRemove(replicas []replica) error {
	o := b.options
	if strings.Contains(o.replica, ",") {
		return errors.New("Only one replica can be removed at a time")
	}
	if o.replica == o.existing {
		return fmt.Errorf("Replica %s cannot be removed through itself", o.replica)
	}
	if !slices.ContainsFunc(replicas, func(r replica) bool { return r.id == o.replica }) {
		return fmt.Errorf("Replica %q does not exist", o.replica)
	}
	for _, r := range replicas {
		if r.id != o.replica && !o.force && !r.whole() {
			return fmt.Errorf("Replica %s is not healthy", r.id)
		}
	}
	return nil
}

// whole says whether every container of the replica runs.
func (r replica) whole() bool {
	for _, p := range release.Parts {
		if c, ok := r.containers[p.Name]; !ok || c.State != container.StateRunning || c.Status == "Host Down" {
			return false
		}
	}
	return true
}

// join is phase 2 of a join: it makes the containers of the new replica.
func (b *bootstrapper) join(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	defer b.docker.Close()
	b.log.info("Establishing connection with Rethinkdb")
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
		if err := b.make(ctx, r, p, ports); err != nil {
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

// remove is phase 2 of a removal: the others go on without the replica.
func (b *bootstrapper) remove(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	defer b.docker.Close()
	b.log.info("Establishing connection with Rethinkdb")
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
