//go:build e2e && linux

package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

const (
	replicas = 3
	mirror   = "mirror/dtr" // path of the images in the registry
)

// published remembers which versions the registry has.
var published = map[string]string{}

// publish has the registry serve a version. It returns the repository and the
// digest of the bootstrapper's image.
func publish(t testing.TB, version string) (repository, digest string) {
	t.Helper()
	repository = engines.Registry() + "/" + mirror
	if digest, ok := published[version]; ok {
		return repository, digest
	}
	repository, digest, err := engines.Publish(t.Context(), mirror, version)
	if err != nil {
		t.Fatal(err)
	}
	published[version] = digest
	return repository, digest
}

// freshCluster is a cluster with three replicas of a version, on the engines,
// and DTR and UCP that stand before them.
func freshCluster(t testing.TB, version string) *simulator.Cluster {
	t.Helper()
	return arrange(t, replicas, version, func(string) string { return version })
}

// lagging is a cluster like one whose upgrade was interrupted: it runs version
// to, but for some parts of every replica, which run version from. It takes
// little time to finish that.
func lagging(t testing.TB, from, to string, parts ...string) *simulator.Cluster {
	t.Helper()
	publish(t, to)
	return arrange(t, replicas, from, func(part string) string {
		if slices.Contains(parts, part) {
			return from
		}
		return to
	})
}

// arrange makes the nodes hold so many replicas; lowest is the lowest version
// that a part is to run.
func arrange(t testing.TB, replicas int, lowest string, version func(part string) string) *simulator.Cluster {
	t.Helper()
	repository, _ := publish(t, lowest)
	began := time.Now()
	err := engines.Arrange(t.Context(), repository, replicas, func(_ int, part string) string { return version(part) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("arranged in %s", time.Since(began).Round(time.Millisecond))
	return cluster(t, lowest)
}

// cluster stands before the engines as they are.
func cluster(t testing.TB, version string) *simulator.Cluster {
	t.Helper()
	c, err := simulator.Start(simulator.Options{Version: version, Speed: speed, Listen: rig.Address, Engines: engines})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range engines.Nodes {
				t.Logf("the engine of %s wrote:\n%s", n.Name, n.Log())
			}
		}
	})
	return c
}

// partsOf maps the names of the replicas' containers on the engines to what
// they are. They are asked without UCP.
func partsOf(t testing.TB) map[string]container.Summary {
	t.Helper()
	all := map[string]container.Summary{}
	for _, n := range engines.Nodes {
		list, err := n.Docker.ContainerList(t.Context(), client.ContainerListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list.Items {
			name := n.Name + c.Names[0]
			if _, _, ok := (simulator.Container{Name: strings.TrimPrefix(c.Names[0], "/")}).Component(); ok {
				all[name] = c
			}
		}
	}
	return all
}

// ids of containers.
func ids(all map[string]container.Summary) []string {
	var list []string
	for _, c := range all {
		list = append(list, c.ID)
	}
	slices.Sort(list)
	return list
}

// wantVersion fails the test unless every part of every replica runs its image of
// the version, and there are no other containers than those.
func wantVersion(t testing.TB, repository, version string) {
	t.Helper()
	wantVersionOf(t, repository, version)
}

// wantVersionOf is wantVersion where the other parts than those named were not
// replaced, and so run images of the usual repository.
func wantVersionOf(t testing.TB, repository, version string, replaced ...string) {
	t.Helper()
	usual, _ := publish(t, version)
	want := map[string]string{}
	for k, n := range engines.Nodes[:replicas] {
		for _, spec := range release.ReplicaContainers(repository, rig.Replica(k+1), func(string) string { return version }) {
			image := spec.Config.Image
			if len(replaced) > 0 && !slices.Contains(replaced, spec.Part) {
				image = usual + strings.TrimPrefix(image, repository)
			}
			want[n.Name+"/"+spec.Name] = image
		}
	}
	if len(want) != 9*replicas {
		t.Fatalf("%d containers are wanted", len(want))
	}
	got := map[string]string{}
	for name, c := range partsOf(t) {
		got[name] = c.Image
		if c.State != container.StateRunning {
			got[name] += ", " + c.Status
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("containers of replicas (-want, +got):\n%s", diff)
	}
	for _, c := range engines.List() {
		if _, _, ok := c.Component(); !ok {
			t.Errorf("a container is left over: %s/%s, %s", c.Node, c.Name, c.State)
		}
	}
}

// bootstrapperRuns counts the first phases of bootstrappers that were started for
// an upgrade.
func bootstrapperRuns() int {
	runs := 0
	for _, e := range engines.Events() {
		if e.Action == "start" && strings.Contains(e.Image, "/dtr:") && e.Name != "dtr-phase2" && e.Command != "backup" {
			runs++
		}
	}
	return runs
}
