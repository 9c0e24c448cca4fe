package simulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// serverTime is the time as an answer of the cluster dates it, to the second.
func serverTime(t *testing.T, a answer) time.Time {
	t.Helper()
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	return date
}

func TestHealthReportsAreFresh(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Speed: 1})
	a := newAPI(t, c)
	date := serverTime(t, a.get("/api/v0/meta/cluster_status", nil))
	s := a.status()
	for _, id := range c.ReplicaIDs() {
		if age := date.Sub(s.Timestamp[id]); s.Health[id] != "OK" || age > 6*time.Second {
			t.Errorf("%s: %s, %v old", id, s.Health[id], age)
		}
	}
}

func TestFrozenReplica(t *testing.T) {
	t.Parallel()
	for _, speed := range []float64{1, 2000} {
		c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Speed: speed})
		a := newAPI(t, c)
		id := c.ReplicaIDs()[1]
		c.FreezeReplica(id)
		got := a.get("/api/v0/meta/cluster_status", nil)
		var s status
		got.decode(t, &s)
		if age := serverTime(t, got).Sub(s.Timestamp[id]); age < 9*time.Minute {
			t.Errorf("the report is %v old", age)
		}
		if speed == 1 {
			if !allHealthy(a) { // it is only old, for the first minute
				t.Errorf("%v", a.status().Health)
			}
			continue
		}
		eventually(t, "DTR says that it is old", func() bool {
			return strings.HasPrefix(a.status().Health[id], "Replica reported health too long ago: 20")
		})
	}
}

func TestSetReplicaHealth(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Speed: 1})
	a := newAPI(t, c)
	ids := c.ReplicaIDs()
	c.SetReplicaHealth(ids[2], "out of disk space")
	want := map[string]string{ids[0]: "OK", ids[1]: "OK", ids[2]: "out of disk space"}
	if diff := cmp.Diff(want, a.status().Health); diff != "" {
		t.Error(diff)
	}
	c.SetReplicaHealth(ids[2], "")
	if !allHealthy(a) {
		t.Errorf("%v", a.status().Health)
	}
	c.SetGCLock(ids[0])
	if got := a.status().GCLock; got != ids[0] {
		t.Errorf("lock held by %q", got)
	}
}

func TestContainersThatAreDown(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	ids := c.ReplicaIDs()
	c.KillContainer("/worker1/dtr-rethinkdb-" + ids[0])
	eventually(t, "its database is disconnected", func() bool {
		return a.status().Health[ids[0]] == "Rethink replica is currently in state: disconnected"
	})
	c.KillContainer("dtr-garant-" + ids[1])
	eventually(t, "garant is missed", func() bool { return strings.Contains(a.status().Health[ids[1]], "dtr-garant-"+ids[1]) })
	c.KillContainer("dtr-api-" + ids[2]) // nobody is left to write the report
	eventually(t, "its report is old", func() bool { return strings.Contains(a.status().Health[ids[2]], "too long ago") })

	c.KillContainer("dtr-rethinkdb-" + ids[1])
	if got := a.get("/api/v0/meta/cluster_status", nil); got.status != http.StatusInternalServerError || got.code(t) != "INTERNAL_ERROR" {
		t.Errorf("without a quorum: %d %s", got.status, got.body)
	}
	if got := a.get("/_ping", nil); got.status != http.StatusOK {
		t.Errorf("ping: %d", got.status)
	}
	c.KillContainer("dtr-api-" + ids[0])
	c.KillContainer("dtr-api-" + ids[1])
	if got := a.get("/api/v0/docs.json", nil); got.status != http.StatusBadGateway {
		t.Errorf("without any API: %d", got.status)
	}
	for _, id := range ids {
		c.KillContainer("dtr-nginx-" + id)
	}
	if got := a.get("/_ping", nil); got.status != http.StatusServiceUnavailable {
		t.Errorf("without any nginx: %d", got.status)
	}
}

func TestReplicaVersionByHand(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	id := c.ReplicaIDs()[0]
	c.SetReplicaVersion(id, "2.7.8")
	want := map[string]int{"2.6.8": 18, "2.7.8": 9}
	if diff := cmp.Diff(want, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
	for _, ct := range c.Containers() {
		if _, replica, ok := ct.Component(); ok && replica == id && (!ct.Running() || !strings.HasPrefix(ct.Image, "mirantis/dtr-") || ct.Node != "worker1") {
			t.Errorf("%+v", ct)
		}
	}
}
