//go:build e2e && linux

package e2e_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// wantRefused applies, and fails the test unless the provider says so and has
// touched nothing.
func (w *stage) wantRefused(t *testing.T, says ...string) {
	t.Helper()
	before := ids(partsOf(t))
	err := w.apply(t.Context())
	if err == nil {
		t.Fatal("the apply ended well")
	}
	text := strings.Join(strings.Fields(err.Error()), " ") // Terraform breaks lines
	for _, s := range says {
		if !strings.Contains(text, s) {
			t.Errorf("the error does not say %q:\n%v", s, err)
		}
	}
	if n := bootstrapperRuns(); n != 0 {
		t.Errorf("%d bootstrapper runs", n)
	}
	if after := ids(partsOf(t)); !slices.Equal(before, after) {
		t.Error("containers of replicas have changed")
	}
}

func TestNameIsTaken(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	repository, _ := publish(t, "2.6.15")
	host := strings.TrimPrefix(c.DTRURL(), "https://")
	name := "dtr-upgrade-" + strings.ReplaceAll(host, ":", "-")
	n := engines.Node("worker2") // and the provider's own would be on worker1
	id, err := n.Run(t.Context(), name, &container.Config{Image: repository + "-api:2.6.15"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := n.Docker.ContainerRemove(context.WithoutCancel(t.Context()), id, client.ContainerRemoveOptions{Force: true})
		if err != nil {
			t.Error(err)
		}
	})
	newStage(t, c, settings{Target: "2.6.15", Repository: repository}).wantRefused(t, name, "-api:2.6.15")
	if _, err := n.Docker.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{}); err != nil {
		t.Errorf("the container that had the name: %v", err)
	}
}

func TestDigest(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	repository, digest := publish(t, "2.6.15")
	tampered, other, err := engines.Publish(t.Context(), "tampered/dtr", "2.6.15", "TAMPERED=yes")
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Target: "2.6.15", Repository: tampered, Digests: map[string]string{"2.6.15": digest}}
	w := newStage(t, c, s)
	w.wantRefused(t, digest, other)

	// Nor where the tag means another image on the node that is to run it alone.
	n := engines.Node("worker2")
	if err := engines.Pull(t.Context(), []string{repository + ":2.6.15", tampered + ":2.6.15"}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Docker.ImageTag(t.Context(), client.ImageTagOptions{Source: tampered + ":2.6.15", Target: repository + ":2.6.15"}); err != nil {
		t.Fatal(err)
	}
	s.Repository, s.Replica = repository, rig.Replica(2)
	w.write(t, s)
	w.wantRefused(t, digest, other)

	s.Replica = rig.Replica(3)
	w.write(t, s)
	w.mustApply(t)
	wantVersion(t, repository, "2.6.15")
}

func TestImageIsNowhere(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	missing := engines.Registry() + "/nowhere/dtr"
	w := newStage(t, c, settings{Target: "2.6.15", Repository: missing})
	w.wantRefused(t, missing+":2.6.15")

	// The bootstrapper's image alone is not enough.
	half, _, err := engines.Publish(t.Context(), "half/dtr", "2.6.15")
	if err != nil {
		t.Fatal(err)
	}
	if err := engines.Unpublish(t.Context(), half+"-garant:2.6.15"); err != nil {
		t.Fatal(err)
	}
	w.write(t, settings{Target: "2.6.15", Repository: half})
	w.wantRefused(t, half+"-garant:2.6.15")
}

// What is on the nodes does not have to be had.
func TestRegistryIsDown(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	repository, _ := publish(t, "2.6.15")
	if err := engines.Pull(t.Context(), release.Bundle(repository, "2.6.15")); err != nil {
		t.Fatal(err)
	}
	engines.SetRegistryDown(true)
	t.Cleanup(func() { engines.SetRegistryDown(false) })
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
	w.mustApply(t)
	wantVersion(t, repository, "2.6.15")
}
