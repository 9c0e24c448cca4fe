package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestVerificationLooksTwiceInARow has a look fail between two good ones: these are
// then not in a row, and another one is due.
func TestVerificationLooksTwiceInARow(t *testing.T) {
	t.Parallel()
	const path = "/api/v0/meta/cluster_status"
	sim, c := clustertest.Start(t, "2.6.15")
	// So late that the reports are newer by the next look.
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceDTR, Path: path, Status: http.StatusNotFound, Delay: 300 * time.Millisecond, Skip: 1, Times: 1,
	})
	v := cluster.Verification{Cluster: c, Pace: clustertest.Pace, Progress: &cluster.Progress{}, Target: clustertest.Version("2.6.15")}
	if err := v.Run(clustertest.Limited(t)); err != nil {
		t.Fatal(err)
	}
	inARow := 0
	for _, r := range sim.Requests() {
		switch {
		case r.Path != path:
		case r.Status == http.StatusOK:
			inARow++
		default:
			inARow = 0
		}
	}
	if inARow < 2 {
		t.Errorf("the cluster was verified after %d good look in a row", inARow)
	}
}

// verification is one of the simulated cluster, with so much time to become well.
func verification(c cluster.Cluster, healthy time.Duration) cluster.Verification {
	pace := clustertest.Pace
	pace.Healthy = healthy
	return cluster.Verification{Cluster: c, Pace: pace, Progress: &cluster.Progress{}, Target: clustertest.Version("2.6.15")}
}

// TestVerificationOutlivesOneIncompleteList has UCP forget a node for one list, later
// than it may lag behind a bootstrapper that has ended.
func TestVerificationOutlivesOneIncompleteList(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	slow := sim.ReplicaIDs()[1]
	sim.SetReplicaHealth(slow, "Rethink replica is currently in state: backfilling")
	began, forgotten := time.Now(), false
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		if forgotten || time.Since(began) < 2*clustertest.Pace.Consistent {
			return list
		}
		forgotten = true
		sim.SetReplicaHealth(slow, "")
		return clustertest.Hide("worker3")(list)
	}))
	if err := verification(c, time.Minute).Run(clustertest.Limited(t)); err != nil || !forgotten {
		t.Errorf("%v; the incomplete list was read: %t", err, forgotten)
	}
}

// TestVerificationNoticesRestarts has a part that runs in every list, and was started
// a moment before.
func TestVerificationNoticesRestarts(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	name := "dtr-notary-server-" + sim.ReplicaIDs()[2]
	inspected := 0
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var state struct {
				Name  string
				State map[string]any
			}
			var whole map[string]any
			if err := errors.Join(json.Unmarshal(body, &state), json.Unmarshal(body, &whole)); err != nil {
				t.Error(err)
			}
			if strings.HasSuffix(state.Name, name) {
				inspected++
				state.State["StartedAt"] = time.Now().UTC().Format(time.RFC3339Nano)
				whole["State"] = state.State
				body, _ = json.Marshal(whole)
			}
			return status, body
		},
	})
	failed := clustertest.AsError[*cluster.VerifyError](t, verification(c, time.Second).Run(clustertest.Limited(t)))
	if len(failed.Problems) != 1 || failed.Problems[0].Container != name || !strings.Contains(failed.Problems[0].Text, "was started again") {
		t.Errorf("got %v", failed)
	}
	if most := int(failed.After/clustertest.Pace.Consistent) + 2; inspected > most {
		t.Errorf("the container was inspected %d times in %s, more than %d", inspected, failed.After, most)
	}
}

// TestVerificationNoticesACrashLoop has a part that runs in every list, but never for
// long.
func TestVerificationNoticesACrashLoop(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	name := "dtr-notary-server-" + sim.ReplicaIDs()[2]
	up := 0
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		for _, l := range list {
			l["Status"] = "Up 2 minutes"
			if strings.HasSuffix(l.Name(), name) {
				l["Status"] = fmt.Sprintf("Up %d seconds", up%14)
			}
		}
		up++
		return list
	}))
	v := verification(c, time.Second)
	v.Pace.Steady = wait.DefaultPace.Steady
	failed := clustertest.AsError[*cluster.VerifyError](t, v.Run(clustertest.Limited(t)))
	if len(failed.Problems) != 1 || failed.Problems[0].Container != name {
		t.Errorf("got %v", failed)
	}
}

// TestVerificationComparesTimesOfOneClock has the nodes' clocks an hour ahead of DTR's.
func TestVerificationComparesTimesOfOneClock(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		for _, l := range list {
			l["Created"] = time.Now().Add(time.Hour).Unix()
		}
		return list
	}))
	if err := verification(c, 5*time.Second).Run(clustertest.Limited(t)); err != nil {
		t.Error(err)
	}
}

// TestVerificationOfAReportThatStays has DTR show the last report of a replica again and
// again, which is good.
func TestVerificationOfAReportThatStays(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	frozen := sim.ReplicaIDs()[1]
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceDTR, Path: "/api/v0/meta/cluster_status",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var answer map[string]any
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Error(err)
			}
			answer["replica_timestamp"].(map[string]any)[frozen] = "2020-01-02T03:04:05Z"
			changed, err := json.Marshal(answer)
			if err != nil {
				t.Error(err)
			}
			return status, changed
		},
	})
	ctx, stop := wait.Tell(clustertest.Limited(t), "Step verify", nil)
	defer stop()
	failed := clustertest.AsError[*cluster.VerifyError](t, verification(c, time.Second).Run(ctx))
	want := "replica " + frozen + " does not refresh its health report"
	if len(failed.Problems) != 1 || failed.Problems[0].String() != want {
		t.Errorf("got %v, want %s", failed, want)
	}
	if got := wait.Remarked(ctx); got != want {
		t.Errorf("it is said that what is waited for is %q, want %q", got, want)
	}
}

