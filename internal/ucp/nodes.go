package ucp

import (
	"context"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// nodeWire is as much of a node as is looked at.
type nodeWire struct {
	ID          string
	Spec        struct{ Role, Availability string }
	Description struct {
		Hostname  string
		Platform  struct{ OS string }
		Resources struct{ MemoryBytes int64 }
		Engine    struct{ EngineVersion string }
	}
	Status struct{ State, Addr string }
}

// Nodes lists the nodes of the swarm.
func (e *Engine) Nodes(ctx context.Context) ([]Node, error) {
	var nodes []Node
	all := list[nodeWire]{what: "list nodes", path: "/nodes", begin: func() { nodes = []Node{} }, take: func(n nodeWire) (kept int) {
		node := Node{
			ID:            scrub.Line(n.ID),
			Hostname:      scrub.Line(n.Description.Hostname),
			Addr:          scrub.Line(n.Status.Addr),
			State:         scrub.Line(n.Status.State),
			Availability:  scrub.Line(n.Spec.Availability),
			Role:          scrub.Line(n.Spec.Role),
			OS:            scrub.Line(n.Description.Platform.OS),
			EngineVersion: scrub.Line(n.Description.Engine.EngineVersion),
			MemoryBytes:   n.Description.Resources.MemoryBytes,
		}
		nodes = append(nodes, node)
		return node.size()
	}}
	if err := all.read(ctx, e.connection); err != nil {
		return nil, err
	}
	return nodes, nil
}

// size is about how many bytes of memory the node takes.
func (n Node) size() int {
	const itself = 512
	return itself + len(n.ID) + len(n.Hostname) + len(n.Addr) + len(n.State) + len(n.Availability) + len(n.Role) + len(n.OS) + len(n.EngineVersion)
}
