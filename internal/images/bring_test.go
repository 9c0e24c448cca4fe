package images

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

const bootstrapper = "mirantis/dtr:2.6.15"

// nodes are those of the replicas, of the four workers of a cluster.
var nodes = []string{"worker1", "worker2", "worker3"}

// transfers has UCP pull or load the images on all workers but those that fail,
// and say what it says then.
func transfers(sim *simulator.Cluster, path string, failing map[string]string) {
	var body strings.Builder
	for node, text := range failing {
		fmt.Fprintf(&body, `{"id":%q,"status":"Pulling it... : %s"}`+"\n", node, text)
	}
	var reached []string
	for _, node := range append(slices.Clone(nodes), "worker4") {
		if failing[node] != "" {
			continue
		}
		reached = append(reached, node)
		if path == "/images/create" { // of a load only failures are told
			fmt.Fprintf(&body, `{"id":%q,"status":"Pulling it... : downloaded"}`+"\n", node)
		}
	}
	fmt.Fprint(&body, `{"error":"something failed","errorDetail":{"code":1,"message":"something failed"}}`+"\n")
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodPost, Path: path, Status: http.StatusOK, Body: body.String(),
		Matches: func(r *http.Request) bool {
			loaded := release.Bundle("mirantis/dtr", "2.6.15")
			if path == "/images/create" {
				loaded = []string{r.URL.Query().Get("fromImage") + ":" + r.URL.Query().Get("tag")}
			}
			for _, image := range loaded {
				sim.AddImage(image, reached...)
			}
			return true
		},
	})
}

// TestBringLooksAtTheNodesThatNeedIt has pulls and loads fail on nodes that are of
// importance, and on others.
func TestBringLooksAtTheNodesThatNeedIt(t *testing.T) {
	t.Parallel()
	const full = "no space left on device"
	for name, tt := range map[string]struct {
		failing map[string]string
		says    []string // of the error; nil for none
	}{
		"a node without a replica": {map[string]string{"worker4": "no matching manifest for windows/amd64"}, nil},
		"one of the nodes":         {map[string]string{"worker2": full}, []string{"mirantis/dtr-nginx:2.6.15 on worker2: " + full}},
		"nodes of both kinds": {
			map[string]string{"worker2": full, "worker3": "Cannot connect to the docker engine endpoint", "worker4": "no matching manifest"},
			[]string{"on worker2: " + full, "on worker3: Cannot connect"},
		},
	} {
		for _, way := range []string{"pull", "load"} {
			t.Run(way+" fails on "+name, func(t *testing.T) {
				t.Parallel()
				sim, c := clustertest.Connect(t, simulator.Options{Version: "2.5.6", Replicas: 3, Workers: 4, Speed: clustertest.Speed})
				source, path := Source{}, "/images/create"
				if way == "load" {
					archive := filepath.Join(t.TempDir(), "dtr_images_2.6.15.tar")
					if err := os.WriteFile(archive, []byte("an archive"), 0o600); err != nil {
						t.Fatal(err)
					}
					source.Archives, path = map[string]string{"2.6.15": archive}, "/images/load"
				}
				transfers(sim, path, tt.failing)
				err := source.BringComponents(t.Context(), c, clustertest.Pace, nodes, clustertest.Version("2.6.15"))
				if tt.says == nil {
					if err != nil {
						t.Error(err)
					}
					return
				}
				failed := clustertest.AsError[*BringError](t, err)
				for _, want := range tt.says {
					if !strings.Contains(failed.Error(), want) {
						t.Errorf("got %v, want it to say %q", failed, want)
					}
				}
				for _, not := range []string{"worker1", "worker4"} {
					if strings.Contains(failed.Error(), not) {
						t.Errorf("got %v, and %s has nothing to do with it", failed, not)
					}
				}
			})
		}
	}
}

// TestBringNamesALostNode has a replica's node be lost, of which UCP says nothing.
func TestBringNamesALostNode(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.StopEngine("worker2")
	err := Source{}.BringComponents(t.Context(), c, clustertest.Pace, nodes, clustertest.Version("2.6.15"))
	failed := clustertest.AsError[*BringError](t, err)
	for _, f := range failed.Failed {
		if f.Node != "worker2" {
			t.Errorf("%v failed", f)
		}
	}
}

// TestBringLooksAgain has UCP's lists leave a node out for a while.
func TestBringLooksAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		times int
		fails bool
	}{
		"for a while": {3, false},
		"for good":    {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Path: "/images/json", Status: http.StatusOK, Body: "[]", Skip: 1, Times: tt.times,
				Matches: func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "worker2") },
			})
			pace := clustertest.Pace
			if !tt.fails {
				pace.Consistent = time.Minute
			}
			err := Source{}.BringComponents(t.Context(), c, pace, nodes, clustertest.Version("2.6.15"))
			if (err != nil) != tt.fails {
				t.Errorf("error %v", err)
			}
			if tt.fails && !strings.Contains(clustertest.AsError[*BringError](t, err).Error(), "on worker2: it is not there afterwards") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestBringAlwaysPullsOnTheNode has a pull of what is there already fail, on the
