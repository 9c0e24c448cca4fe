package provider

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// TestPlanOfDrift plans for clusters that were changed behind Terraform's back.
func TestPlanOfDrift(t *testing.T) {
	t.Parallel()
	type change = func(*simulator.Cluster)
	replica := func(k int, version string) change {
		return func(c *simulator.Cluster) { c.SetReplicaVersion(c.ReplicaIDs()[k-1], version) }
	}
	all := func(version string) change {
		return func(c *simulator.Cluster) {
			for _, id := range c.ReplicaIDs() {
				c.SetReplicaVersion(id, version)
			}
		}
	}
	for name, c := range map[string]struct {
		started string // what the cluster ran at first
		change  change
		seen    string // current_version in the refreshed state
		prior   string // target_version in the state
		config  values
		path    []string
		want    string // part of the diagnostics
	}{
		"upgraded by hand to the new target": {
			started: "2.6.8", change: all("2.6.15"), seen: "2.6.15", prior: "2.6.8", config: values{"target_version": "2.6.15"}, path: []string{},
		},
		"upgraded by hand beyond the target": {
			started: "2.6.8", change: all("2.6.15"), seen: "2.6.15", prior: "2.6.8", config: values{"target_version": "2.6.8"},
			want: "Error: DTR cannot be downgraded\n  at target_version\n\nThe cluster runs 2.6.15 and target_version is 2.6.8 (patch downgrade, not supported).\n\nSet target_version to 2.6.15 or later. If the resource's lifecycle has it in ignore_changes, take it out",
		},
		"one replica left behind": {
			started: "2.6.15", change: replica(2, "2.6.8"), seen: "2.6.8", prior: "2.6.15", config: values{"target_version": "2.6.15"},
			path: []string{"2.6.8 -> 2.6.15 patch-skip"},
		},
		"all replicas behind": {
			started: "2.6.8", seen: "2.6.8", prior: "2.6.15", config: values{"target_version": "2.6.15"},
			path: []string{"2.6.8 -> 2.6.15 patch-skip"},
		},
		"rollout half done, another target": {
			started: "2.5.6", change: replica(1, "2.6.15"), seen: "2.5.6", prior: "2.5.6", config: values{"target_version": "2.7.8", "via": []any{"2.6.8"}},
			want: "Error: Finish the interrupted DTR upgrade first\n  at target_version\n",
		},
		"rollout half done, finished and gone on": {
			started: "2.5.6", change: replica(1, "2.6.15"), seen: "2.5.6", prior: "2.5.6", config: values{"target_version": "2.7.8", "via": []any{"2.6.15"}},
			path: []string{"2.5.6 -> 2.6.15 minor-upgrade", "2.6.15 -> 2.7.8 minor-upgrade"},
		},
		"moved since the state was read": {
			started: "2.6.8", change: all("2.6.15"), seen: "2.6.8", prior: "2.6.8", config: values{"target_version": "2.7.8"},
			want: "Error: DTR is not at the version that the state was read with\n",
		},
		"three versions": {
			started: "2.6.8", change: func(c *simulator.Cluster) {
				replica(1, "2.6.15")(c)
				replica(2, "2.6.10")(c)
			}, seen: "2.6.8", prior: "2.6.8", config: values{"target_version": "2.6.15"},
			want: "Error: Finish the interrupted DTR upgrade first\n  at target_version\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, c.started)
			if c.change != nil {
				c.change(cluster)
			}
			p := planner(t, cluster)
			got := p.plan(in(state(cluster, c.seen), values{"target_version": c.prior}), c.config)
			if text := render(got.diags); c.want == "" && hasErrors(got.diags) || !strings.Contains(text, c.want) {
				t.Fatalf("got:\n%s\nwant in it: %q", text, c.want)
			}
			if c.want != "" {
				return
			}
			if diff := cmp.Diff(c.path, got.path(t)); diff != "" {
				t.Error(diff)
			}
			if want := map[bool]string{true: "unknown", false: "null"}[len(c.path) > 0]; got.text(t, "last_upgrade") != want {
				t.Errorf("last_upgrade is %s, want %s", got.text(t, "last_upgrade"), want)
			}
		})
	}
}

// TestApplyOfAnotherCluster applies a plan of one cluster where the provider is
// connected to another one, as a saved plan is under other environment variables.
func TestApplyOfAnotherCluster(t *testing.T) {
	t.Parallel()
	const want = "Error: The provider is connected to another DTR cluster\n"
	meant := roomy(t, 3)
	other := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: "2.6.9", Host: "registry.example.com", Workers: 6}))
	here, there := planner(t, meant), planner(t, other, brief())
	for name, c := range map[string]struct {
		resource string
		prior    values // nil in a create
		config   values
	}{
		"update":          {"dtr_upgrade", state(meant, "2.6.8"), values{"target_version": "2.6.15"}},
		"create":          {"dtr_upgrade", nil, values{"target_version": "2.6.15"}},
		"replica create":  {"dtr_replica", nil, values{"node": "worker4"}},
		"cache create":    {"dtr_content_cache", nil, values{"name": "main", "host": "https://cache.example.com"}},
		"database create": {"dtr_vulnerability_database", nil, values{"dtr_version": "2.6.8"}},
		"database update": {"dtr_vulnerability_database", values{"id": host, "dtr_version": "2.6.8", "database_version": 1}, values{"dtr_version": "2.6.15"}},
	} {
		p, q := here.of(c.resource), there.of(c.resource)
		planned := p.plan(c.prior, c.config)
		expect(t, planned.diags, "")
		again := q.plan(c.prior, c.config) // as Terraform does first
		if c.prior != nil {
			expect(t, again.diags, want)
		} else if cmp.Diff(fieldTexts(planned.after, "id", "cluster"), fieldTexts(again.after, "id", "cluster")) == "" {
			t.Errorf("%s: Terraform sees no other plan: %v", name, again.after)
		}
		refused := q.applyPlan(c.prior, planned)
		expect(t, refused.diags, want)
		var kept map[string]tftypes.Value
		if c.prior != nil {
			kept = fieldsOf(value(t, p.schema.ValueType(), c.prior))
		}
		if diff := cmp.Diff(applied{state: kept}.plain(), refused.plain()); diff != "" {
			t.Errorf("%s: the state is changed: %s", name, diff)
		}
	}
	onlyReads(t, other)
	runs(t, other, "2.6.9")
}

// fieldTexts are some attributes as texts, for those that there are.
func fieldTexts(fields map[string]tftypes.Value, names ...string) map[string]string {
	texts := map[string]string{}
	for _, name := range names {
		if v, ok := fields[name]; ok {
			texts[name] = v.String()
		}
	}
	return texts
}
