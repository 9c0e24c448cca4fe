package provider

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// wantConsistent fails where Terraform would report an inconsistent plan or result: a
// value that was known has become another one.
func wantConsistent(t *testing.T, p *protocol, before, after map[string]tftypes.Value) {
	t.Helper()
	typ := p.schema.ValueType()
	became := tftypes.NewValue(typ, after)
	must(tftypes.Walk(tftypes.NewValue(typ, before), func(at *tftypes.AttributePath, was tftypes.Value) (bool, error) {
		if !was.IsKnown() {
			return false, nil
		}
		found, _, err := tftypes.WalkAttributePath(became, at)
		is, _ := found.(tftypes.Value)
		if len(at.Steps()) == 0 || err == nil && (is.Equal(was) || is.IsKnown() && !is.IsNull() && !was.IsNull() && nested(was) && size(is) == size(was)) {
			return true, nil
		}
		t.Errorf("%s was %s and becomes %s", attributePath(at), was, is)
		return false, nil
	}))
}

func nested(v tftypes.Value) bool {
	return v.Type().Is(tftypes.List{}) || v.Type().Is(tftypes.Object{})
}

// size is the length of a list, 0 for any other value.
func size(v tftypes.Value) int {
	var list []tftypes.Value
	if !v.Type().Is(tftypes.List{}) {
		return 0
	}
	must(v.As(&list))
	return len(list)
}

// interrupted applies until the cluster comes to the point for the nth time, and leaves
// what was started as it is.
func interrupted(t *testing.T, c *simulator.Cluster, config values, point string, nth int) {
	t.Helper()
	reached, release := c.HoldNth(point, nth)
	defer release()
	p := planner(t, c)
	planned := p.plan(nil, config)
	p.ok(nil, planned.diags)
	ctx, cancel := context.WithCancel(t.Context())
	p.ctx = ctx
	go func() {
		<-reached
		cancel()
	}()
	if got := p.applyPlan(nil, planned); !hasErrors(got.diags) {
		t.Error("the apply came to its end")
	}
}

// TestSavedCreatePlanIsAppliedLater applies the plan of a create after the cluster has
// changed. Terraform plans once more then, and holds the two against each other.
func TestSavedCreatePlanIsAppliedLater(t *testing.T) {
	t.Parallel()
	oneHop := values{"target_version": "2.6.15"}
	twoHops := values{"target_version": "2.7.8", "via": []any{"2.6.15"}}
	for name, c := range map[string]struct {
		from   string
		config values
		change func(*testing.T, *simulator.Cluster, values)
		path   string // of the plan
		done   string // the path in the end
	}{
		"nothing has happened": {"2.5.6", oneHop, nil, "? -> 2.6.15 minor-upgrade", "2.5.6 -> 2.6.15 minor-upgrade"},
		"a patch by somebody else": {"2.5.6", oneHop, func(_ *testing.T, s *simulator.Cluster, _ values) {
			for _, id := range s.ReplicaIDs() {
				s.SetReplicaVersion(id, "2.5.17")
			}
		}, "? -> 2.6.15 minor-upgrade", "2.5.17 -> 2.6.15 minor-upgrade"},
		"a patch before a patch": {"2.6.8", oneHop, func(_ *testing.T, s *simulator.Cluster, _ values) {
			for _, id := range s.ReplicaIDs() {
				s.SetReplicaVersion(id, "2.6.14")
			}
		}, "? -> 2.6.15 ?", "2.6.14 -> 2.6.15 patch-upgrade"},
		"a kill in hop 1": {"2.5.6", oneHop, func(t *testing.T, s *simulator.Cluster, config values) {
			t.Helper()
			interrupted(t, s, config, simulator.ReplicaStarted(2), 1)
		}, "? -> 2.6.15 minor-upgrade", "2.5.6 -> 2.6.15 minor-upgrade"},
		"a kill at the end of hop 1": {"2.5.6", twoHops, func(t *testing.T, s *simulator.Cluster, config values) {
			t.Helper()
			interrupted(t, s, config, simulator.MigrationStarted, 1)
		}, "? -> 2.6.15 minor-upgrade, 2.6.15 -> 2.7.8 minor-upgrade", "2.5.6 -> 2.6.15 minor-upgrade, 2.6.15 -> 2.7.8 minor-upgrade"},
		"a kill in hop 2": {"2.5.6", twoHops, func(t *testing.T, s *simulator.Cluster, config values) {
			t.Helper()
			interrupted(t, s, config, simulator.ReplicaStarted(2), 2)
		}, "? -> 2.6.15 minor-upgrade, 2.6.15 -> 2.7.8 minor-upgrade", "2.5.6 -> 2.6.15 minor-upgrade, 2.6.15 -> 2.7.8 minor-upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, c.from)
			p := planner(t, cluster)
			first := p.plan(nil, c.config)
			p.ok(nil, first.diags)
			if text := render(first.diags); !strings.Contains(text, "terraform import dtr_upgrade.<name> "+host) {
				t.Errorf("no import is recommended:\n%s", text)
			}
			if got := strings.Join(first.path(t), ", "); got != c.path {
				t.Errorf("planned is %s, want %s", got, c.path)
			}
			if c.change != nil {
				c.change(t, cluster, c.config)
			}
			again := p.plan(nil, c.config)
			p.ok(nil, again.diags)
			wantConsistent(t, p, first.after, again.after)
			got := p.applyPlan(nil, again)
			p.ok(nil, got.diags)
			wantConsistent(t, p, again.after, got.state)
			if done := strings.Join(planned{after: got.state}.path(t), ", "); done != c.done {
				t.Errorf("done is %s, want %s", done, c.done)
			}
			runs(t, cluster, c.config["target_version"].(string))
		})
	}
}

// TestSavedPlanWhereNobodyAnswers applies a plan to a cluster that does not answer any
// more. Only that of a create is inconsistent then, and a warning tells why.
func TestSavedPlanWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]bool{"create": true, "update": false} {
		for _, target := range []string{"2.6.15", "2.6.8"} {
			t.Run(fmt.Sprintf("%s to %s", name, target), func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.6.8")
				p := planner(t, cluster)
				prior, config := state(cluster, "2.6.8"), values{"target_version": target, "max_interruption": "1m"}
				if create {
					prior = nil
				}
				planned := p.plan(prior, config)
				p.ok(nil, planned.diags)
				cluster.Inject(simulator.Fault{Reset: true})
				again := p.plan(prior, config)
				if text := render(again.diags); !strings.Contains(text, notLooked) || strings.Contains(text, "inconsistent final plan") != create {
					t.Errorf("got:\n%s", text)
				}
				if !create {
					wantConsistent(t, p, planned.after, again.after)
				}
			})
		}
	}
}
