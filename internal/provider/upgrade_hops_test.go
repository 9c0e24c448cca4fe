package provider

import (
	"context"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// refusals are what may come up between two hops: what it is called, how it is
// brought about, and how it is mended.
var refusals = map[string]struct {
	spoil, mend func(*simulator.Cluster)
	want        string
}{
	"garbage collection": {
		func(c *simulator.Cluster) { c.SetGCLock("onlinegc") },
		func(c *simulator.Cluster) { c.SetGCLock("") },
		"Error: A garbage collection is running\n",
	},
	"unhealthy replica": {
		func(c *simulator.Cluster) { c.SetReplicaHealth(c.ReplicaIDs()[1], "disconnected") },
		func(c *simulator.Cluster) { c.SetReplicaHealth(c.ReplicaIDs()[1], "") },
		" is not healthy\n",
	},
	"image gone": {
		func(c *simulator.Cluster) { c.RemoveFromRegistry("mirantis/dtr-nginx:2.7.8") },
		func(c *simulator.Cluster) { c.AddImage("mirantis/dtr-nginx:2.7.8") },
		"Error: Images of DTR 2.7.8 are not available\n",
	},
}

// TestSecondHopIsRefused holds that a run that a check stops between two hops
// leaves a state that tells how far it went, and that the next apply goes on from
// there.
func TestSecondHopIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range refusals {
		for _, kind := range []string{"create", "update"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.5.6")
				p := planner(t, cluster, brief())
				cluster.At(simulator.BootstrapperRemoved, sync.OnceFunc(func() { c.spoil(cluster) }))
				var prior values
				if kind == "update" {
					prior = state(cluster, "2.5.6")
				}
				config := values{"target_version": "2.7.8", "via": []any{"2.6.15"}}
				stopped := p.apply(prior, config)
				expect(t, stopped.diags, c.want)
				runs(t, cluster, "2.6.15")
				if kind == "create" && stopped.state != nil {
					t.Error("a create that failed saved a state")
				}
				if kind == "update" {
					atFirstStop(t, stopped, cluster)
					prior = stopped.values()
				}
				expect(t, p.plan(prior, config).diags, c.want) // the plan says so as well

				c.mend(cluster)
				done := p.apply(prior, config)
				expect(t, done.diags, "")
				runs(t, cluster, "2.7.8")
				wantBootstrapperRuns(t, cluster, 2)
				steady(t, p, done, config)
			})
		}
	}
}

// TestRunStopsWaitingAtASecondHop interrupts an update after its first hop and in
// its second.
func TestRunStopsWaitingAtASecondHop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		point string
		n     int
		stops bool // at 2.6.15
	}{
		"between the hops":         {simulator.BootstrapperRemoved, 1, true},
		"at the second's start":    {simulator.BootstrapperStarted, 2, true},
		"in the second":            {simulator.ReplicaReplaced(1), 2, false},
		"at the end of the second": {simulator.BootstrapperRemoved, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			p := planner(t, cluster)
			reached, release := cluster.HoldNth(c.point, c.n)
			interrupted, cancel := context.WithCancel(p.ctx)
			defer cancel()
			go func() {
				<-reached
				cancel()
			}()
			p.ctx = interrupted
			config := values{"target_version": "2.7.8", "via": []any{"2.6.15"}}
			stopped := p.apply(state(cluster, "2.5.6"), config)
			expect(t, stopped.diags, "Reason: Terraform was interrupted.\n")
			seen(t, stopped, cluster)
			wantTarget(t, stopped, "2.5.6")
			if c.stops {
				atFirstStop(t, stopped, cluster)
			}

			p.ctx = t.Context()
			release()
			done := p.apply(stopped.values(), config)
			expect(t, done.diags, "")
			runs(t, cluster, "2.7.8")
			wantBootstrapperRuns(t, cluster, 2)
			wantMigrations(t, cluster, 1)
			steady(t, p, done, config)
		})
	}
}

// TestTerraformSecondHop holds what Terraform makes of a run that stopped
// between its hops: an update in place again, of what is left.
func TestTerraformSecondHop(t *testing.T) {
	t.Parallel()
	c := refusals["garbage collection"]
	cluster := start(t, "2.5.6")
	cluster.At(simulator.BootstrapperRemoved, sync.OnceFunc(func() { c.spoil(cluster) }))
	step := func(via, target string) resource.TestStep {
		return resource.TestStep{Config: upgradeTo(via), ConfigVariables: variables(cluster, target)}
	}
	const via = `via = ["2.6.15"]`
	adopted, refused, refusedAgain, done := step("", "2.5.6"), step(via, "2.7.8"), step(via, "2.7.8"), step(via, "2.7.8")
	refused.ConfigPlanChecks = inPlace(planPath(hop("2.5.6", "2.6.15", "minor-upgrade", "metadatastoremigration"), hop("2.6.15", "2.7.8", "minor-upgrade")))
	refused.ExpectError = says("A garbage collection is running")
	refusedAgain.ExpectError = refused.ExpectError
	done.PreConfig = func() { c.mend(cluster) }
	done.ConfigPlanChecks = inPlace(planPath(hop("2.6.15", "2.7.8", "minor-upgrade")), planKnows("current_version", "2.7.8"))
	done.ConfigPlanChecks.PostApplyPostRefresh = []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}
	inTerraform(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(brief()),
		Steps:                    []resource.TestStep{adopted, refused, refusedAgain, done},
	})
	runs(t, cluster, "2.7.8")
	wantBootstrapperRuns(t, cluster, 2)
}
