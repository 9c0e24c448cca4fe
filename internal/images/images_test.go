package images_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

const (
	target       = "2.6.15"
	bootstrapper = "mirantis/dtr:2.6.15"
	good         = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	bad          = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// start simulates a cluster of two replicas, none of whose nodes has an image of the
// target.
func start(t *testing.T) (*simulator.Cluster, cluster.Cluster) {
	t.Helper()
	return clustertest.Connect(t, simulator.Options{Version: "2.5.6", Replicas: 2})
}

// pulled are the images that an engine was asked to pull, in order.
func pulled(sim *simulator.Cluster) (list []string) {
	for _, r := range sim.Requests() {
		if strings.HasSuffix(r.Path, "/images/create") {
			list = append(list, r.Query)
		}
	}
	return list
}

// count is how many requests there were for paths that hold the text.
func count(sim *simulator.Cluster, text string) (n int) {
	for _, r := range sim.Requests() {
		if strings.Contains(r.Path, text) {
			n++
		}
	}
	return n
}

func TestBringBootstrapper(t *testing.T) {
	t.Parallel()
	digests := map[string]string{target: good}
	for name, tt := range map[string]struct {
		source images.Source
		set    func(*simulator.Cluster)
		pulls  int
		says   string // of the error, "" for none
	}{
		"missing":                            {pulls: 1},
		"missing, and only on its node":      {set: func(s *simulator.Cluster) { s.AddImage(bootstrapper, "worker1") }, pulls: 1},
		"present":                            {set: func(s *simulator.Cluster) { s.AddImage(bootstrapper, "worker2") }},
		"present, always pulled":             {source: images.Source{Pull: images.PullAlways}, set: func(s *simulator.Cluster) { s.AddImage(bootstrapper) }, pulls: 1},
		"missing, never pulled":              {source: images.Source{Pull: images.PullNever}},
		"present, never pulled":              {source: images.Source{Pull: images.PullNever, Digests: digests}, set: func(s *simulator.Cluster) { s.AddImage(bootstrapper); s.SetDigest(bootstrapper, good) }},
		"missing, never pulled, with digest": {source: images.Source{Pull: images.PullNever, Digests: digests}, says: "read the digest of image " + bootstrapper},
		"out of an archive":                  {source: images.Source{Archives: map[string]string{target: "dtr.tar"}}, says: "load images from dtr.tar"},
		"present, out of an archive":         {source: images.Source{Pull: images.PullAlways, Archives: map[string]string{target: "dtr.tar"}}, set: func(s *simulator.Cluster) { s.AddImage(bootstrapper) }},
		"an archive of another version":      {source: images.Source{Archives: map[string]string{"2.6.14": "dtr.tar"}}, pulls: 1},
		"not in the registry":                {set: func(s *simulator.Cluster) { s.RemoveFromRegistry(bootstrapper) }, pulls: 1, says: "pull images: " + bootstrapper + " on worker2: "},
		"pulled with the digest":             {source: images.Source{Digests: digests}, set: func(s *simulator.Cluster) { s.SetDigest(bootstrapper, good) }, pulls: 1},
		"pulled with another digest":         {source: images.Source{Digests: digests}, set: func(s *simulator.Cluster) { s.SetDigest(bootstrapper, bad) }, pulls: 1, says: "has digest " + bad + ", not " + good},
		"present with another digest": {
			source: images.Source{Digests: digests}, says: "has digest " + bad + ", not " + good,
			set: func(s *simulator.Cluster) {
				s.TagImage("worker2", bootstrapper, bad)
				s.TagImage("worker1", bootstrapper, good)
			},
		},
		"another digest on another node": {
			source: images.Source{Digests: digests},
			set: func(s *simulator.Cluster) {
				s.TagImage("worker2", bootstrapper, good)
				s.TagImage("worker1", bootstrapper, bad)
			},
		},
		"a digest of another version": {
			source: images.Source{Digests: map[string]string{"2.6.14": good}}, set: func(s *simulator.Cluster) { s.SetDigest(bootstrapper, bad) }, pulls: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t)
			if tt.set != nil {
				tt.set(sim)
			}
			err := tt.source.BringBootstrapper(t.Context(), c, clustertest.Pace, "worker2", clustertest.Version(target))
			if text := errorText(err); text == "" != (tt.says == "") || !strings.Contains(text, tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
			if strings.Contains(tt.says, good) {
				refused := clustertest.AsError[*images.DigestError](t, err)
				if refused.Image != bootstrapper || refused.Want != good || !slices.Equal(refused.Got, []string{bad}) {
					t.Errorf("got %+v", refused)
				}
			}
			if got := pulled(sim); len(got) != tt.pulls {
				t.Errorf("pulls %v, want %d", got, tt.pulls)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestBringBootstrapperToAnotherEngine has an engine outside UCP run the
// bootstrapper: that one needs the image.
func TestBringBootstrapperToAnotherEngine(t *testing.T) {
	t.Parallel()
	sim, c := start(t)
	sim.AddImage(bootstrapper)
	elsewhere, _ := start(t)
	c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	if err := (images.Source{}).BringBootstrapper(t.Context(), c, clustertest.Pace, "worker1", clustertest.Version(target)); err != nil {
		t.Fatal(err)
	}
	if here, there := pulled(sim), pulled(elsewhere); len(here) != 0 || len(there) != 1 {
		t.Errorf("pulls %v through UCP and %v on the other engine", here, there)
	}
}

func TestBringComponents(t *testing.T) {
	t.Parallel()
	nodes := []string{"worker1", "worker2"}
	all := images.Source{}.Components(clustertest.Version(target))
	one := all[0]
	for name, tt := range map[string]struct {
		source images.Source
		set    func(*simulator.Cluster)
		pulls  int
		wants  []string // images that both nodes have in the end
		says   string
	}{
		"all missing":           {pulls: len(all), wants: all},
		"one missing on a node": {set: func(s *simulator.Cluster) { s.AddBundle(target); s.RemoveImage(one); s.AddImage(one, "worker1") }, pulls: 1, wants: all},
		"none missing":          {set: func(s *simulator.Cluster) { s.AddBundle(target) }, wants: all},
		"always pulled":         {source: images.Source{Pull: images.PullAlways}, set: func(s *simulator.Cluster) { s.AddBundle(target) }, wants: all},
		"never pulled":          {source: images.Source{Pull: images.PullNever}},
		"not in the registry": {
			set:   func(s *simulator.Cluster) { s.RemoveFromRegistry(one) },
			pulls: len(all), wants: all[1:], says: "pull images: " + one + " on worker1: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t)
			if tt.set != nil {
				tt.set(sim)
			}
			err := tt.source.BringComponents(t.Context(), c, clustertest.Pace, nodes, clustertest.Version(target))
			if text := errorText(err); text == "" != (tt.says == "") || !strings.Contains(text, tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
			if got := pulled(sim); len(got) != tt.pulls {
				t.Errorf("pulls %v, want %d", got, tt.pulls)
			}
			engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
			for _, node := range nodes {
				present := clustertest.Must[map[string]bool](t)(engine.Images(t.Context(), node))
				for _, image := range tt.wants {
					if !present[image] {
						t.Errorf("%s is not on %s", image, node)
					}
				}
			}
		})
	}
}

func TestPullDetaches(t *testing.T) {
	t.Parallel()
	sim, c := start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("the user has stopped it")
	cancel(stopped)
	err := images.Pull(ctx, c, clustertest.Pace, images.Location{Image: bootstrapper, Node: "worker1"})
	if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Step != images.Step || !errors.Is(err, stopped) {
		t.Errorf("got %+v", detached)
	}
	if got := pulled(sim); len(got) > 0 {
		t.Errorf("pulls %v", got)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	nodes := []string{"worker1", "worker2"}
	archive := clustertest.Bundle(t, "mirantis/dtr", target, "dtr.tar.gz")
	other := clustertest.Bundle(t, "mirantis/dtr", "2.6.14", "dtr.tar")
	text := filepath.Join(t.TempDir(), "dtr.tar")
	if err := os.WriteFile(text, []byte(strings.Repeat("not an archive\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file  string
		set   func(*simulator.Cluster)
		loads int
		says  string
	}{
		"all missing": {file: archive, loads: 1},
		"one missing on a node": {file: archive, set: func(s *simulator.Cluster) {
			s.AddBundle(target)
			s.RemoveImage(bootstrapper)
			s.AddImage(bootstrapper, "worker1")
		}, loads: 1},
		"none missing":    {file: "already deleted", set: func(s *simulator.Cluster) { s.AddBundle(target) }},
		"no file":         {file: "already deleted", says: "load images from already deleted"},
		"another version": {file: other, loads: 1, says: bootstrapper + " on worker1"},
		"not an archive":  {file: text, loads: 1, says: "load images from " + text},
		"an engine that claims a success": {file: archive, loads: 1, says: bootstrapper + " on worker2", set: func(s *simulator.Cluster) {
			s.Inject(simulator.Fault{Path: "/images/load", Status: 200, Body: `{"stream":"Loaded image: ` + bootstrapper + `"}`})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t)
			if tt.set != nil {
				tt.set(sim)
			}
			source := images.Source{Archives: map[string]string{target: tt.file}}
			version := clustertest.Version(target)
			err := source.BringComponents(t.Context(), c, clustertest.Pace, nodes, version)
			if tt.says != "" {
				failure := clustertest.AsError[*images.BringError](t, err)
				if failure.Archive != tt.file || failure.Version != target || !strings.Contains(failure.Error(), tt.says) {
					t.Errorf("got %v, want it to say %q", failure, tt.says)
				}
			} else if err != nil {
				t.Error(err)
			}
			if got := count(sim, "/images/load"); got != tt.loads {
				t.Errorf("%d loads, want %d", got, tt.loads)
			}
			if got := pulled(sim); len(got) > 0 {
				t.Errorf("pulls %v", got)
			}
		})
	}
}

// TestLoadOnAnotherEngine loads the archive where the bootstrapper runs as well. What
// is there already is not loaded again.
func TestLoadOnAnotherEngine(t *testing.T) {
	t.Parallel()
	archive := clustertest.Bundle(t, "mirantis/dtr", target, "dtr.tar")
	for name, tt := range map[string]struct {
		there       string // an image on the other engine
		here, loads int
	}{
		"missing":          {here: 1, loads: 1},
		"a component":      {there: "mirantis/dtr-nginx:2.6.15", here: 1, loads: 1},
		"the bootstrapper": {there: bootstrapper, here: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := start(t)
			elsewhere, _ := start(t)
			if tt.there != "" {
				elsewhere.AddImage(tt.there)
			}
			c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
			source := images.Source{Archives: map[string]string{target: archive}}
			version := clustertest.Version(target)
			if err := source.BringComponents(t.Context(), c, clustertest.Pace, []string{"worker1"}, version); err != nil {
				t.Fatal(err)
			}
			if err := source.BringBootstrapper(t.Context(), c, clustertest.Pace, "worker1", version); err != nil {
				t.Fatal(err)
			}
			if here, there := count(sim, "/images/load"), count(elsewhere, "/images/load"); here != tt.here || there != tt.loads {
				t.Errorf("%d loads through UCP and %d on the other engine, want %d and %d", here, there, tt.here, tt.loads)
			}
		})
	}
}

func TestArchiveTags(t *testing.T) {
	t.Parallel()
	plain := clustertest.Must[[]byte](t)(os.ReadFile(clustertest.Bundle(t, "docker.io/mirantis/dtr", target, "dtr.tar")))
	zipped := clustertest.Must[[]byte](t)(os.ReadFile(clustertest.Bundle(t, "mirantis/dtr", target, "dtr.tar.gz")))
	otherSum := slices.Clone(zipped)
	otherSum[len(otherSum)-8]++ // where gzip has it
	for name, tt := range map[string]struct {
		content []byte
		says    string
	}{
		"plain, with Docker Hub's name": {content: plain},
		"compressed":                    {content: zipped},
		"cut":                           {plain[:len(plain)/2+100], "it is not complete"},
		"compressed and cut":            {zipped[:len(zipped)-20], "it is not complete"},
		"compressed, with another sum":  {otherSum, "it is not complete"},
		"empty":                         {[]byte{}, "it is not an archive of images"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "archive")
			if err := os.WriteFile(file, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			tags, err := images.ArchiveTags(t.Context(), file)
			if text := errorText(err); text == "" != (tt.says == "") || !strings.Contains(text, tt.says) {
				t.Fatalf("error %v, want %q", err, tt.says)
			}
			if tt.says != "" {
				return
			}
			for _, image := range (images.Source{}).All(clustertest.Version(target)) {
				if !tags[image] {
					t.Errorf("%s is not among %v", image, tags)
				}
			}
		})
	}
}
