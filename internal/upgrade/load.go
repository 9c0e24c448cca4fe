package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// sayEvery is the pause between two lines of the log on how far a transfer is.
const sayEvery = 10 * time.Second

// place is where an image is needed: on a node of UCP, or on the engine of
// Cluster.Docker, which is no node.
type place struct{ image, node string }

func (p place) String() string {
	if p.node == "" {
		return p.image + " on the host of provider attribute docker"
	}
	return p.image + " on " + p.node
}

// places are where the images of a version are needed. The bootstrapper's second
// phase runs on a replica's node.
func (r *run) places(obs *Observation, v *semver.Version) []place {
	var places []place
	for _, node := range obs.replicaNodes() {
		for _, image := range r.o.imagesOf(v) {
			places = append(places, place{image, node})
		}
	}
	if r.cluster.Docker != nil {
		places = append(places, place{bootstrap.Image(r.o.Repository, v), ""})
	}
	return places
}

// absent are the places that lack their image now.
func (r *run) absent(ctx context.Context, places []place) ([]place, error) {
	through, err := r.cluster.UCP.Engine(ctx)
	if err != nil {
		return nil, err
	}
	runner, err := r.runner(ctx)
	if err != nil {
		return nil, err
	}
	var nodes []string
	for _, p := range places {
		if p.node != "" {
			nodes = append(nodes, p.node)
		}
	}
	slices.Sort(nodes)
	onNodes, err := imagesOnNodes(ctx, through, slices.Compact(nodes))
	if err != nil {
		return nil, err
	}
	var direct map[string]bool
	if slices.ContainsFunc(places, func(p place) bool { return p.node == "" }) {
		if direct, err = runner.Images(ctx, ""); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(places), func(p place) bool {
		if p.node == "" {
			return direct[familiar(p.image)]
		}
		return onNodes[familiar(p.image)][p.node]
	}), nil
}

// load loads the archive of a version where its images are needed and lacking, and
// looks again. Where all of them are there, it does nothing.
func (r *run) load(ctx context.Context, v *semver.Version, places []place) error {
	absent, err := r.absent(ctx, places)
	if err != nil {
		return err
	}
	for _, ucpNodes := range []bool{true, false} {
		if !slices.ContainsFunc(absent, func(p place) bool { return (p.node != "") == ucpNodes }) {
			continue
		}
		engine, err := r.runner(ctx)
		if ucpNodes {
			engine, err = r.cluster.UCP.Engine(ctx)
		}
		if err != nil {
			return err
		}
		if err := r.loadOn(ctx, engine, v); err != nil {
			return err
		}
		if absent, err = r.absent(ctx, places); err != nil {
			return err
		}
	}
	if len(absent) == 0 {
		return nil
	}
	failure := &ArchiveError{Version: v.String(), File: r.o.Archives[v.String()]}
	for _, p := range absent {
		failure.Missing = append(failure.Missing, p.String())
	}
	return failure
}

func (r *run) loadOn(ctx context.Context, engine *ucp.Engine, v *semver.Version) error {
	name := r.o.Archives[v.String()]
	fields := map[string]any{"archive": name, "version": v.String()}
	err := func() error {
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
		sent := &transfer{each: func(n int64) {
			tflog.Info(ctx, "Archive is being sent", fields, map[string]any{"sent": n, "bytes": info.Size()})
		}}
		return engine.Load(ctx, sent.seeker(f), func(line string) {
			tflog.Info(ctx, "Engine loads images", fields, map[string]any{"progress": line})
		})
	}()
	if err != nil && ctx.Err() != nil {
		return &DetachedError{Step: stepImages, Cause: context.Cause(ctx)}
	}
	if err != nil {
		return &ArchiveError{Version: v.String(), File: name, Cause: err}
	}
	return nil
}

// transfer counts bytes and says now and then how many there were.
type transfer struct {
	n    int64
	said time.Time
	each func(int64)
}

func (t *transfer) count(n int) {
	t.n += int64(n)
	if t.said.IsZero() {
		t.said = time.Now()
	}
	if time.Since(t.said) >= sayEvery {
		t.said = time.Now()
		t.each(t.n)
	}
}

// Write counts what is written beside it.
func (t *transfer) Write(p []byte) (int, error) {
	t.count(len(p))
	return len(p), nil
}

// seeker counts what is read from a file.
func (t *transfer) seeker(f io.ReadSeeker) io.ReadSeeker { return &counted{f, t} }

type counted struct {
	io.ReadSeeker
	t *transfer
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	c.t.count(n)
	return n, err
}

func (c *counted) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, fmt.Errorf("seek: %w", errors.ErrUnsupported)
	}
	c.t.n = 0
	return c.ReadSeeker.Seek(0, io.SeekStart)
}
