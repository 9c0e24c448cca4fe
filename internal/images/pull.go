package images

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// pullsAtOnce is how many images are pulled side by side: what Docker's own
// engine does with layers.
const pullsAtOnce = 3

// BringBootstrapper pulls the bootstrapper's image to where it is to run, where it
// is missing there, and checks its digest: on the node, or for a cluster with an
// engine of its own on that. Errors: *DigestError and those of the engine.
func (s Source) BringBootstrapper(ctx context.Context, c cluster.Cluster, node string, version *semver.Version) error {
	engine, err := c.BootstrapEngine(ctx)
	if err != nil {
		return err
	}
	if c.Docker != nil {
		node = ""
	}
	image := s.Bootstrapper(version)
	present, err := engine.Images(ctx, node)
	if err != nil {
		return fmt.Errorf("look for image %s: %w", image, err)
	}
	if pulled := !s.FromArchive(image); pulled && (s.Pull == PullAlways || s.Pull != PullNever && !present[cluster.FamiliarImage(image)]) {
		if err := Pull(ctx, engine, image); err != nil {
			return err
		}
	}
	if want := s.Digests[version.String()]; want != "" {
		return checkDigest(ctx, engine, image, node, want)
	}
	return nil
}

// PullComponents pulls the images of the parts that one of the nodes lacks, so
// that the bootstrapper does not find out in the middle of a replica. An image that
// could not be pulled is handed to failed, whose error ends it; nil fails with the
// error itself.
func (s Source) PullComponents(ctx context.Context, c cluster.Cluster, nodes []string, version *semver.Version, failed func(image string, err error) error) error {
	if s.Pull == PullNever || s.Archives[version.String()] != "" {
		return nil // preflight has seen that they are there, or they were loaded
	}
	onNodes, err := onNodes(ctx, c, nodes)
	if err != nil {
		return err
	}
	engine, err := c.UCP.Engine(ctx)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(pullsAtOnce)
	for _, image := range s.Components(version) {
		has := onNodes[cluster.FamiliarImage(image)]
		if !slices.ContainsFunc(nodes, func(n string) bool { return !has[n] }) {
			continue
		}
		group.Go(func() error {
			err := Pull(groupCtx, engine, image)
			if err != nil && failed != nil && groupCtx.Err() == nil {
				return failed(image, err)
			}
			return err
		})
	}
	return group.Wait()
}

// Pull has an engine pull an image.
func Pull(ctx context.Context, engine *ucp.Engine, image string) error {
	tflog.Info(ctx, "Image is being pulled", map[string]any{"image": image})
	err := engine.Pull(ctx, image, func(line string) {
		tflog.Debug(ctx, "Pull progress", map[string]any{"image": image, "progress": line})
	})
	if ctx.Err() != nil {
		return &wait.DetachedError{Step: Step, Cause: context.Cause(ctx)}
	}
	if err != nil {
		return fmt.Errorf("pull image %s: %w", image, err)
	}
	return nil
}

// checkDigest looks at the image where it is going to run: the same tag may be
// different content on every node.
func checkDigest(ctx context.Context, engine *ucp.Engine, image, node, want string) error {
	references, err := engine.ImageDigests(ctx, image, node)
	if err != nil {
		return fmt.Errorf("read the digest of image %s: %w", image, err)
	}
	var digests []string
	for _, reference := range references {
		_, digest, _ := strings.Cut(reference, "@")
		digests = append(digests, digest)
	}
	if !slices.Contains(digests, want) {
		return &DigestError{Image: image, Want: want, Got: digests}
	}
	return nil
}

// DigestError says that an image is not the one that was asked for.
type DigestError struct {
	Image string
	Want  string
	Got   []string
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("image %s has digest %s, not %s", e.Image, strings.Join(e.Got, ", "), e.Want)
}
