package upgrade

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestDeathDuringTheMigration has a part of a replica die while the migration is waited
// for, long after the cluster was seen whole.
func TestDeathDuringTheMigration(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	api := "dtr-api-" + sim.ReplicaIDs()[1]
	release := sim.Hold(simulator.MigrationStarted)
	var ended atomic.Bool
	var asked atomic.Int32
	sim.At(simulator.BootstrapperFinished, func() { ended.Store(true) })
	// The verification asks for no jobs: the third question is of the wait for the migration.
	sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/jobs", Matches: func(*http.Request) bool {
		if ended.Load() && asked.Add(1) == 3 {
			sim.KillContainer(api)
			time.AfterFunc(2*clustertest.Pace.Steady, release)
		}
		return false
	}})
	o := to("2.6.15")
	o.Pace.Healthy = time.Second
	_, err := runUpgrade(t, c, o)
	if failed := clustertest.AsError[*cluster.VerifyError](t, err); !strings.Contains(failed.Error(), api) {
		t.Error(failed)
	}
	if n := sim.BootstrapperRuns(); n != 1 {
		t.Errorf("%d runs of the bootstrapper", n)
	}
}

// jobsRewritten changes the list of the metadata store's migrations, newest first.
func jobsRewritten(t *testing.T, change func([]map[string]any) []map[string]any) simulator.Fault {
	t.Helper()
	var mu sync.Mutex
	return simulator.Fault{
		Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/jobs",
		Matches: func(r *http.Request) bool { return r.URL.Query().Get("action") == migration.MetadataStore },
		Rewrite: func(status int, body []byte) (int, []byte) {
			mu.Lock()
			defer mu.Unlock()
			var list struct {
				Jobs []map[string]any `json:"jobs"`
			}
			if err := json.Unmarshal(body, &list); err != nil {
				t.Error(err)
			}
			list.Jobs = change(list.Jobs)
			changed, err := json.Marshal(list)
			if err != nil {
				t.Error(err)
			}
			return status, changed
		},
	}
}

// TestPostedMigrationIsHidden has DTR list the job that was posted once, and then for a
// while, shorter than the time of grace, the list of before: it is behind a load balancer,
// and one of its replicas lags behind.
func TestPostedMigrationIsHidden(t *testing.T) {
	t.Parallel()
	for name, retriggers := range map[string]int{"one retrigger": 1, "retriggers left": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Connect(t, simulator.Options{Version: "2.5.6", Replicas: 1, Speed: clustertest.Speed})
			sim.SetMigration(simulator.MigrationFaults{Fail: 3})
			_, release := sim.HoldNth(simulator.MigrationStarted, 4)
			var first time.Time
			sim.Inject(jobsRewritten(t, func(jobs []map[string]any) []map[string]any {
				switch {
				case len(jobs) <= 3:
				case first.IsZero():
					first = time.Now()
				case time.Since(first) < clustertest.Pace.Consistent*2/3:
					return jobs[len(jobs)-3:]
				default:
					release()
				}
				return jobs
			}))
			o := to("2.6.15")
			o.Retriggers = retriggers
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Error(err)
			}
			if n := clustertest.Posts(sim); n != 1 {
				t.Errorf("%d jobs were posted", n)
			}
		})
	}
}

// TestListOfBeforeTheHop has UCP show the containers of before the hop for a while after
// it, shorter than the time of grace.
func TestListOfBeforeTheHop(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	var mu sync.Mutex
	var before []byte
	var removed time.Time
	sim.At(simulator.BootstrapperRemoved, func() {
		mu.Lock()
		defer mu.Unlock()
		if removed.IsZero() {
			removed = time.Now()
		}
	})
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			mu.Lock()
			defer mu.Unlock()
			if before == nil && strings.Contains(string(body), "dtr-nginx") {
				before = slices.Clone(body)
			}
			if !removed.IsZero() && time.Since(removed) < clustertest.Pace.Consistent*2/3 {
				return status, before
			}
			return status, body
		},
	})
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Error(err)
	}
	if n := sim.BootstrapperRuns(); n != 1 {
		t.Errorf("%d runs of the bootstrapper", n)
	}
}

// TestLateRetryOfAFinishedHop has a bootstrapper replace everything and end with status 1,
// and the next apply come an hour later: its bootstrapper finds nothing to replace, and is
// newer than all that runs.
func TestLateRetryOfAFinishedHop(t *testing.T) {
	t.Parallel()
	sim, again := failedAtItsEnd(t, "2.5.6")
	anHourAgo(t, sim)
	if err := again(clustertest.Limited(t)); err != nil {
		t.Fatal(err)
	}
	clustertest.WantNoBootstrapper(t, sim)
}

// anHourAgo makes all containers that are there an hour older.
func anHourAgo(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	there := map[string]bool{}
	for _, c := range sim.Containers() {
		there[c.ID] = true
	}
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		for _, l := range list {
			created, ok := l["Created"].(float64)
			if id, _ := l["Id"].(string); ok && there[id] {
				l["Created"] = created - 3600
			}
		}
		return list
	}))
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			if status != http.StatusOK {
				return status, body
			}
			var state map[string]any
			if err := json.Unmarshal(body, &state); err != nil {
				t.Error(err)
			}
			text, _ := state["Created"].(string)
			created, err := time.Parse(time.RFC3339Nano, text)
			if id, _ := state["Id"].(string); err == nil && there[id] {
				state["Created"] = created.Add(-time.Hour).Format(time.RFC3339Nano)
			}
			changed, err := json.Marshal(state)
			if err != nil {
				t.Error(err)
			}
			return status, changed
		},
	})
}
