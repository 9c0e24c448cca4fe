package images

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Location is where an image is needed: on a node of UCP, or for "" on the engine
// of Cluster.Docker, which is no node.
type Location struct{ Image, Node string }

func (l Location) String() string { return l.Image + " on " + l.Where() }

// Where is the node, or what stands for it.
func (l Location) Where() string {
	if l.Node == "" {
		return "the Docker host that runs the bootstrapper"
	}
	return l.Node
}

// missing are the locations that lack their image now.
func missing(ctx context.Context, c cluster.Cluster, locations []Location) ([]Location, error) {
	var nodes []string
	onEngine := map[string]bool{}
	for _, l := range locations {
		if l.Node != "" {
			nodes = append(nodes, l.Node)
			continue
		}
		engine, err := c.BootstrapEngine(ctx)
		if err != nil {
			return nil, err
		}
		if onEngine, err = list(ctx, engine, ""); err != nil {
			return nil, err
		}
	}
	slices.Sort(nodes)
	onNodes, err := onNodes(ctx, c, slices.Compact(nodes))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(locations), func(l Location) bool {
		if l.Node == "" {
			return onEngine[l.Image]
		}
		return onNodes[l.Image][l.Node]
	}), nil
}

// list are the images of a node, or for "" of an engine.
func list(ctx context.Context, engine *ucp.Engine, node string) (map[string]bool, error) {
	images, err := engine.Images(ctx, node)
	if err != nil {
		return nil, fmt.Errorf("look for images on %s: %w", Location{Node: node}.Where(), err)
	}
	return images, nil
}

// onNodes maps each image to the nodes that have it.
func onNodes(ctx context.Context, c cluster.Cluster, nodes []string) (map[string]map[string]bool, error) {
	engine, err := c.UCP.Engine(ctx)
	if err != nil {
		return nil, err
	}
	lists := make([]map[string]bool, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	for i, node := range nodes {
		group.Go(func() (err error) { lists[i], err = list(ctx, engine, node); return err })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found := map[string]map[string]bool{}
	for i, list := range lists {
		for image := range list {
			if found[image] == nil {
				found[image] = map[string]bool{}
			}
			found[image][nodes[i]] = true
		}
	}
	return found, nil
}
