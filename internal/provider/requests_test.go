package provider

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	inventory "github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
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
		"nothing to do":          {"2.7.8", "2.7.8", 4},
		"nothing to do on 2.6":   {"2.6.15", "2.6.15", 5},
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

// TestPlanTakesARefreshOnce holds that what a refresh has read serves one plan of the same process, and no other.
func TestPlanTakesARefreshOnce(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.7.8")
	p := planner(t, cluster)
	looks := func() int {
		return len(slices.DeleteFunc(asked(cluster), func(r string) bool { return !strings.HasSuffix(r, "/api/v0/meta/settings") }))
	}
	plan := func() int {
		p.ok(nil, p.plan(state(cluster, "2.7.8"), values{"target_version": "2.7.8"}).diags)
		return looks()
	}
	refresh := func() {
		p.ok(nil, p.read(state(cluster, "2.7.8")).diags)
		asked(cluster)
	}
	refresh()
	if first, second := plan(), plan(); first != 0 || second != 1 {
		t.Errorf("%d looks of the plan after the refresh, %d of the one after that", first, second)
	}
	refresh()
	p.ok(nil, p.configure(connected(cluster)))
	if n := plan(); n != 1 {
		t.Errorf("%d looks of a plan in what may be another process", n)
	}
}

func TestRefreshedIsNotOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r refreshed
		for age, taken := range map[time.Duration]bool{time.Second: true, 10 * time.Second: false} {
			r.keep(&inventory.Inventory{})
			<-time.After(age) // of the bubble's clock
			if got := r.take() != nil; got != taken {
				t.Errorf("after %s: taken %t", age, got)
			}
		}
	})
}

// TestPlanOnALargeUCP holds that many containers of others cost no request more, however long their list is.
func TestPlanOnALargeUCP(t *testing.T) {
	t.Parallel()
	requests := map[int]int{}
	for _, others := range []int{0, 120_000} {
		cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.15", Host: host})
		cluster.Inject(simulator.Fault{
			Service: simulator.ServiceEngine, Path: "/containers/json", Matches: func(r *http.Request) bool { return !r.URL.Query().Has("filters") },
			Rewrite: func(status int, body []byte) (int, []byte) {
				list := strings.Repeat(`{"Id":"0","Names":["/worker9/web"],"Image":"web"},`, others)
				return status, append([]byte("["+list), body[1:]...)
			},
		})
		p := planner(t, cluster)
		p.ok(nil, p.plan(state(cluster, "2.6.15"), values{"target_version": "2.7.8"}).diags)
		requests[others] = len(asked(cluster))
	}
	if requests[0] != requests[120_000] {
		t.Errorf("requests by the number of other containers: %v", requests)
	}
}
