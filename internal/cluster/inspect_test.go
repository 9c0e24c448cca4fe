package cluster_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestInspectAsksByName holds that a look at the replicas has UCP list no other containers, and that the look before a start sees bootstrappers of any name.
func TestInspectAsksByName(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.StartForeignBootstrapper("2.7.8")
	lists := func() (queries []string) {
		for _, r := range sim.Requests() {
			if !r.Bootstrapper() && strings.HasSuffix(r.Path, "/containers/json") {
				queries = append(queries, r.Query)
			}
		}
		sim.ResetRequests()
		return queries
	}
	seen, err := cluster.Inspect(t.Context(), c)
	if err != nil || len(seen.Problems(clustertest.Version("2.6.15"))) > 0 || len(seen.Unlisted) != 1 {
		t.Fatalf("%+v, error %v", seen, err)
	}
	if got := lists(); len(got) != 1 || got[0] != "all=1&filters=%7B%22name%22%3A%7B%22dtr-%22%3Atrue%7D%7D" {
		t.Errorf("asked %q", got)
	}
	all, err := cluster.InspectAll(t.Context(), c)
	if err != nil || len(all.Foreign(false)) == 0 || len(all.Replicas) != len(seen.Replicas) {
		t.Errorf("%+v, error %v", all, err)
	}
	if got := lists(); len(got) != 1 || got[0] != "all=1" {
		t.Errorf("asked %q", got)
	}
}

// TestBootstrappersOfAMirror holds that the look before a start sees what else runs a bootstrapper, by its image from a mirror or its flags alone, in UCP and
// on the engine that is set beside it.
func TestBootstrappersOfAMirror(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	c.Mirror = "registry.example.com/team/installer"
	elsewhere, _ := clustertest.Start(t, "2.6.15")
	c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	add := func(names ...string) simulator.Fault {
		return clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
			for i, name := range names {
				list = append(list, clustertest.Listed{
					"Id": name, "Names": []any{"/worker1/" + name}, "State": "running", "Status": "Up 2 minutes",
					"Image":   []string{c.Mirror + ":2.6.15", "sha256:0123"}[i],
					"Command": []string{"run", "run remove --existing-replica-id 000000000001"}[i],
				})
			}
			return list
		})
	}
	sim.Inject(add("by-image", "by-flag"))
	elsewhere.Inject(add("by-image-elsewhere", "by-flag-elsewhere"))
	seen, err := cluster.Look(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range seen.Foreign(false) {
		got = append(got, cluster.BaseName(b.Name))
	}
	slices.Sort(got)
	if want := []string{"by-flag", "by-flag-elsewhere", "by-image", "by-image-elsewhere"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestInspectOnAUCPThatFindsNoName holds that a UCP whose filter finds nothing is asked for everything.
func TestInspectOnAUCPThatFindsNoName(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Path: "/containers/json", Status: 200, Body: "[]",
		Matches: func(r *http.Request) bool { return strings.Contains(r.URL.Query().Get("filters"), "name") },
	})
	if seen, err := cluster.Inspect(t.Context(), c); err != nil || !seen.At(clustertest.Version("2.6.15")) {
		t.Errorf("error %v", err)
	}
}

// TestJoinThatNothingSpeaksAgainst has a UCP not tell how old a replica's volumes are, or
// what time it is on its nodes: a join on a node whose clock is a little ahead is believed.
func TestJoinThatNothingSpeaksAgainst(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"volumes are not known":     {Path: "/volumes", Status: http.StatusNotFound, Body: `{"message":"page not found"}`},
		"volumes may not be listed": {Path: "/volumes", Status: http.StatusForbidden, Body: `{"message":"access denied"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Connect(t, simulator.Options{
				Version: "2.6.8", Replicas: 3, Speed: clustertest.Speed,
				Nodes: map[string]simulator.NodeOptions{"worker1": {ClockAhead: 3 * time.Minute}, "worker2": {ClockAhead: time.Minute}},
			})
			fault.Service = simulator.ServiceEngine
			sim.Inject(fault)
			sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/*/logs", Status: http.StatusNotImplemented, Body: `{"message":"not supported"}`})
			sim.AddImage("docker/dtr:2.6.8")
			seen := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
			replica := sim.ReplicaIDs()[1]
			engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
			join := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
				Name: cluster.ContainerName(seen.Host), Image: "docker/dtr:2.6.8", Node: "worker1", Args: []string{"join", "--replica-id", replica, "--ucp-node", "worker2"},
				Labels: map[string]string{
					cluster.LabelCluster: seen.Host, cluster.LabelCommand: cluster.CommandJoin, cluster.LabelTo: "2.6.8",
					cluster.LabelReplica: replica, cluster.LabelNode: "worker2",
				},
			}))
			sim.SetReplicaVersion(replica, "2.6.8") // makes its containers now
			seen, err := cluster.Inspect(t.Context(), c)
			if err != nil || seen.Disowned(join) || len(seen.Bootstrappers) != 1 {
				t.Errorf("%+v, error %v", seen, err)
			}
		})
	}
}

// TestBootstrapperOfAnotherEngine has a bootstrapper's container on a node without a replica:
// this provider has UCP place none there, while another engine can be that of any node.
func TestBootstrapperOfAnotherEngine(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.AddImage("docker/dtr:2.6.15")
	seen := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	made := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
		Name: cluster.ContainerName(seen.Host), Image: "docker/dtr:2.6.15", Node: "manager1", Args: []string{"upgrade"},
		Labels: map[string]string{cluster.LabelCluster: seen.Host, cluster.LabelFrom: "2.5.6", cluster.LabelTo: "2.6.15"},
	}))
	for _, docker := range []*cluster.Docker{nil, cluster.NewDocker(ucp.DockerConfig{Host: sim.DockerHost()})} {
		c.Docker = docker
		seen := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
		if _, ours := seen.UpgradeContainer(); ours != (docker != nil) || seen.Disowned(made) == ours {
			t.Errorf("another engine: %t, this provider's: %t", docker != nil, ours)
		}
	}
}
