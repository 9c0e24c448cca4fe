package dtr_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const cachesPath = "/api/v0/content_caches"

// TestAddContentCacheOnce holds that a cache is registered once, whatever becomes of
// the answer, also next to one that is registered alike.
func TestAddContentCacheOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault simulator.Fault
		posts int
	}{
		"nothing wrong":    {simulator.Fault{Service: "nobody"}, 1},
		"answer lost":      {simulator.Fault{AfterEffect: true, Reset: true}, 1},
		"answer garbled":   {simulator.Fault{AfterEffect: true, Garbage: true}, 1},
		"answer cut":       {simulator.Fault{Truncate: true}, 1},
		"no cache":         {simulator.Fault{AfterEffect: true, Status: 201, Body: `{}`}, 1},
		"gateway gave up":  {simulator.Fault{AfterEffect: true, Status: 504}, 1},
		"connection reset": {simulator.Fault{Reset: true}, 2},
		"not done":         {simulator.Fault{Status: 503}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
			before := sim.AddCache("main", "https://cache.example.com")
			c.fault.Method, c.fault.Path, c.fault.Times = http.MethodPost, cachesPath, 1
			sim.Inject(c.fault)
			got, err := connect(t, sim).Caches().Add(t.Context(), "main", "https://cache.example.com")
			if err != nil {
				t.Fatal(err)
			}
			caches := sim.Caches()
			if len(caches) != 2 || caches[1].ID != got.ID || got.ID == before || got.Name != "main" || got.Host != "https://cache.example.com" {
				t.Errorf("got %+v of %+v", got, caches)
			}
			if n := posts(sim); n != c.posts {
				t.Errorf("%d POSTs, want %d", n, c.posts)
			}
		})
	}
}

func TestAddContentCacheFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault simulator.Fault
		posts int
		lost  bool
	}{
		"refused":                        {simulator.Fault{Method: http.MethodPost, Status: 400, Body: `{"errors":[{"code":"X","message":"x"}]}`}, 1, false},
		"never done":                     {simulator.Fault{Method: http.MethodPost, Status: 503}, 2, true},
		"done, and nobody can look":      {simulator.Fault{AfterEffect: true, Reset: true, Skip: 1}, 1, true},
		"the list before cannot be read": {simulator.Fault{Method: http.MethodGet, Status: 500}, 0, false},
		"the list before is no list":     {simulator.Fault{Method: http.MethodGet, Status: 200, Body: `{"caches":[]}`}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
			c.fault.Path = cachesPath
			sim.Inject(c.fault)
			_, err := connect(t, sim).Caches().Add(t.Context(), "main", "https://cache.example.com")
			var lost *dtr.LostCacheError
			if err == nil || errors.As(err, &lost) != c.lost || c.lost && lost.Name != "main" {
				t.Errorf("error %v", err)
			}
			if n := posts(sim); n != c.posts {
				t.Errorf("%d POSTs, want %d", n, c.posts)
			}
		})
	}
}

func TestRemoveContentCache(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*simulator.Fault{
		"there":                 nil,
		"the answer is lost":    {AfterEffect: true, Reset: true, Times: 1},
		"busy":                  {Status: 503, Times: 2},
		"gone, and that is 404": {Status: 404, Body: `{"errors":[{"code":"NO_SUCH_CONTENT_CACHE","message":"x"}]}`, AfterEffect: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
			id, other := sim.AddCache("main", "https://cache.example.com"), sim.AddCache("other", "https://other.example.com")
			if fault != nil {
				fault.Method = http.MethodDelete
				sim.Inject(*fault)
			}
			if err := connect(t, sim).Caches().Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if caches := sim.Caches(); len(caches) != 1 || caches[0].ID != other {
				t.Errorf("%+v", caches)
			}
		})
	}
	sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
	if err := connect(t, sim).Caches().Remove(t.Context(), ""); err == nil || len(sim.Requests()) > 0 {
		t.Errorf("without an id: error %v, %+v", err, sim.Requests())
	}
	sim.Inject(simulator.Fault{Method: http.MethodDelete, Status: 404})
	if err := connect(t, sim).Caches().Remove(t.Context(), "x"); err == nil {
		t.Error("a page that is not there counts as a cache that is not there")
	}
}
