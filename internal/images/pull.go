package images

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// pulls are the pulls for the locations, one for each image.
func pulls(locations []Location, always bool) []*transfer {
	var transfers []*transfer
	for _, l := range locations {
		i := slices.IndexFunc(transfers, func(t *transfer) bool { return t.locations[0].Image == l.Image })
		if i < 0 {
			i = len(transfers)
			transfers = append(transfers, &transfer{always: always, do: pull(l.Image)})
		}
		transfers[i].locations = append(transfers[i].locations, l)
	}
	return transfers
}

func pull(image string) func(context.Context, *ucp.Engine, func(string)) error {
	return func(ctx context.Context, engine *ucp.Engine, progress func(string)) error {
		log.Detail(ctx, "Pulling "+image, map[string]any{"image": image})
		return engine.Pull(ctx, image, func(line string) {
			log.Debug(ctx, "Pull progress", map[string]any{"image": image, "progress": line})
			progress(line)
		})
	}
}

// checkDigest looks at the image where it is going to run: the same tag may be
// different content on every node.
func (s Source) checkDigest(ctx context.Context, c cluster.Cluster, at Location, version *semver.Version) error {
	if s.Digests[version.String()] == "" {
		return nil
	}
	engine, err := c.BootstrapEngine(ctx)
	if err != nil {
		return err
	}
	references, err := engine.ImageDigests(ctx, at.Image, at.Node)
	if err != nil {
		return fmt.Errorf("read the digest of image %s: %w", at, err)
	}
	return s.compareDigest(at, version, references)
}

// CheckContainer looks at the image that a container of the bootstrapper was made
// from on a node: since BringBootstrapper the tag may have come to mean another one. Errors:
// *DigestError and those of the engine.
func (s Source) CheckContainer(ctx context.Context, c cluster.Cluster, container, node string, version *semver.Version) error {
	if s.Digests[version.String()] == "" {
		return nil
	}
	engine, err := c.BootstrapEngine(ctx)
	if err != nil {
		return err
	}
	state, err := engine.Container(ctx, container)
	if errdefs.IsNotFound(err) { // another apply has removed it
		return wait.Fail(err)
	}
	if err != nil {
		return err
	}
	references, err := engine.ImageDigests(ctx, state.ImageID, "")
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("read the digest of the image of container %s: %w", state.Name, err)
	}
	if c.Docker != nil {
		node = ""
	}
	return s.compareDigest(Location{s.Bootstrapper(version), node}, version, references)
}

func (s Source) compareDigest(at Location, version *semver.Version, references []string) error {
	want := s.Digests[version.String()]
	var digests []string
	for _, reference := range references {
		_, digest, _ := strings.Cut(reference, "@")
		digests = append(digests, digest)
	}
	if !slices.Contains(digests, want) {
		return &DigestError{Location: at, Want: want, Got: digests}
	}
	return nil
}

// DigestError says that an image is not the one that was asked for.
type DigestError struct {
	Location
	Want string
	Got  []string
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("image %s has digest %s, not %s", e.Location, strings.Join(e.Got, ", "), e.Want)
}
