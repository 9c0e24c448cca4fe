package images

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Location is where an image is needed: on a node of UCP, or for "" on the engine
// of Cluster.Docker, which is no node.
type Location struct{ Image, Node string }

func (l Location) String() string {
	if l.Node == "" {
		return l.Image + " on the Docker host that runs the bootstrapper"
	}
	return l.Image + " on " + l.Node
}

// Locations are where the images of a version are needed. The bootstrapper's second
// phase runs on a replica's node.
func (s Source) Locations(c cluster.Cluster, nodes []string, v *semver.Version) []Location {
	var locations []Location
	for _, node := range nodes {
		for _, image := range s.All(v) {
			locations = append(locations, Location{image, node})
		}
	}
	if c.Docker != nil {
		locations = append(locations, Location{s.Bootstrapper(v), ""})
	}
	return locations
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
		if onEngine, err = engine.Images(ctx, ""); err != nil {
			return nil, err
		}
	}
	slices.Sort(nodes)
	onNodes, err := onNodes(ctx, c, slices.Compact(nodes))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(locations), func(l Location) bool {
		image := cluster.FamiliarImage(l.Image)
		if l.Node == "" {
			return onEngine[image]
		}
		return onNodes[image][l.Node]
	}), nil
}

// Load loads the archive of a version where its images are needed and missing, and
// looks again. Where all of them are there, it does nothing. Errors: *ArchiveError,
// *wait.DetachedError and those of the engines.
func (s Source) Load(ctx context.Context, c cluster.Cluster, v *semver.Version, locations []Location) error {
	lacking, err := missing(ctx, c, locations)
	if err != nil {
		return err
	}
	for _, onNodes := range []bool{true, false} {
		if !slices.ContainsFunc(lacking, func(l Location) bool { return (l.Node != "") == onNodes }) {
			continue
		}
		engine, err := c.BootstrapEngine(ctx)
		if onNodes {
			engine, err = c.UCP.Engine(ctx)
		}
		if err != nil {
			return err
		}
		if err := s.loadOn(ctx, engine, v); err != nil {
			return err
		}
		if lacking, err = missing(ctx, c, locations); err != nil {
			return err
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	failure := &ArchiveError{Version: v.String(), File: s.Archives[v.String()]}
	for _, l := range lacking {
		failure.Missing = append(failure.Missing, l.String())
	}
	return failure
}

func (s Source) loadOn(ctx context.Context, engine *ucp.Engine, v *semver.Version) error {
	name := s.Archives[v.String()]
	err := load(ctx, engine, name, map[string]any{"archive": name, "version": v.String()})
	if err != nil && ctx.Err() != nil {
		return &wait.DetachedError{Step: Step, Cause: context.Cause(ctx)}
	}
	if err != nil {
		return &ArchiveError{Version: v.String(), File: name, Cause: err}
	}
	return nil
}

func load(ctx context.Context, engine *ucp.Engine, name string, fields map[string]any) error {
	f, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tflog.Info(ctx, "Images are being loaded", fields, map[string]any{"bytes": info.Size()})
	sent := &wait.Transfer{Report: func(n int64) {
		tflog.Info(ctx, "Archive is being sent", fields, map[string]any{"sent": n, "bytes": info.Size()})
	}}
	return engine.Load(ctx, sent.Reader(f), func(line string) {
		tflog.Info(ctx, "Engine loads images", fields, map[string]any{"progress": line})
	})
}

// ArchiveError says that an archive did not bring the images of its version to
// where they are needed.
type ArchiveError struct {
	Version string
	File    string
	Missing []string // images, with the node that lacks them
	Cause   error    // why it could not be loaded; nil when it was
}

func (e *ArchiveError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("load images from %s: %v", e.File, e.Cause)
	}
	return fmt.Sprintf("images that are missing after %s was loaded: %s", e.File, strings.Join(e.Missing, ", "))
}

func (e *ArchiveError) Unwrap() error { return e.Cause }
