package ucp

import (
	"context"

	"github.com/moby/moby/client"
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
			ID:            n.ID,
			Hostname:      n.Description.Hostname,
			Addr:          n.Status.Addr,
			State:         string(n.Status.State),
			Availability:  string(n.Spec.Availability),
			Role:          string(n.Spec.Role),
			OS:            n.Description.Platform.OS,
			EngineVersion: n.Description.Engine.EngineVersion,
			MemoryBytes:   n.Description.Resources.MemoryBytes,
		}
	}
	return nodes, nil
}