// TestVerificationOfAcceptedHealth has a replica whose bad health was accepted: its
// containers have to run all the same.
func TestVerificationOfAcceptedHealth(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	ill := sim.ReplicaIDs()[2]
	sim.SetReplicaHealth(ill, "Rethink replica is currently in state: disconnected")
	v := verification(c, time.Second)
	if failed := clustertest.AsError[*cluster.VerifyError](t, v.Run(clustertest.Limited(t))); failed.Problems[0].ReplicaID != ill {
		t.Errorf("got %v", failed)
	}
	v.Accepted = map[string]bool{ill: true}
	if err := v.Run(clustertest.Limited(t)); err != nil {
		t.Error(err)
	}
	sim.KillContainer("dtr-registry-" + ill)
	failed := clustertest.AsError[*cluster.VerifyError](t, v.Run(clustertest.Limited(t)))
	if want := "dtr-registry-" + ill + " is exited"; len(failed.Problems) != 1 || failed.Problems[0].String() != want {
		t.Errorf("got %v, want %s", failed, want)
	}
}

// TestVerificationOfADeadNode has UCP show the last state that it knew.
func TestVerificationOfADeadNode(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		for _, l := range list {
			if l.On("worker3") {
				l["Status"] = "Host Down"
			}
		}
		return list
	}))
	failed := clustertest.AsError[*cluster.VerifyError](t, verification(c, time.Second).Run(clustertest.Limited(t)))
	if !strings.Contains(failed.Error(), "is on node worker3, which is down") {
		t.Errorf("got %v", failed)
	}
}

func TestProgressWithoutATarget(t *testing.T) {
	t.Parallel()
	new(cluster.Progress).Report(t.Context(), clustertest.Snapshot("2.6.8").Inventory, nil) // must not panic
}

// TestVerificationOfASlowCrashLoop has a part run for longer between two ends than the
// verification needs to look twice. It is believed once it has been up for as long as
// UCP's answers may be incomplete, if its engine has started it again, whenever that was.
func TestVerificationOfASlowCrashLoop(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		restarts int
		up       string
		fails    bool
	}{
		"started again just now":  {3, "Up 2 seconds", true},
		"started again long ago":  {1, "Up 5 days", false},
		"started again some time": {1, "Up 4 seconds", false},
		"started just now":        {0, "Up 2 seconds", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			part := "dtr-jobrunner-" + sim.ReplicaIDs()[1]
			sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
				for _, l := range list {
					if strings.HasSuffix(l.Name(), part) {
						l["Status"] = tt.up
					}
				}
				return list
			}))
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Path: "/containers/*/json",
				Rewrite: func(status int, body []byte) (int, []byte) {
					var shown map[string]any
					if err := json.Unmarshal(body, &shown); err != nil || !strings.HasSuffix(shown["Name"].(string), part) {
						return status, body
					}
					shown["RestartCount"] = tt.restarts
					changed, _ := json.Marshal(shown)
					return status, changed
				},
			})
			v := verification(c, time.Minute)
			if tt.fails {
				v.Pace.Healthy = time.Second
			}
			v.Pace.Consistent = 3 * time.Second
			err := v.Run(clustertest.Limited(t))
			if !tt.fails {
				if err != nil {
					t.Error(err)
				}
				return
			}
			failed := clustertest.AsError[*cluster.VerifyError](t, err)
			if want := part + " has ended and was started again by its engine, 3 times so far"; failed.Problems[0].String() != want {
				t.Errorf("got %v, want %s", failed, want)
			}
		})
	}
}

// TestVerificationBeginsAnewAfterAProblem has a replica be sick between two good looks:
// these are then not in a row.
func TestVerificationBeginsAnewAfterAProblem(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	var looks atomic.Int32
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceDTR, Path: "/api/v0/meta/cluster_status", Delay: 300 * time.Millisecond, // the reports are newer by the next look
		Rewrite: func(status int, body []byte) (int, []byte) {
			if looks.Add(1) == 2 {
				body = bytes.ReplaceAll(body, []byte(`"OK"`), []byte(`"disconnected"`))
			}
			return status, body
		},
	})
	if err := verification(c, time.Minute).Run(clustertest.Limited(t)); err != nil {
		t.Fatal(err)
	}
	if got := looks.Load(); got < 4 {
		t.Errorf("the cluster was verified after %d good look in a row", got-2)
	}
}

// TestVerificationEndsWhereEachOtherLookFails has looks fail again and again, with a good
// one between them.
func TestVerificationEndsWhereEachOtherLookFails(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	var looks atomic.Int32
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceDTR, Path: "/api/v0/meta/cluster_status", Status: http.StatusNotFound,
		Matches: func(*http.Request) bool { return looks.Add(1)%2 == 0 },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := verification(c, 500*time.Millisecond).Run(ctx)
	if refused := clustertest.AsError[*dtr.APIError](t, err); refused.StatusCode != http.StatusNotFound {
		t.Errorf("got %v", err)
	}
}
