package upgrade

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

func TestRunOutlastsAShortOutage(t *testing.T) {
	t.Parallel()
	for _, service := range []string{simulator.ServiceDTR, simulator.ServiceUCP, simulator.ServiceEngine} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			release := sim.Hold(simulator.ReplicaStarted(2))
			go func() {
				<-sim.Reached(simulator.ReplicaStarted(2))
				if service == simulator.ServiceUCP {
					sim.ExpireTokens()
				}
				sim.Inject(simulator.Fault{Service: service, Reset: true, Times: 40})
				release()
			}()
			if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			if got := sim.BootstrapperRuns(); got != 1 {
				t.Errorf("%d bootstrapper runs, want 1", got)
			}
		})
	}
}

func TestRunDetachesInALongOutage(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	remove := func() {}
	release := sim.Hold(simulator.ReplicaStarted(2))
	injected := make(chan struct{})
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(2))
		remove = sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Status: 503})
		close(injected)
	}()
	o := to("2.6.15")
	o.Pace.Outage = 100 * time.Millisecond
	_, err := runUpgrade(t, c, o)
	if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Container == "" {
		t.Errorf("got %v, want it to name the container that goes on", err)
	}
	<-injected
	remove()
	release()
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	if got := sim.BootstrapperRuns(); got != 1 {
		t.Errorf("%d bootstrapper runs, want 1", got)
	}
}

// TestRunOutlastsOutagesBesideItsWaits has an engine answer 503 for a while to what a
// run asks or does between the waits that take long.
func TestRunOutlastsOutagesBesideItsWaits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ method, path string }{
		"bootstrapper looked for": {http.MethodGet, "/containers/dtr-upgrade-*/json"},
		"containers removed":      {http.MethodDelete, "/containers/*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Method: tt.method, Path: tt.path,
				Status: http.StatusServiceUnavailable, Body: `{"message":"No elected primary cluster manager"}`, Times: 9,
			})
			finish(t, sim, c, backingUp(t, "2.5.17"), 1)
		})
	}
}

// TestRunOutlastsAnOutageAtItsFirstLook has a service be out of reach for a moment when
// an apply begins. What is no outage ends it at once.
func TestRunOutlastsAnOutageAtItsFirstLook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault simulator.Fault
		url   string // of DTR, in place of the cluster's
		fails bool
	}{
		"no such host":        {url: "https://dtr.invalid", fails: true},
		"DTR":                 {fault: simulator.Fault{Service: simulator.ServiceDTR, Reset: true, Times: 60}},
		"UCP":                 {fault: simulator.Fault{Service: simulator.ServiceUCP, Status: http.StatusServiceUnavailable, Times: 60}},
		"the engines":         {fault: simulator.Fault{Service: simulator.ServiceEngine, Reset: true, Times: 60}},
		"wrong password":      {fault: simulator.Fault{Service: simulator.ServiceDTR, Status: http.StatusUnauthorized}, fails: true},
		"not a page of DTR's": {fault: simulator.Fault{Service: simulator.ServiceDTR, Status: http.StatusNotFound}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			if tt.url != "" {
				c.DTR = clustertest.Must[*dtr.Client](t)(dtr.New(dtr.Config{URL: tt.url, Username: "admin", Password: "password"}))
			} else {
				sim.Inject(tt.fault)
			}
			o := to("2.5.17")
			o.Pace.Outage = time.Hour
			if _, err := runUpgrade(t, c, o); (err != nil) != tt.fails || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// TestRunTellsOfAnOutageAtItsFirstLook holds that a run that finds nobody there says so once
// a minute.
func TestRunTellsOfAnOutageAtItsFirstLook(t *testing.T) {
	t.Parallel()
	const address = "https://127.0.0.1:1" // where nobody listens
	synctest.Test(t, func(t *testing.T) {
		var out clustertest.Log
		c := cluster.Cluster{
			DTR: clustertest.Must[*dtr.Client](t)(dtr.New(dtr.Config{URL: address, Username: "admin", Password: "pa55word"})),
			UCP: clustertest.Must[*ucp.Client](t)(ucp.New(ucp.Config{URL: address, Username: "admin", Password: "pa55word"})),
		}
		began := time.Now()
		_, _, err := newRun(c, options("2.6.15")).preflight(tflogtest.RootLogger(t.Context(), &out))
		if _, ok := errors.AsType[*wait.OutageError](err); !ok {
			t.Fatal(err)
		}
		line := `"Step preflight goes on, since ` + began.Format(time.TimeOnly) + `; every attempt since ` + began.Format("15:04")
		if n := strings.Count(out.String(), line); n < 9 || n > 10 || !strings.Contains(out.String(), "failed; the last one: ") {
			t.Errorf("%d lines in ten minutes:\n%s", n, out.String())
		}
	})
}
