package ucp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Images returns the tags and digests of the images that are present.
// A node narrows it to that node, through UCP only; "" means anywhere.
func (e *Engine) Images(ctx context.Context, node string) (map[string]bool, error) {
	var images map[string]bool
	begin := func() { images = map[string]bool{} }
	err := e.eachImage(ctx, node, begin, func(image imageWire) (kept int) {
		for _, ref := range slices.Concat(image.RepoTags, image.RepoDigests) {
			images[ref] = true
			kept += 96 + len(ref)
		}
		return kept
	})
	if err != nil {
		return nil, err
	}
	delete(images, "<none>:<none>")
	delete(images, "<none>@<none>")
	return images, nil
}

// imageWire is as much of an image in a list as is looked at.
type imageWire struct{ RepoTags, RepoDigests []string }

// eachImage reads the list of images as a [list].
func (e *Engine) eachImage(ctx context.Context, node string, begin func(), take func(imageWire) (kept int)) error {
	var query url.Values
	if node != "" {
		text, err := json.Marshal(client.Filters{}.Add("node", node))
		if err != nil {
			return err
		}
		query = url.Values{"filters": {string(text)}}
	}
	all := list[imageWire]{what: "list images", path: "/images/json", query: query, begin: begin, take: func(image imageWire) (kept int) {
		// An engine may show its own registry.
		for i, ref := range image.RepoTags {
			image.RepoTags[i] = scrub.Line(FamiliarImage(ref))
		}
		for i, ref := range image.RepoDigests {
			image.RepoDigests[i] = scrub.Line(FamiliarImage(ref))
		}
		return take(image)
	}}
	return all.read(ctx, e.connection)
}

// FamiliarImage is the one form of a reference that this module compares: Docker's own registry is left out, however it was written.
// What is no reference stays as it is.
func FamiliarImage(image string) string {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return reference.FamiliarString(ref)
}

// ImageDigests returns the repository digests ("docker/dtr@sha256:...") of an image that is present.
// A node narrows it to that node, through UCP only, where a tag may mean another image on each; "" means anywhere.
// The error of an image that is not there is one for which errdefs.IsNotFound holds.
func (e *Engine) ImageDigests(ctx context.Context, ref, node string) ([]string, error) {
	if node != "" {
		return e.imageDigestsOn(ctx, ref, node)
	}
	image, err := call(ctx, e.connection, callLimit, "inspect image "+ref, func(ctx context.Context, c *client.Client) (client.ImageInspectResult, error) {
		return c.ImageInspect(ctx, ref)
	})
	return image.RepoDigests, err
}

// imageDigestsOn finds the image in the node's list: UCP inspects an image on any node that has it.
func (e *Engine) imageDigestsOn(ctx context.Context, ref, node string) ([]string, error) {
	var digests []string
	found := false
	begin := func() { digests, found = nil, false }
	err := e.eachImage(ctx, node, begin, func(image imageWire) (kept int) {
		if !found && slices.Contains(image.RepoTags, ref) {
			digests, found = image.RepoDigests, true
			for _, d := range digests {
				kept += 16 + len(d)
			}
		}
		return kept
	})
	if err == nil && !found {
		err = fmt.Errorf("image %s on node %s: %w", ref, node, cerrdefs.ErrNotFound)
	}
	return digests, err
}

// RemoteImage asks the image's registry, through the engine, for its digest ("sha256:...").
func (e *Engine) RemoteImage(ctx context.Context, ref string) (digest string, err error) {
	what := "look up image " + ref + " in its registry"
	image, err := call(endpoint.WithErrorsPassedOn(ctx), e.connection, callLimit, what, func(ctx context.Context, c *client.Client) (client.DistributionInspectResult, error) {
		return c.DistributionInspect(ctx, ref, client.DistributionInspectOptions{})
	})
	return image.Descriptor.Digest.String(), err
}

// Pull pulls an image, through UCP on every node. The progress function, which may be nil, gets a line a change.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(string)) error {
	_, err := call(ctx, e.connection, transferLimit, "pull image "+ref, func(ctx context.Context, c *client.Client) (none, error) {
		stream, err := c.ImagePull(endpoint.WithStream(ctx), ref, client.ImagePullOptions{})
		if err != nil {
			return none{}, err
		}
		defer stream.Close()
		return none{}, follow(stream, progress)
	})
	return err
}

// Load loads the images of a tar archive, compressed or not, through UCP on every node. The progress function, which may be nil, gets a line a change.
// Only an archive that is an io.Seeker can be sent again, should the login have to be renewed.
func (e *Engine) Load(ctx context.Context, archive io.Reader, progress func(string)) error {
	sent := false
	return e.connection.do(ctx, transferLimit, "load images", func(ctx context.Context, token string) error {
		if err := e.connection.session.refusal(ctx, token); err != nil {
			return err // before gigabytes are on their way
		}
		if sent {
			if err := rewind(archive); err != nil {
				return err
			}
		}
		sent = true
		_, err := ask(ctx, e.connection, token, func(ctx context.Context, c *client.Client) (none, error) {
			// Only Read is passed on: net/http closes what can be closed.
			stream, err := c.ImageLoad(endpoint.WithStream(ctx), struct{ io.Reader }{archive})
			if err != nil {
				return none{}, err
			}
			defer stream.Close()
			return none{}, follow(stream, progress)
		})
		return err
	})
}

func rewind(r io.Reader) error {
	s, ok := r.(io.Seeker)
	if !ok {
		return errors.New("the login had expired and the archive cannot be sent a second time")
	}
	_, err := s.Seek(0, io.SeekStart)
	return err
}

// maxMessage bounds one message of a transfer, which is a line or two.
const maxMessage = 1 << 20

// follow reads the messages of a transfer to their end. The status of the answer says nothing: errors come in the stream.
func follow(stream io.Reader, progress func(string)) error {
	last := ""
	bounded := &io.LimitedReader{R: stream}
	for dec := json.NewDecoder(bounded); ; {
		var m jsonstream.Message
		bounded.N = maxMessage
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil && bounded.N <= 0 {
			return fmt.Errorf("reading the engine's answer: a message of it is longer than %d bytes", maxMessage)
		} else if err != nil {
			return fmt.Errorf("reading the engine's answer: %w", err)
		}
		if m.Error != nil {
			return transferError(m.Error)
		}
		// Byte counts are for terminals.
		if line := messageLine(m); progress != nil && line != "" && line != last && (m.Progress == nil || m.Progress.Current == 0) {
			progress(line)
			last = line
		}
	}
}

func transferError(err *jsonstream.Error) error {
	// Whoever refused it, it was not UCP: that had taken the token.
	if class := errorClass(err.Code); class != nil && !cerrdefs.IsUnauthorized(class) {
		return fmt.Errorf("%w: %w", class, err)
	}
	return err
}

func messageLine(m jsonstream.Message) string {
	text := m.Status + m.Stream
	if m.ID != "" {
		text = m.ID + ": " + text
	}
	return strings.TrimSpace(text)
}