// node that is to run it or on another.
func TestBringAlwaysPullsOnTheNode(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"worker1", "worker4"} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Connect(t, simulator.Options{Version: "2.5.6", Replicas: 3, Workers: 4, Speed: clustertest.Speed})
			sim.AddImage(bootstrapper)
			transfers(sim, "/images/create", map[string]string{failing: "manifest unknown"})
			err := Source{Pull: PullAlways}.BringBootstrapper(t.Context(), c, clustertest.Pace, "worker1", clustertest.Version("2.6.15"))
			if failing != "worker1" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if failed := clustertest.AsError[*BringError](t, err); failed.Error() != "pull images: "+bootstrapper+" on worker1: manifest unknown" {
				t.Errorf("got %v", failed)
			}
		})
	}
}

// TestErrorsNameTheNode holds the errors of looks, too.
func TestErrorsNameTheNode(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Path: "/images/json", Status: http.StatusInternalServerError, Body: `{"message":"engine is gone"}`,
		Matches: func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "worker3") },
	})
	err := Pull(t.Context(), c, clustertest.Pace, Location{bootstrapper, "worker3"})
	if err == nil || !strings.Contains(err.Error(), "look for images on worker3: ") {
		t.Errorf("error %v", err)
	}
	lookup := NewLookup(Source{Pull: PullNever}, nil)
	err = lookup.AskNodes(t.Context(), c, nodes, clustertest.Versions("2.6.15"))
	if err == nil || !strings.Contains(err.Error(), "look for images on worker3: ") {
		t.Errorf("error %v", err)
	}
}

// TestImagesAreListedInLong has the engines show Docker's own registry, as some do.
func TestImagesAreListedInLong(t *testing.T) {
	t.Parallel()
	for _, registry := range []string{"docker.io/", "index.docker.io/"} {
		t.Run(registry, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.AddBundle("2.6.15")
			digest := "sha256:" + strings.Repeat("1", 64)
			for _, node := range nodes {
				sim.TagImage(node, bootstrapper, digest)
			}
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Path: "/images/json",
				Rewrite: func(status int, body []byte) (int, []byte) {
					return status, bytes.ReplaceAll(body, []byte(`"mirantis/`), []byte(`"`+registry+`mirantis/`))
				},
			})
			source := Source{Digests: map[string]string{"2.6.15": digest}}
			if err := source.BringComponents(t.Context(), c, clustertest.Pace, nodes, clustertest.Version("2.6.15")); err != nil {
				t.Error(err)
			}
			if err := source.BringBootstrapper(t.Context(), c, clustertest.Pace, "worker1", clustertest.Version("2.6.15")); err != nil {
				t.Error(err)
			}
			if did := clustertest.Changes(sim); len(did) > 0 {
				t.Errorf("what is there was brought: %v", did)
			}
		})
	}
}

// TestBringOutlastsAnOutage has the engines be out of reach for a while, in each request
// that brings images or looks at them. What an engine itself refuses for good is not
// asked for much longer.
func TestBringOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	archive := clustertest.Bundle(t, "mirantis/dtr", "2.6.15", "dtr.tar")
	for name, tt := range map[string]struct {
		fault simulator.Fault
		load  bool
		says  string
	}{
		"pull: no answer":          {fault: simulator.Fault{Path: "/images/create", Reset: true, Times: 60}},
		"pull: no whole answer":    {fault: simulator.Fault{Path: "/images/create", Status: http.StatusOK, Body: `{"status":"Pulling from`, Times: 20}},
		"pull: a gateway's answer": {fault: simulator.Fault{Path: "/images/create", Status: http.StatusBadGateway, Times: 60}},
		"pull: refused at first":   {fault: simulator.Fault{Path: "/images/create", Status: http.StatusInternalServerError, Times: 3}},
		"pull: refused for good":   {fault: simulator.Fault{Path: "/images/create", Status: http.StatusInternalServerError, Body: `{"message":"disk quota exceeded"}`}, says: "disk quota exceeded"},
		"load: no answer":          {fault: simulator.Fault{Path: "/images/load", Reset: true, Times: 3}, load: true},
		"look: no answer":          {fault: simulator.Fault{Path: "/images/json", Reset: true, Times: 60}},
		"look: refused for good":   {fault: simulator.Fault{Path: "/images/json", Status: http.StatusInternalServerError, Body: `{"message":"disk quota exceeded"}`}, says: "disk quota exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			tt.fault.Service = simulator.ServiceEngine
			sim.Inject(tt.fault)
			source := Source{}
			if tt.load {
				source.Archives = map[string]string{"2.6.15": archive}
			}
			pace := clustertest.Pace
			if tt.says == "" {
				pace.Consistent = time.Minute
			}
			err := source.BringComponents(clustertest.Limited(t), c, pace, nodes, clustertest.Version("2.6.15"))
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got error %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestUnfinishedTransfersAreLogged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		transfers []*transfer
		want      []string
	}{
		"none": {[]*transfer{{}, {}}, nil},
		"some": {[]*transfer{{}, {err: errors.New("no Windows image")}, {err: errors.New("no space left")}}, []string{
			"warn no Windows image", "debug no Windows image", "debug no space left",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logUnfinished(tflogtest.RootLogger(t.Context(), &out), tt.transfers)
			var got []string
			for _, e := range clustertest.Must[[]map[string]any](t)(tflogtest.MultilineJSONDecode(&out)) {
				got = append(got, fmt.Sprintf("%s %s", e["@level"], e["error"]))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
