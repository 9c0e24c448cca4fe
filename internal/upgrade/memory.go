package upgrade

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// minMemory is the vendor's requirement for the node that runs the upgrade, 16
// GB. It is decimal: a machine with 16 GiB reports a little less than that.
const minMemory = 16_000_000_000

// How many containers are asked at a time what they use, and how long that may
// take: an old engine takes two seconds for each.
const (
	usesAtOnce = 16
	usesLimit  = 10 * time.Second
)

// runnerMemory is the memory of the machine that runs the bootstrapper, and what
// it is called. Zero bytes are a node that UCP does not list.
func (obs *Observation) runnerMemory(o Options) (bytes int64, where string, known bool) {
	if obs.RunnerMemory > 0 {
		return obs.RunnerMemory, "the host of provider attribute docker", true
	}
	replica, ok := obs.existingReplica(o.ExistingReplicaID)
	if !ok {
		return 0, "", false
	}
	if i := slices.IndexFunc(obs.Nodes, func(n ucp.Node) bool { return n.Hostname == replica.Node }); i >= 0 {
		bytes = obs.Nodes[i].MemoryBytes
	}
	return bytes, "node " + replica.Node, true
}

// lookAtMemory adds up what the running containers of the machine use that runs
// the bootstrapper. No engine tells what else is used, so that this is the least
// that may be; a container that does not tell changes nothing about that.
func (obs *Observation) lookAtMemory(ctx context.Context, engine *ucp.Engine, containers []ucp.Container) {
	ctx, cancel := context.WithTimeout(ctx, usesLimit)
	defer cancel()
	var used atomic.Int64
	var group errgroup.Group
	group.SetLimit(usesAtOnce)
	for _, c := range containers {
		if !running(c) {
			continue
		}
		group.Go(func() error {
			if bytes, err := engine.MemoryUse(ctx, c.ID); err == nil {
				used.Add(bytes)
			}
			return nil
		})
	}
	_ = group.Wait()
	obs.RunnerUse = used.Load()
}

func (p *preflight) memory() {
	const ask = "the vendor asks for 16 GB of available memory on the node that runs the upgrade."
	memory, where, known := p.obs.runnerMemory(p.o)
	available := max(0, memory-p.obs.RunnerUse)
	switch {
	case !known: // existingReplica and replicaHealth have said why
	case memory == 0:
		p.find(CheckMemory, Warning, "", "The memory of the upgrade's node is not known",
			fmt.Sprintf("UCP does not tell the memory of %s.", where), "Make sure that the node has 16 GB of memory.")
	case memory < minMemory:
		p.find(CheckMemory, Error, "", "Too little memory for the upgrade",
			fmt.Sprintf("%s has %s; %s", capital(where), gigabytes(memory), ask),
			"Run the upgrade from a larger node (existing_replica_id, or the provider's docker).")
	case available < minMemory:
		p.find(CheckMemory, Warning, "", "Less than 16 GB of memory are available for the upgrade",
			fmt.Sprintf("%s has %s, and its running containers use %s: at most %s are available; %s",
				capital(where), gigabytes(memory), gigabytes(p.obs.RunnerUse), gigabytes(available), ask),
			"Move other containers away from the node, or run the upgrade from one with more to spare (existing_replica_id, or the provider's docker).")
	}
}

func gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }
