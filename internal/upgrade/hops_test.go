package upgrade

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// twoHops are the options of a run by way of 2.6.15 to 2.7.8.
func twoHops() Options { return to("2.7.8", "2.6.15") }

// TestRunIsResumedAtASecondHop interrupts a run of two hops after the first and in
// the second. Each time the bootstrapper runs once for each hop.
func TestRunIsResumedAtASecondHop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		point string
		n     int
	}{
		"the first hop is finished":         {simulator.BootstrapperRemoved, 1},
		"the second bootstrapper starts":    {simulator.BootstrapperStarted, 2},
		"the second hop replaces a replica": {simulator.ReplicaStarted(2), 2},
		"the second bootstrapper ends":      {simulator.BootstrapperFinished, 2},
		"the second hop is finished":        {simulator.BootstrapperRemoved, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, cluster := clustertest.Start(t, "2.5.6")
			reached, release := sim.HoldNth(c.point, c.n)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-reached
				cancel()
			}()
			_, err := Run(ctx, cluster, twoHops())
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want it to tell of the cancellation", err)
			}
			release()

			finish(t, sim, cluster, twoHops(), 2)
			if jobs := sim.Jobs(); len(jobs) != 1 || jobs[0].Status != "done" || clustertest.Posts(sim) > 0 {
				t.Errorf("jobs %+v, %d of them posted; want the one that DTR made, done", jobs, clustertest.Posts(sim))
			}
		})
	}
}

// TestRunIsInterruptedBetweenHops interrupts a run at its look at the cluster
// between two hops: when nothing of the first is left, and nothing of the second
// begun.
func TestRunIsInterruptedBetweenHops(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	ctx, cancel := context.WithCancel(t.Context())
	o := twoHops()
	looks := 0
	o.Now = func() time.Time { // asked for with each look, and before each bootstrapper
		if looks++; looks == 3 {
			cancel()
		}
		return clustertest.Epoch
	}
	report, err := Run(ctx, c, o)
	if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Container != "" || detached.Job != "" {
		t.Errorf("got %v, but nothing goes on", detached)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
	if v := report.Inventory.CurrentVersion(); !v.Equal(clustertest.Version("2.6.15")) {
		t.Errorf("the report says that %s runs", v)
	}
	finish(t, sim, c, twoHops(), 2)
}

// TestRunChecksEachHop puts something in the way of the second hop once the first
// is finished. The run stops there, touches nothing more, and goes on when it is
// out of the way.
func TestRunChecksEachHop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		check       preflight.Check
		spoil, mend func(*simulator.Cluster)
	}{
		{
			preflight.GarbageCollection,
			func(sim *simulator.Cluster) { sim.SetGCLock("onlinegc") },
			func(sim *simulator.Cluster) { sim.SetGCLock("") },
		},
		{
			preflight.ReplicaHealth,
			func(sim *simulator.Cluster) { sim.SetReplicaHealth(sim.ReplicaIDs()[1], "disconnected") },
			func(sim *simulator.Cluster) { sim.SetReplicaHealth(sim.ReplicaIDs()[1], "") },
		},
		{
			preflight.ContentTrust,
			func(sim *simulator.Cluster) { sim.SetContentTrust(true) },
			func(sim *simulator.Cluster) { sim.SetContentTrust(false) },
		},
		{
			preflight.Image,
			func(sim *simulator.Cluster) { sim.RemoveFromRegistry("mirantis/dtr-api:2.7.8") },
			func(sim *simulator.Cluster) { sim.AddImage("mirantis/dtr-api:2.7.8") },
		},
	} {
		t.Run(string(tt.check), func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.At(simulator.BootstrapperRemoved, sync.OnceFunc(func() {
				tt.spoil(sim)
				sim.ResetRequests()
			}))
			report, err := runUpgrade(t, c, twoHops())
			clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), tt.check)
			if e := clustertest.AsError[*UnfinishedError](t, err); hopName(e.Hop) != "2.6.15 -> 2.7.8" || e.Done != 0 || e.Replicas != 3 {
				t.Errorf("hop %s, %d of %d replicas", hopName(e.Hop), e.Done, e.Replicas)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			if did := clustertest.Changes(sim); len(did) > 0 {
				t.Errorf("something was touched after the first hop: %v", did)
			}
			if v := report.Inventory.CurrentVersion(); !v.Equal(clustertest.Version("2.6.15")) {
				t.Errorf("the report says that %s runs", v)
			}
			tt.mend(sim)
			finish(t, sim, c, twoHops(), 2)
		})
	}
}

// TestRunTakesEachHopsOwnImages holds that the images of a hop are pulled before
// its bootstrapper is made, onto every replica's node, and that a hop's come only
// after the one before it is finished.
func TestRunTakesEachHopsOwnImages(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	var atFirstEnd []simulator.Request
	sim.At(simulator.BootstrapperRemoved, sync.OnceFunc(func() {
		atFirstEnd = sim.Requests()
		sim.ResetRequests()
	}))
	if _, err := runUpgrade(t, c, twoHops()); err != nil {
		t.Fatal(err)
	}
	for _, hop := range []struct {
		tag      string
		requests []simulator.Request
	}{{"2.6.15", atFirstEnd}, {"2.7.8", sim.Requests()}} {
		created := slices.IndexFunc(hop.requests, func(r simulator.Request) bool {
			return !r.Bootstrapper() && strings.HasSuffix(r.Path, "/containers/create")
		})
		pulls := 0
		for i, r := range hop.requests {
			if r.Bootstrapper() || !strings.HasSuffix(r.Path, "/images/create") {
				continue
			}
			pulls++
			if !strings.HasSuffix(r.Query, "tag="+hop.tag) || i > created {
				t.Errorf("in the hop to %s: pull %s at %d, bootstrapper made at %d", hop.tag, r.Query, i, created)
			}
		}
		if pulls != 10 { // the bootstrapper's, and one for each of a replica's nine containers
			t.Errorf("in the hop to %s: %d images were pulled", hop.tag, pulls)
		}
	}
}

// TestRunFinishesAHopBeforeTheNext has the first hop fail at its end, and the
// second never begun.
func TestRunFinishesAHopBeforeTheNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil, mend func(*simulator.Cluster)
		is          func(error) bool
	}{
		"a replica is not healthy": {
			func(sim *simulator.Cluster) {
				sim.At(simulator.BootstrapperFinished, sync.OnceFunc(func() { sim.SetReplicaHealth(sim.ReplicaIDs()[2], "disconnected") }))
			},
			func(sim *simulator.Cluster) { sim.SetReplicaHealth(sim.ReplicaIDs()[2], "") },
			func(err error) bool { _, ok := errors.AsType[*cluster.VerifyError](err); return ok },
		},
		"the migration fails": {
			func(sim *simulator.Cluster) { sim.SetMigration(simulator.MigrationFaults{Fail: -1}) },
			func(sim *simulator.Cluster) { sim.SetMigration(simulator.MigrationFaults{}) },
			func(err error) bool { _, ok := errors.AsType[*migration.Error](err); return ok },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, cluster := clustertest.Start(t, "2.5.6")
			c.spoil(sim)
			o := twoHops()
			o.Pace.Healthy = 300 * time.Millisecond
			_, err := runUpgrade(t, cluster, o)
			if !c.is(err) {
				t.Errorf("got error %v (%T)", err, err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			for _, did := range sim.Requests() {
				if strings.HasSuffix(did.Path, "/images/create") && strings.Contains(did.Query, "2.7.8") {
					t.Errorf("the second hop was begun: %s %s", did.Path, did.Query)
				}
			}
			c.mend(sim)
			finish(t, sim, cluster, twoHops(), 2)
		})
	}
}

// TestRunLooksAgainBetweenHops has what would keep the second hop from being begun be
// gone by the next look.
func TestRunLooksAgainBetweenHops(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"the registry fails": {
			Service: simulator.ServiceEngine, Status: http.StatusInternalServerError, Times: 60,
			Matches: func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/distribution/") },
		},
		"a garbage collection": {
			Service: simulator.ServiceDTR, Path: "/api/v0/meta/cluster_status", Times: 1,
			Rewrite: func(status int, body []byte) (int, []byte) {
				return status, bytes.Replace(body, []byte(`"gc_lock_holder":""`), []byte(`"gc_lock_holder":"onlinegc"`), 1)
			},
		},
		"content trust": {
			Service: simulator.ServiceUCP, Path: "/api/ucp/config-toml", Times: 1,
			Rewrite: func(status int, _ []byte) (int, []byte) {
				return status, []byte("[trust_configuration]\n  require_content_trust = true\n")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.At(simulator.BootstrapperRemoved, sync.OnceFunc(func() { sim.Inject(fault) }))
			o := twoHops()
			o.Pace.Consistent = 5 * time.Second
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.7.8")
			if got := sim.BootstrapperRuns(); got != 2 {
				t.Errorf("%d bootstrapper runs", got)
			}
		})
	}
}
