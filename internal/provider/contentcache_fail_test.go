package provider

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// impatient is a planner of content caches that gives up soon.
func impatient(t *testing.T, c *simulator.Cluster, change func(*wait.Pace)) *protocol {
	t.Helper()
	short := pace
	change(&short)
	p := newProtocol(t, append(quick(), WithPace(short))...)
	p.ok(nil, p.configure(connected(c)))
	return p.of("dtr_content_cache")
}

// TestCacheServiceFails holds that an update that the swarm ends badly fails the
// apply with the swarm's own words, that what the service's settings did is left
// alone, and that the next apply takes it up again.
func TestCacheServiceFails(t *testing.T) {
	t.Parallel()
	gone := func(c *simulator.Cluster) { c.RemoveFromRegistry(cacheAfter) }
	crash := func(c *simulator.Cluster) { c.SetCrashing(cacheAfter, true) }
	for name, c := range map[string]struct {
		service simulator.CacheService
		fail    func(*simulator.Cluster)
		want    []string
		running []string // meanwhile
	}{
		"image not to be had, pause": {
			simulator.CacheService{Replicas: 2},
			gone,
			[]string{"State: paused\n", "Message: update paused due to failure or early termination of task ", "No such image: " + cacheAfter},
			[]string{cacheBefore},
		},
		"image not to be had, roll back": {
			simulator.CacheService{FailureAction: "rollback"},
			gone,
			[]string{"State: rollback_completed\n", "No such image: " + cacheAfter},
			[]string{cacheBefore},
		},
		"image not to be had, start first and pause": {
			simulator.CacheService{Order: "start-first"}, gone, []string{"State: paused\n"}, []string{cacheBefore},
		},
		"task crashes, pause":                         {simulator.CacheService{}, crash, []string{"State: paused\n", "task: non-zero exit (1)"}, nil},
		"task crashes, roll back with start first":    {simulator.CacheService{FailureAction: "rollback", Order: "start-first"}, crash, []string{"State: rollback_completed\n"}, []string{cacheBefore}},
		"task crashes, and the update goes on":        {simulator.CacheService{FailureAction: "continue"}, crash, []string{"State: its tasks do not all run\n", "task: non-zero exit (1)"}, nil},
		"image not to be had, and the update goes on": {simulator.CacheService{FailureAction: "continue"}, gone, []string{"State: its tasks do not all run\n"}, nil},
	} {
		for _, kind := range []string{"create", "update"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.6.15")
				c.service.Image = cacheBefore
				cluster.AddCacheService(c.service)
				p := impatient(t, cluster, func(p *wait.Pace) { p.Healthy = 50 * time.Millisecond })
				var prior values
				if kind == "update" {
					prior = p.apply(nil, onService(cluster, "2.6.8")).values()
				}
				c.fail(cluster)
				config := onService(cluster, "2.6.15")
				failed := p.apply(prior, config)
				for _, want := range c.want {
					expect(t, failed.diags, want)
				}
				if kind == "create" && (failed.state != nil || len(cluster.Caches()) > 0) {
					t.Errorf("saved %v, registered %v", failed.state, cluster.Caches())
				}
				if kind == "update" && failed.text("version") != "2.6.8" {
					t.Errorf("the state has taken over version %s", failed.text("version"))
				}
				if s := cluster.ServiceState(cacheService); !slices.Equal(s.Running, c.running) {
					t.Errorf("%q run", s.Running)
				}
				if n := serviceUpdates(cluster); n != 1 {
					t.Errorf("%d updates were sent", n)
				}

				cluster.AddToRegistry(cacheAfter)
				cluster.SetCrashing(cacheAfter, false)
				if kind == "update" {
					prior = p.read(failed.values()).values()
				}
				if c.service.FailureAction == "continue" {
					return // the swarm has no word for starting such a service again
				}
				done := p.apply(prior, config)
				expect(t, done.diags, "")
				if s := cluster.ServiceState(cacheService); len(s.Running) != max(c.service.Replicas, 1) || s.Running[0] != cacheAfter {
					t.Errorf("%+v", s)
				}
				steady(t, p, done, config)
			})
		}
	}
}

// TestCacheStopsWaiting holds that an interrupted apply leaves the update alone, and
// that the next one waits for it instead of sending another.
func TestCacheStopsWaiting(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.ServiceUpdating, simulator.ServiceRollingBack} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCacheService(simulator.CacheService{Image: cacheBefore, FailureAction: "rollback"})
			updates := 1
			if point == simulator.ServiceRollingBack {
				cluster.RemoveFromRegistry(cacheAfter)
				updates = 2 // what was rolled back is asked for again
			}
			p := cachePlanner(t, cluster)
			release := cluster.Hold(point)
			ctx, cancel := context.WithCancel(p.ctx)
			defer cancel()
			go func() {
				<-cluster.Reached(point)
				cancel()
			}()
			p.ctx = ctx
			config := onService(cluster, "2.6.15")
			expect(t, p.apply(nil, config).diags, "Error: Terraform stopped waiting for content cache main\n")

			p.ctx = t.Context()
			cluster.AddToRegistry(cacheAfter)
			time.AfterFunc(20*time.Millisecond, release) // while the next apply waits
			done := p.apply(nil, config)
			expect(t, done.diags, "")
			if n := serviceUpdates(cluster); n != updates {
				t.Errorf("%d updates were sent, want %d", n, updates)
			}
			steady(t, p, done, config)
		})
	}
}

