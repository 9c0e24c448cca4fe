package cluster_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
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
