package simulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// partsBeforeDeath is how many containers of a replica a bootstrapper replaces
// that is told to die at it.
const partsBeforeDeath = 4

var errDied = errors.New("died, as it was told to")

func (b *bootstrapper) runPhase2(ctx context.Context) int {
	work := map[string]func(context.Context) error{commandUpgrade: b.phase2, commandJoin: b.join, commandRemove: b.remove}[b.command]
	if err := work(ctx); err != nil {
		if !errors.Is(err, errDied) {
			b.log.write("fatal", err.Error())
		}
		return 1
	}
	return 0
}

// phase2 replaces the containers of one replica after the other. What already
// runs the target is passed over, which is how a second run goes on where the
// first one stopped.
func (b *bootstrapper) phase2(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	defer b.docker.Close()
	b.log.info("Establishing connection with Rethinkdb")
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

// reconfigure brings the k-th replica to the target.
func (b *bootstrapper) reconfigure(ctx context.Context, k int, r replica) error {
	var due []release.Part
	for _, p := range release.Parts {
		if !b.atTarget(r, p) && b.faults().LeaveOldPart != p.Name {
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

// atTarget says whether a part runs at the target; from which repository its
// image came does not matter.
func (b *bootstrapper) atTarget(r replica, p release.Part) bool {
	c, ok := r.containers[p.Name]
	_, tag := release.SplitRef(c.Image)
	return ok && c.State == container.StateRunning && tag == b.version.String()
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
	return b.make(ctx, r, p, r.containers["nginx"].Ports)
}

// make makes a container of a replica and starts it; that of nginx is given the
// ports, if there are any.
func (b *bootstrapper) make(ctx context.Context, r replica, p release.Part, ports []container.PortSummary) error {
	spec := p.Spec(b.repository, b.version.String(), r.id)
	host := spec.Host
	spec.Config.Env = append(spec.Config.Env, "constraint:node=="+r.node)
	for _, port := range ports {
		if private := network.MustParsePort(fmt.Sprintf("%d/tcp", port.PrivatePort)); port.PublicPort > 0 && host.PortBindings[private] != nil {
			host.PortBindings[private] = []network.PortBinding{{HostPort: strconv.Itoa(int(port.PublicPort))}}
		}
	}
	created, err := b.docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: spec.Name, Config: spec.Config, HostConfig: host,
	})
	if err != nil {
		return err
	}
	_, err = b.docker.ContainerStart(ctx, created.ID, client.ContainerStartOptions{})
	return err
}

// waitForDatabase waits until the databases of the other replicas run: this
// one is about to go.
func (b *bootstrapper) waitForDatabase(ctx context.Context, r replica) error {
	b.log.info("Waiting for database to stabilize for up to 600 seconds before attempting to reconfigure replica " + r.id)
	if err := b.clock.Sleep(ctx, databaseSettleTime); err != nil {
		return err
	}
	return b.poll(ctx, "failed to wait for rethink to be healthy: Timed out while waiting for tables", func() (bool, error) {
		replicas, err := b.replicas(ctx)
		for _, other := range replicas {
			c, ok := other.containers["rethinkdb"]
			if other.id != r.id && (!ok || c.State != container.StateRunning || c.Status == "Host Down") {
				return false, err
			}
		}
		return err == nil, err
	})
}

// waitUntilHealthy waits until every container of the replica runs, and the
// one with a health check is healthy.
func (b *bootstrapper) waitUntilHealthy(ctx context.Context, r replica) error {
	for _, p := range release.Parts {
		err := b.poll(ctx, "Timed out while waiting for "+p.ContainerName(r.id), func() (bool, error) {
			found, err := b.docker.ContainerInspect(ctx, p.ContainerName(r.id), client.ContainerInspectOptions{})
			if err != nil {
				return false, err
			}
			state := found.Container.State
			return state.Running && (state.Health == nil || state.Health.Status == container.Healthy), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// poll looks until it is so, or for as long as the bootstrapper waits for
// anything.
func (b *bootstrapper) poll(ctx context.Context, timeout string, look func() (bool, error)) error {
	limit := b.options.maxWait
	if limit == 0 {
		limit = databaseLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.clock.Scale(limit), errors.New(timeout))
	defer cancel()
	for {
		over := ctx.Err() != nil
		ok, err := look()
		switch {
		case ok || err != nil:
			return err
		case over: // that was the last look
			return context.Cause(ctx)
		}
		_ = b.clock.Pause(ctx, pollInterval)
	}
}