// TestCacheUpdateNotConfirmed holds what is made of an update that the engine does
// not confirm.
func TestCacheUpdateNotConfirmed(t *testing.T) {
	t.Parallel()
	const update = "/services/*/update"
	outOfSequence := simulator.Fault{Status: 500, Body: `{"message":"rpc error: code = Unknown desc = update out of sequence"}`}
	for name, c := range map[string]struct {
		fault simulator.Fault
		times int
		want  string // of the error
		sent  int
	}{
		"somebody else was faster, twice": {outOfSequence, 2, "", 3},
		"somebody else is always faster":  {outOfSequence, 0, "update out of sequence", 5},
		"the answer is lost":              {simulator.Fault{AfterEffect: true, Reset: true}, 1, "", 1},
		"it is forbidden":                 {simulator.Fault{Status: 403, Body: `{"message":"access denied"}`}, 0, "access denied", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCacheService(simulator.CacheService{Image: cacheBefore})
			c.fault.Service, c.fault.Method, c.fault.Path, c.fault.Times = simulator.ServiceEngine, "POST", update, c.times
			cluster.Inject(c.fault)
			done := cachePlanner(t, cluster).apply(nil, onService(cluster, "2.6.15"))
			expect(t, done.diags, c.want)
			if hasErrors(done.diags) != (c.want != "") {
				t.Error(render(done.diags))
			}
			if n := serviceUpdates(cluster); n != c.sent {
				t.Errorf("%d updates were sent, want %d", n, c.sent)
			}
		})
	}
}

// TestCacheUpdateLostAndFailed holds that an update whose answer was lost, and that
// has failed by the time it is looked for, is not sent a second time.
func TestCacheUpdateLostAndFailed(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{"pause": "State: paused\n", "rollback": "State: rollback_completed\n"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCacheService(simulator.CacheService{Image: cacheBefore, FailureAction: action})
			cluster.RemoveFromRegistry(cacheAfter)
			cluster.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: "POST", Path: "/services/*/update", AfterEffect: true, Reset: true, Times: 1})
			cluster.At(simulator.ServiceUpdating, func() {
				cluster.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: "GET", Path: "/services/*", Delay: 50 * time.Millisecond, Times: 1})
			})
			expect(t, cachePlanner(t, cluster).apply(nil, onService(cluster, "2.6.15")).diags, want)
			if n := serviceUpdates(cluster); n != 1 {
				t.Errorf("%d updates were sent", n)
			}
		})
	}
}

// TestCacheProbeIsNotForgotten holds that a cache that did not answer after an
// update is asked again by the next apply, which has nothing else to do.
func TestCacheProbeIsNotForgotten(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	cluster.AddCacheService(simulator.CacheService{Image: cacheBefore})
	p := impatient(t, cluster, func(p *wait.Pace) { p.CacheAnswer = 50 * time.Millisecond })
	state := p.apply(nil, onService(cluster, "2.6.8"))
	mend := cluster.Inject(simulator.Fault{Service: simulator.ServiceCache, Status: 503})
	config := onService(cluster, "2.6.15")
	for range 2 {
		state = p.apply(state.values(), config)
		expect(t, state.diags, "Error: The content cache does not answer\n")
		if state.text("version") != "2.6.8" || state.text("current_version") != "2.6.15" {
			t.Errorf("version %s, current_version %s", state.text("version"), state.text("current_version"))
		}
	}
	mend()
	state = p.apply(state.values(), config)
	expect(t, state.diags, "")
	if n := serviceUpdates(cluster); n != 1 {
		t.Errorf("%d updates", n)
	}
	steady(t, p, state, config)
}

// TestCacheProbe holds that a cache that does not answer is not registered, and
// that a probe that cannot succeed fails before anything is changed.
func TestCacheProbe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   *simulator.Fault
		probe   values
		want    string
		changes bool // what runs is changed
	}{
		"another status": {&simulator.Fault{Status: 503}, nil, "it answered GET /v2/_catalog with status 503", true},
		"nobody there":   {&simulator.Fault{Reset: true}, nil, "Error: The content cache does not answer\n", true},
		"everything":     {&simulator.Fault{Status: 200, Body: `{"repositories":[]}`}, nil, "", true},
		"without the CA": {nil, values{}, "Set ca_cert of probe to the PEM text of the CA that signed it.", false},
		"not verified":   {nil, values{"insecure_skip_verify": true}, "", true},
		"not asked":      {&simulator.Fault{Reset: true}, values{"enabled": false}, "", true},
		"asked by name":  {nil, values{"enabled": true, "insecure_skip_verify": true}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCacheService(simulator.CacheService{Image: cacheBefore})
			if c.fault != nil {
				c.fault.Service = simulator.ServiceCache
				cluster.Inject(*c.fault)
			}
			p := impatient(t, cluster, func(p *wait.Pace) { p.CacheAnswer = 50 * time.Millisecond })
			config := onService(cluster, "2.6.15")
			if c.probe != nil {
				config["probe"] = c.probe
			}
			done := p.apply(nil, config)
			expect(t, done.diags, c.want)
			if hasErrors(done.diags) != (c.want != "") {
				t.Error(render(done.diags))
			}
			if registered := len(cluster.Caches()) == 1; registered != (c.want == "") {
				t.Errorf("registered: %t", registered)
			}
			if changed := serviceUpdates(cluster) > 0; changed != c.changes {
				t.Errorf("changed: %t", changed)
			}
			if c.probe["enabled"] == false && slices.ContainsFunc(cluster.Requests(), func(r simulator.Request) bool { return r.Service == simulator.ServiceCache }) {
				t.Error("the cache was asked")
			}
		})
	}
}
