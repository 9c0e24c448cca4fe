package ucp

import (
	"context"

	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Nodes lists the nodes of the swarm.
func (e *Engine) Nodes(ctx context.Context) ([]Node, error) {
	list, err := call(ctx, e.connection, callLimit, "list nodes", func(ctx context.Context, c *client.Client) (client.NodeListResult, error) {
		return c.NodeList(ctx, client.NodeListOptions{})
	})
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, len(list.Items))
	for i, n := range list.Items {
		nodes[i] = Node{
			ID:            scrub.Line(n.ID),
			Hostname:      scrub.Line(n.Description.Hostname),
			Addr:          scrub.Line(n.Status.Addr),
			State:         scrub.Line(string(n.Status.State)),
			Availability:  scrub.Line(string(n.Spec.Availability)),
			Role:          scrub.Line(string(n.Spec.Role)),
			OS:            scrub.Line(n.Description.Platform.OS),
			EngineVersion: scrub.Line(n.Description.Engine.EngineVersion),
			MemoryBytes:   n.Description.Resources.MemoryBytes,
		}
	}
	return nodes, nil
}
