package simulator_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestImages(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	through, direct, ctx := docker(t, c), directDocker(t, c, "1.39"), t.Context()
	on := func(d *client.Client, node string) []string {
		t.Helper()
		o := client.ImageListOptions{Filters: client.Filters{}}
		if node != "" {
			o.Filters = o.Filters.Add("node", node)
		}
		list, err := d.ImageList(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		var refs []string
		for _, img := range list.Items {
			refs = append(refs, img.RepoTags...)
		}
		return refs
	}
	pull := func(d *client.Client, ref string) error {
		p, err := d.ImagePull(ctx, ref, client.ImagePullOptions{})
		if err != nil {
			return err
		}
		return p.Wait(ctx)
	}
	const target = "docker/dtr:2.6.9"
	if err := pull(direct, target); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(on(through, "worker1"), target) || slices.Contains(on(through, "worker2"), target) || !slices.Contains(on(through, ""), target) {
		t.Error("a direct pull is not on worker1 alone")
	}
	if err := pull(through, target); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(on(through, "worker2"), target) {
		t.Error("a pull through UCP did not reach worker2")
	}

	// 2.6.15 was published under another name.
	for _, missing := range []string{"docker/dtr:2.6.15", "docker/dtr:2.6.99", "docker/nonsense:2.6.8"} {
		if err := pull(direct, missing); !cerrdefs.IsNotFound(err) {
			t.Errorf("direct pull of %s: %v", missing, err)
		}
		if p, err := through.ImagePull(ctx, missing, client.ImagePullOptions{}); err != nil {
			t.Errorf("pull of %s through UCP fails at once: %v", missing, err)
		} else if err := p.Wait(ctx); err == nil || !strings.Contains(err.Error(), "manifest unknown") {
			t.Errorf("pull of %s through UCP: %v", missing, err)
		}
		if _, err := through.DistributionInspect(ctx, missing, client.DistributionInspectOptions{}); !cerrdefs.IsNotFound(err) {
			t.Errorf("distribution of %s: %v", missing, err)
		}
	}

	inspected, err := through.ImageInspect(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := through.DistributionInspect(ctx, target, client.DistributionInspectOptions{})
	if err != nil || !slices.Equal(inspected.RepoDigests, []string{"docker/dtr@" + remote.Descriptor.Digest.String()}) {
		t.Errorf("%v: local %v, remote %s", err, inspected.RepoDigests, remote.Descriptor.Digest)
	}

	c.RemoveImage(target)
	if _, err := through.ImageInspect(ctx, target); !cerrdefs.IsNotFound(err) {
		t.Errorf("removed: %v", err)
	}
	c.RemoveFromRegistry(target)
	if err := pull(direct, target); !cerrdefs.IsNotFound(err) {
		t.Errorf("removed from the registry: %v", err)
	}
	c.AddToRegistry(target)
	if err := pull(direct, target); err != nil {
		t.Error(err)
	}
	digest := "sha256:" + strings.Repeat("ab", 32)
	c.SetDigest(target, digest)
	if got, err := through.ImageInspect(ctx, target); err != nil || got.RepoDigests[0] != "docker/dtr@"+digest {
		t.Errorf("%v: %v", err, got.RepoDigests)
	}
	c.AddMirror("reg.example.com/dtr/dtr")
	if err := pull(through, "reg.example.com/dtr/dtr-nginx:2.6.15"); err != nil {
		t.Errorf("from the mirror: %v", err)
	}
	c.AddBundle("2.7.8")
	if !slices.Contains(on(through, "worker3"), "mirantis/dtr-postgres:2.7.8") {
		t.Error("the bundle is not on worker3")
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := directDocker(t, c, "1.39")
	const manifest = `[{"RepoTags":["reg.example.com/dtr/dtr:2.6.9","reg.example.com/dtr/dtr-nginx:2.6.9"]}]`
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	files := tar.NewWriter(zipped)
	if err := files.WriteHeader(&tar.Header{Name: "manifest.json", Mode: 0o644, Size: int64(len(manifest))}); err != nil {
		t.Fatal(err)
	}
	_, _ = files.Write([]byte(manifest))
	_, _ = files.Close(), zipped.Close()
	loaded, err := d.ImageLoad(t.Context(), &archive)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(loaded)
	_ = loaded.Close()
	if !strings.Contains(string(out), "Loaded image: reg.example.com/dtr/dtr:2.6.9") {
		t.Errorf("%s", out)
	}
	if _, err := d.ImageInspect(t.Context(), "reg.example.com/dtr/dtr-nginx:2.6.9"); err != nil {
		t.Error(err)
	}
	var whole bytes.Buffer
	if err := release.WriteBundle(&whole, "docker/dtr", "2.6.9"); err != nil {
		t.Fatal(err)
	}
	for name, archive := range map[string][]byte{
		"garbage": []byte("no archive"), "half of it": whole.Bytes()[:whole.Len()/2],
		"a layer renamed": bytes.Replace(whole.Bytes(), []byte("/layer.tar\""), []byte("/layer.tgz\""), 1),
	} {
		if _, err := d.ImageLoad(t.Context(), bytes.NewReader(archive)); err == nil {
			t.Errorf("loaded %s", name)
		}
	}
	loaded, err = d.ImageLoad(t.Context(), &whole)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, loaded)
	_ = loaded.Close()
	for _, ref := range release.Bundle("docker/dtr", "2.6.9") {
		if got, err := d.ImageInspect(t.Context(), ref); err != nil || len(got.RepoDigests) > 0 {
			t.Errorf("%s: %v, %v", ref, err, got.RepoDigests)
		}
	}
}
