//go:build linux

package rig

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	registryserver "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

const programPath = "/dtr-simulator"

// checkInterval of nginx's health, at any speed: an engine starts two processes for each
// check, and is busy with little else when there are many.
const checkInterval = 4 * time.Second

// registry serves images that stand in for those of DTR. They have one layer,
// the same for all: the program of the simulator.
type registry struct {
	address string
	server  *http.Server
	layer   v1.Layer
	speed   float64

	mu   sync.Mutex
	down bool
}

func newRegistry(program string, speed float64) (*registry, error) {
	layer, err := programLayer(program)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(Address, "5000"))
	if err != nil {
		return nil, err
	}
	quiet := log.New(io.Discard, "", 0)
	r := &registry{address: l.Addr().String(), layer: layer, speed: cmp.Or(speed, 1)}
	r.server = &http.Server{
		Handler: r.unlessDown(registryserver.New(registryserver.Logger(quiet))), ErrorLog: quiet, ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = r.server.Serve(l) }()
	return r, nil
}

func (r *registry) close() error { return r.server.Close() }

func (r *registry) unlessDown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		down := r.down
		r.mu.Unlock()
		if down {
			http.Error(w, "the registry is down for maintenance", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// programLayer is a file system with the program, under the name of nginx's
// health check too.
func programLayer(program string) (v1.Layer, error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, entry := range []tar.Header{
		{Name: strings.TrimPrefix(programPath, "/"), Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))},
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: strings.TrimPrefix(release.HealthCheckPath, "/"), Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: programPath},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777},
	} {
		if err := w.WriteHeader(&entry); err != nil {
			return nil, err
		}
		if entry.Typeflag == tar.TypeReg {
			if _, err := w.Write(text); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
}

// image makes the image of a reference of a bundle. The repository of the
// bundle is where the bootstrapper in it takes the other images from.
func (r *registry) image(repository, ref, version string, env ...string) (v1.Image, error) {
	img, err := mutate.AppendLayers(empty.Image, r.layer)
	if err != nil {
		return nil, err
	}
	config := v1.Config{
		Entrypoint: []string{programPath, "bootstrapper"},
		Env: append([]string{
			"PATH=/", standin.EnvImageRepository + "=" + repository, standin.EnvImageVersion + "=" + version,
			fmt.Sprintf("%s=%g", standin.EnvSpeed, r.speed),
		}, env...),
	}
	if suffix, ok := strings.CutPrefix(ref, repository+"-"); ok {
		part, _, _ := strings.Cut(suffix, ":")
		config.Entrypoint = []string{programPath, "component", part}
		if part == "nginx" {
			config.Healthcheck = &v1.HealthConfig{
				Test:     []string{"CMD", release.HealthCheckPath},
				Interval: checkInterval,
			}
		}
	}
	return mutate.ConfigFile(img, withConfig(img, config))
}

func withConfig(img v1.Image, config v1.Config) *v1.ConfigFile {
	file, err := img.ConfigFile()
	if err != nil {
		panic(err) // the image is in memory
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", config
	return file
}

// Publish has the registry serve every image of a version under a repository,
// "dtr/dtr" for instance; env is added to the environment of the bootstrapper.
// It returns the repository as the engines know it, and the digest of the
// bootstrapper's image.
func (r *Rig) Publish(ctx context.Context, path, version string, env ...string) (repository, digest string, err error) {
	repository = r.registry.address + "/" + path
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, ref := range release.Bundle(repository, version) {
		tag, err := name.NewTag(ref, name.Insecure)
		if err != nil {
			return "", "", err
		}
		if i > 0 {
			env = nil
		}
		img, err := r.registry.image(repository, ref, version, env...)
		if err != nil {
			return "", "", err
		}
		if i == 0 {
			hash, err := img.Digest()
			if err != nil {
				return "", "", err
			}
			digest = hash.String()
		}
		group.Go(func() error { return remote.Write(tag, img, remote.WithContext(ctx)) })
	}
	return repository, digest, group.Wait()
}

// Unpublish takes an image away from the registry.
func (r *Rig) Unpublish(ctx context.Context, ref string) error {
	tag, err := name.NewTag(ref, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Delete(tag, remote.WithContext(ctx))
}

// SetRegistryDown has the registry refuse everything, or no longer.
func (r *Rig) SetRegistryDown(down bool) {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	r.registry.down = down
}

// WriteBundle writes the images of a version as docker save does: what is
// loaded where there is no registry.
func (r *Rig) WriteBundle(w io.Writer, repository, version string) error {
	images := map[name.Tag]v1.Image{}
	for _, ref := range release.Bundle(repository, version) {
		tag, err := name.NewTag(ref)
		if err != nil {
			return err
		}
		if images[tag], err = r.registry.image(repository, ref, version); err != nil {
			return err
		}
	}
	return tarball.MultiWrite(images, w)
}
