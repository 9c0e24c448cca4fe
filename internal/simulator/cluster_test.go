package simulator_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]simulator.Options{
		"no version":        {},
		"not a version":     {Version: "2.6"},
		"too many replicas": {Version: "2.6.8", Replicas: 8},
		"negative replicas": {Version: "2.6.8", Replicas: -1},
		"negative speed":    {Version: "2.6.8", Speed: -1},
	} {
		if c, err := simulator.Start(o); err == nil {
			c.Close()
			t.Errorf("%s: started", name)
		}
	}
}

func TestReplicasAndContainers(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 7; n++ {
		c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: n})
		if len(c.ReplicaIDs()) != n || len(c.Versions()) != n || len(c.Containers()) != 9*n+1 {
			t.Errorf("%d replicas: %v, %d containers", n, c.ReplicaIDs(), len(c.Containers()))
		}
	}
}

// Not parallel: it counts goroutines.
func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6", Speed: 1})
	h := httpClient(t, c)
	a := api{t, c, h}
	a.post(jobsPath, `{"action":"sleep"}`)
	c.AddBundle("2.6.8")
	c.Hold(simulator.ReplicaStarted(1)) // and never let go
	c.StartForeignBootstrapper("2.6.8")
	d := docker(t, c)
	following := d.ContainerWait(t.Context(), "dtr-nginx-"+c.ReplicaIDs()[0], client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	<-c.Reached(simulator.ReplicaStarted(1))

	began := time.Now()
	c.Close()
	t.Logf("Close took %v", time.Since(began))
	if err := <-following.Error; err == nil { // its connection was cut
		t.Error("the wait has ended well")
	}
	c.Close() // is harmless
	h.CloseIdleConnections()
	_ = d.Close()
	if _, err := try(t, h, request{url: c.DTRURL() + "/_ping"}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("after Close: %v", err)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// A request whose body nobody reads does not notice that its client is gone.
func TestCloseEndsDelayedRequests(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6", Replicas: 1})
	a := newAPI(t, c)
	c.Inject(simulator.Fault{Method: http.MethodPost, Delay: time.Hour})
	answered := make(chan error, 1)
	go func() {
		_, err := try(t, a.h, a.request(http.MethodPost, jobsPath, `{"action":"gc"}`))
		answered <- err
	}()
	eventually(t, "the request has arrived", func() bool { return len(c.Requests()) == 1 })
	c.Close()
	if <-answered == nil {
		t.Error("it was answered")
	}
}
