package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// pullsAtOnce is how many images are pulled side by side: what Docker's own
// engine does with layers.
const pullsAtOnce = 3

// imagesNotNeeded says whether the hop's bootstrapper exists or has done its
// work already.
func (r *run) imagesNotNeeded(hop transition.Hop) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		state, found, err := r.findContainer(ctx)
		if err != nil {
			return false, err
		}
		if found && matches(state, hop) && state.live() {
			return true, nil
		}
		return r.upgraded(hop)(ctx)
	}
}

// images brings the images of a hop to where they are needed, and touches
// nothing else.
func (r *run) images(ctx context.Context, obs *Observation, hop transition.Hop) error {
	if r.o.Archives[hop.To.String()] != "" {
		if err := r.load(ctx, hop.To, r.places(obs, hop.To)); err != nil {
			return err
		}
	}
	if err := r.bootstrapperImage(ctx, r.node(obs), hop.To); err != nil {
		return err
	}
	return r.componentImages(ctx, obs.replicaNodes(), hop.To)
}

// bootstrapperImage brings the bootstrapper's image to where it is to run: the
// node, or the engine that the provider names.
func (r *run) bootstrapperImage(ctx context.Context, node string, version *semver.Version) error {
	engine, err := r.runner(ctx)
	if err != nil {
		return err
	}
	if r.cluster.Docker != nil {
		node = ""
	}
	image := bootstrap.Image(r.o.Repository, version)
	present, err := engine.Images(ctx, node)
	if err != nil {
		return fmt.Errorf("look for image %s: %w", image, err)
	}
	if pulled := !r.o.archived(image); pulled && (r.o.Pull == PullAlways || r.o.Pull != PullNever && !present[image]) {
		if err := pull(ctx, engine, image); err != nil {
			return err
		}
	}
	if want := r.o.Digests[version.String()]; want != "" {
		return checkDigest(ctx, engine, image, node, want)
	}
	return nil
}

// componentImages pulls the images of the parts that one of the nodes lacks, so
// that the bootstrapper does not find out in the middle of a replica.
func (r *run) componentImages(ctx context.Context, nodes []string, version *semver.Version) error {
	if r.o.Pull == PullNever || r.o.Archives[version.String()] != "" {
		return nil // preflight has seen that they are there, or they were loaded
	}
	engine, err := r.cluster.UCP.Engine(ctx)
	if err != nil {
		return err
	}
	onNodes, err := imagesOnNodes(ctx, engine, nodes)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(pullsAtOnce)
	for _, image := range bootstrap.ComponentImages(r.o.Repository, version) {
		if !slices.ContainsFunc(nodes, func(n string) bool { return !onNodes[image][n] }) {
			continue
		}
		group.Go(func() error {
			err := pull(groupCtx, engine, image)
			if err != nil && r.o.SkipChecks[CheckImage] && groupCtx.Err() == nil {
				tflog.Warn(ctx, "Image could not be pulled, and skip_checks says to go on", map[string]any{"image": image, "error": err.Error()})
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

func pull(ctx context.Context, engine *ucp.Engine, image string) error {
	tflog.Info(ctx, "Image is being pulled", map[string]any{"image": image})
	err := engine.Pull(ctx, image, func(line string) {
		tflog.Debug(ctx, "Pull progress", map[string]any{"image": image, "progress": line})
	})
	if ctx.Err() != nil {
		return &DetachedError{Step: stepImages, Cause: context.Cause(ctx)}
	}
	if err != nil {
		return fmt.Errorf("pull image %s: %w", image, err)
	}
	return nil
}

// checkDigest looks at the image where it is going to run: a tag may mean another
// one on every node.
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

// node is where UCP is to place the bootstrapper: the node of the replica that
// it connects to. An engine of its own has no nodes.
func (r *run) node(obs *Observation) string {
	if r.cluster.Docker != nil {
		return ""
	}
	replica, _ := obs.existingReplica(r.o.ExistingReplicaID)
	return replica.Node
}
