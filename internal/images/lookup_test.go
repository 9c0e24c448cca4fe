package images_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestLookup looks for the images of one version on two nodes, by each pull policy.
func TestLookup(t *testing.T) {
	t.Parallel()
	const component = "mirantis/dtr-nginx:2.6.15"
	nodes := []string{"worker1", "worker2"}
	version := clustertest.Version(target)
	all := images.Source{}.All(version)
	for name, tt := range map[string]struct {
		source      images.Source
		set         func(*simulator.Cluster)
		unavailable []string
		refused     bool // by the registry
		asked       int  // questions to the registry
	}{
		"in the registry alone": {asked: len(all)},
		"bootstrapper present, not in the registry": {
			set: func(s *simulator.Cluster) { s.AddImage(bootstrapper); s.RemoveFromRegistry(bootstrapper) }, asked: len(all),
		},
		"bootstrapper nowhere": {
			set: func(s *simulator.Cluster) { s.RemoveFromRegistry(bootstrapper) }, asked: len(all),
			unavailable: []string{bootstrapper + " on worker1"}, refused: true,
		},
		"bootstrapper always pulled, not in the registry": {
			source: images.Source{Pull: images.PullAlways}, asked: len(all),
			set:         func(s *simulator.Cluster) { s.AddImage(bootstrapper); s.RemoveFromRegistry(bootstrapper) },
			unavailable: []string{bootstrapper + " on worker1"}, refused: true,
		},
		"bootstrapper on another node, not in the registry": {
			set: func(s *simulator.Cluster) { s.AddImage(bootstrapper, "worker2"); s.RemoveFromRegistry(bootstrapper) }, asked: len(all),
			unavailable: []string{bootstrapper + " on worker1"}, refused: true,
		},
		"component on every node, not in the registry": {
			set: func(s *simulator.Cluster) { s.AddImage(component); s.RemoveFromRegistry(component) }, asked: len(all),
		},
		"component on one node, not in the registry": {
			set: func(s *simulator.Cluster) { s.AddImage(component, "worker1"); s.RemoveFromRegistry(component) }, asked: len(all),
			unavailable: []string{component + " on worker2"}, refused: true,
		},
		"never pulled, all present": {source: images.Source{Pull: images.PullNever}, set: func(s *simulator.Cluster) { s.AddBundle(target) }},
		"never pulled, one missing on a node": {
			source: images.Source{Pull: images.PullNever},
			set: func(s *simulator.Cluster) {
				s.AddBundle(target)
				s.RemoveImage(component)
				s.AddImage(component, "worker2")
			},
			unavailable: []string{component + " on worker1"},
		},
		"never pulled, bootstrapper missing": {
			source:      images.Source{Pull: images.PullNever},
			set:         func(s *simulator.Cluster) { s.AddBundle(target); s.RemoveImage(bootstrapper) },
			unavailable: []string{bootstrapper + " on worker1"},
		},
		"out of an archive": {source: images.Source{Archives: map[string]string{target: "dtr.tar"}}},
		"a UCP that does not serve the question": {
			asked: len(all),
			set: func(s *simulator.Cluster) {
				s.Inject(simulator.Fault{Path: "/distribution/*/*/json", Status: 404, Body: `{"message":"page not found"}`})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t)
			if tt.set != nil {
				tt.set(sim)
			}
			versions := []*semver.Version{version}
			engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
			l := images.NewLookup(tt.source, versions)
			l.Node = "worker1"
			for _, err := range []error{
				l.AskComponents(t.Context(), engine, versions),
				l.AskBootstrappers(t.Context(), engine, false, versions),
				l.AskNodes(t.Context(), c, nodes, versions),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			got, cause := l.Unavailable(version, nodes)
			if !slices.Equal(got, tt.unavailable) || (cause != nil) != tt.refused {
				t.Errorf("unavailable %v, because of %v; want %v, refused %t", got, cause, tt.unavailable, tt.refused)
			}
			if available := !slices.Contains(tt.unavailable, bootstrapper+" on worker1"); l.Available(bootstrapper) != available {
				t.Errorf("the bootstrapper's image is available: %t, want %t", !available, available)
			}
			if asked := count(sim, "/distribution/"); asked != tt.asked {
				t.Errorf("%d questions to the registry, want %d", asked, tt.asked)
			}
			if got := pulled(sim); len(got) > 0 {
				t.Errorf("pulls %v", got)
			}
			if wrong := l.Archives[target]; (wrong != nil) != (tt.source.Archives != nil) {
				t.Errorf("the archive: %v", wrong)
			}
		})
	}
}

// TestLookupMissing tells which images of an archive are not where they are needed.
func TestLookupMissing(t *testing.T) {
	t.Parallel()
	const component = "mirantis/dtr-nginx:2.6.15"
	nodes := []string{"worker1", "worker2"}
	sim, c := start(t)
	sim.AddBundle(target)
	sim.RemoveImage(component)
	sim.AddImage(component, "worker1")
	sim.RemoveImage(bootstrapper)
	sim.AddImage(bootstrapper, "worker2")
	version := clustertest.Version(target)
	versions := []*semver.Version{version}
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	file := clustertest.Bundle(t, "mirantis/dtr", target, "dtr.tar")
	l := images.NewLookup(images.Source{Archives: map[string]string{target: file}}, versions)
	if err := l.Archives[target]; err != nil {
		t.Error(err)
	}
	if err := l.AskBootstrappers(t.Context(), engine, false, versions); err != nil {
		t.Fatal(err)
	}
	if err := l.AskNodes(t.Context(), c, nodes, versions); err != nil {
		t.Fatal(err)
	}
	want := []string{bootstrapper + " on worker1", component + " on worker2"}
	if got := l.Missing(version, nodes); !slices.Equal(got, want) {
		t.Errorf("missing are %s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}
