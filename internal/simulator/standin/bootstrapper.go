package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

const (
	pollInterval  = 500 * time.Millisecond
	settleTime    = 2 * time.Second   // "Waiting for database to stabilize"
	databaseLimit = 600 * time.Second // for a database, or a replica, to become healthy
)

// bootstrapper is one run of one phase.
type bootstrapper struct {
	hooks      Hooks
	clock      clock.Clock
	version    *semver.Version
	repository string
	command    string // of both phases
	options    options
	log        records
	docker     *client.Client
}

func (b *bootstrapper) faults() Faults { return b.hooks.Faults() }

func (b *bootstrapper) reach(ctx context.Context, point string) { b.hooks.Reach(ctx, point) }

// replicas finds the replicas in the list of containers, in the order of ids.
func (b *bootstrapper) replicas(ctx context.Context) ([]replica, error) {
	list, err := b.docker.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("Failed to list containers: %w", err)
	}
	byID := map[string]*replica{}
	for _, c := range list.Items {
		if c.Labels[LabelUnlisted] != "" {
			continue
		}
		for _, name := range c.Names {
			node, p, id, ok := release.ParseContainerName(name)
			if !ok {
				continue
			}
			if byID[id] == nil {
				byID[id] = &replica{id: id, node: node, containers: map[string]container.Summary{}}
			}
			byID[id].containers[p.Name] = c
		}
	}
	var replicas []replica
	for _, r := range byID {
		replicas = append(replicas, *r)
	}
	slices.SortFunc(replicas, func(a, b replica) int { return strings.Compare(a.id, b.id) })
	return replicas, nil
}

// pick lists the replicas, and finds the one that the options name.
func (b *bootstrapper) pick(ctx context.Context) (replicas []replica, existing replica, err error) {
	b.log.info("Searching containers in UCP for DTR replicas")
	if replicas, err = b.replicas(ctx); err != nil {
		return nil, replica{}, err
	}
	i := slices.IndexFunc(replicas, func(r replica) bool { return r.id == b.options.existing })
	if i < 0 {
		return nil, replica{}, fmt.Errorf("Failed to pick existing replica: no replica %q in UCP", b.options.existing)
	}
	return replicas, replicas[i], nil
}

// create creates a container of a replica and starts it. The ports are published
// by the part that has them, nginx; without any it keeps its own.
func (b *bootstrapper) create(ctx context.Context, r replica, p release.Part, ports []container.PortSummary) error {
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

// poll asks until the answer is yes, for as long as the bootstrapper waits for
// anything.
func (b *bootstrapper) poll(ctx context.Context, timeout string, done func() (bool, error)) error {
	limit := b.options.maxWait
	if limit == 0 {
		limit = databaseLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.clock.Scale(limit), errors.New(timeout))
	defer cancel()
	for {
		over := ctx.Err() != nil
		ok, err := done()
		switch {
		case ok || err != nil:
			return err
		case over: // that was the last look
			return context.Cause(ctx)
		}
		_ = b.clock.Pause(ctx, pollInterval)
	}
}
