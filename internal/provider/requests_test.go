package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// asked are the requests of the provider since the last call, without the API's version.
func asked(c *simulator.Cluster) []string {
	var list []string
	for _, r := range c.Requests() {
		if r.Bootstrapper() {
			continue
		}
		path := r.Path
		if strings.HasPrefix(path, "/v1.") {
			path = path[strings.Index(path[1:], "/")+1:]
		}
		list = append(list, r.Service+" "+strings.TrimSuffix(r.Method+" "+path+"?"+r.Query, "?"))
	}
	c.ResetRequests()
	slices.Sort(list)
	return list
}

// TestRequestsOfAPlan holds how much a refresh and its plan ask, and that they ask nothing twice.
func TestRequestsOfAPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs, target string
		most         int
	}{
		"nothing to do":          {"2.7.8", "2.7.8", 8},
		"nothing to do on 2.6":   {"2.6.15", "2.6.15", 8},
		"one hop from 2.5":       {"2.5.6", "2.6.15", 22},
		"one hop from 2.6":       {"2.6.15", "2.7.8", 22},
		"one hop, a later major": {"2.7.8", "2.8.13", 22},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := simulatortest.Start(t, simulator.Options{Version: c.runs, Host: host})
			p := planner(t, cluster)
			refreshed := p.read(state(cluster, c.runs))
			p.ok(nil, refreshed.diags)
			read := len(cluster.Requests())
			p.ok(nil, p.plan(refreshed.values(), values{"target_version": c.target}).diags)
			all := asked(cluster)
			t.Logf("%s: %d requests, %d of them of the refresh", name, len(all), read)
			if len(all) > c.most || len(slices.Compact(slices.Clone(all))) < len(all) {
				t.Errorf("%d requests, at most %d are to be:\n%s", len(all), c.most, strings.Join(all, "\n"))
			}
		})
	}
}
