package provider

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// planner is a provider that is connected to a cluster.
func planner(t *testing.T, c *simulator.Cluster, opts ...Option) *protocol {
	t.Helper()
	p := newProtocol(t, append(quick(), opts...)...)
	p.ok(nil, p.configure(connected(c)))
	return p
}

// state is that of a cluster that runs the version and was meant to.
func state(c *simulator.Cluster, version string) values {
	replicas := values{}
	for _, id := range c.ReplicaIDs() {
		replicas[id] = version
	}
	return values{
		"target_version":   version,
		"id":               host,
		"current_version":  version,
		"replica_versions": replicas,
		"upgrade_path":     []any{},
	}
}

// in is the state with some attributes changed.
func in(s values, changes values) values {
	changed := maps.Clone(s)
	maps.Copy(changed, changes)
	return changed
}

// path is the planned upgrade_path in short: "2.5.6 -> 2.6.15 minor-upgrade".
func (p planned) path(t *testing.T) []string {
	t.Helper()
	if !p.after["upgrade_path"].IsKnown() {
		return []string{"unknown"}
	}
	var list []tftypes.Value
	must(p.after["upgrade_path"].As(&list))
	hops := []string{}
	for _, h := range list {
		var fields map[string]tftypes.Value
		var from, to, rule string
		must(h.As(&fields))
		for name, text := range map[string]*string{"from": &from, "to": &to, "rule": &rule} {
			if *text = "?"; fields[name].IsKnown() {
				must(fields[name].As(text))
			}
		}
		hops = append(hops, from+" -> "+to+" "+rule)
	}
	return hops
}

// text is a planned text: "unknown" and "null" where it is.
func (p planned) text(t *testing.T, name string) string {
	t.Helper()
	v := p.after[name]
	switch {
	case !v.IsKnown():
		return "unknown"
	case v.IsNull():
		return "null"
	case v.Type().Is(tftypes.String):
		var s string
		must(v.As(&s))
		return s
	}
	return "known"
}

// TestPlanOfUnusedImages holds that an archive or a digest of a version that is not
// upgraded to is no secret, and that one that was needed once may stay.
func TestPlanOfUnusedImages(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	p := planner(t, cluster)
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	const unused = "Warning: No hop of this plan is to that version\n"
	for name, c := range map[string]struct {
		target string
		image  values
		want   string // "" is no such warning
	}{
		"archive of another patch": {"2.6.15", values{"archives": values{"2.6.14": "dtr.tar"}}, unused + "  at image.archives[\"2.6.14\"]\n\nimage.archives names 2.6.14, and the hops of this plan are to [\"2.6.15\"].\n"},
		"digest of another patch":  {"2.6.15", values{"digests": values{"2.6.14": digest}}, unused + "  at image.digests[\"2.6.14\"]\n"},
		"digest of the hop":        {"2.6.15", values{"digests": values{"2.6.15": digest}}, ""},
		"of what runs, and before": {"2.6.15", values{"digests": values{"2.5.6": digest, "2.4.0": digest}}, ""},
		"nothing due":              {"2.5.6", values{"archives": values{"2.6.14": "dtr.tar"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := render(p.plan(state(cluster, "2.5.6"), values{"target_version": c.target, "image": c.image}).diags)
			if !strings.Contains(text, c.want) || c.want == "" && strings.Contains(text, unused) {
				t.Errorf("got:\n%s\nwant in it: %q", text, c.want)
			}
		})
	}
}

// TestPlanTransitions takes every row of the table of transitions to a plan.
func TestPlanTransitions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		via     []any
		path    []string // of a plan
		refused string   // else: part of the error
	}{
		"2.6.15 -> 2.6.15": {path: []string{}},
		"2.6.14 -> 2.6.15": {path: []string{"2.6.14 -> 2.6.15 patch-upgrade"}},
		"2.6.8 -> 2.6.15":  {path: []string{"2.6.8 -> 2.6.15 patch-skip"}},
		"2.6.15 -> 2.6.14": {refused: "Error: DTR cannot be downgraded\n  at target_version\n\nThe cluster runs 2.6.15 and target_version is 2.6.14 (patch downgrade, not supported)."},
		"2.5.6 -> 2.6.15":  {path: []string{"2.5.6 -> 2.6.15 minor-upgrade"}},
		"2.9.30 -> 2.10.0": {path: []string{"2.9.30 -> 2.10.0 minor-upgrade"}},
		"2.5.6 -> 2.7.8":   {refused: fmt.Sprintf("via = [%q]", latest("2.6"))},
		"2.4.14 -> 2.7.8":  {refused: fmt.Sprintf("via = [%q, %q]", latest("2.5"), latest("2.6"))},
		"2.7.4 -> 2.6.8":   {refused: "(minor downgrade, not supported)."},
		"2.10.0 -> 2.9.30": {refused: "Error: DTR cannot be downgraded\n  at target_version\n"},
		"1.4.3 -> 2.0.0":   {path: []string{"1.4.3 -> 2.0.0 major-upgrade"}},
		"1.4.3 -> 2.1.0":   {refused: "Error: A new DTR major version starts at its first release\n  at target_version\n"},
		"1.4.3 -> 2.0.1":   {refused: `via = ["2.0.0"]`},
		"1.4.3 -> 3.0.0":   {refused: "major version"},
		"2.0.0 -> 1.4.3":   {refused: "(major downgrade, not supported)."},
		"2.3.0 -> 2.3.1":   {refused: "release notes"},
		"2.5.6 -> 2.7.8 via 2.6.15": {via: []any{"2.6.15"}, path: []string{
			"2.5.6 -> 2.6.15 minor-upgrade", "2.6.15 -> 2.7.8 minor-upgrade",
		}},
		"2.6.15 -> 2.7.8 via 2.6.15": {via: []any{"2.6.15"}, path: []string{"2.6.15 -> 2.7.8 minor-upgrade"}},
		"2.7.8 -> 2.7.8 via 2.6.15":  {via: []any{"2.6.15"}, path: []string{}},
		"1.4.3 -> 2.0.1 via 2.0.0": {via: []any{"2.0.0"}, path: []string{
			"1.4.3 -> 2.0.0 major-upgrade", "2.0.0 -> 2.0.1 patch-upgrade",
		}},
		"2.5.6 -> 2.8.13 via 2.7.0": {via: []any{"2.7.0"}, refused: "\n  at via\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to, _ := strings.Cut(name, " -> ")
			to, _, _ = strings.Cut(to, " via ")
			cluster := start(t, from)
			p := planner(t, cluster)
			config := values{"target_version": to, "skip_checks": []any{"image"}} // 2.10.0 is in no registry
			if c.via != nil {
				config["via"] = c.via
			}
			// The same is planned for a cluster that Terraform knows already.
			for kind, prior := range map[string]values{"create": nil, "update": state(cluster, from)} {
				got := p.plan(prior, config)
				if c.refused != "" {
					if text := render(got.diags); !strings.Contains(text, c.refused) {
						t.Errorf("%s: got:\n%s\nwant in it: %q", kind, text, c.refused)
					}
					continue
				}
				p.ok(nil, got.diags)
				path := slices.Clone(c.path)
				if prior == nil && len(path) > 0 { // the first version is left open, and what depends on it
					_, to, _ := strings.Cut(path[0], "->")
					to, rule, _ := strings.Cut(to, " patch-")
					path[0] = "? ->" + to
					if rule != "" {
						path[0] += " ?"
					}
				}
				if diff := cmp.Diff(path, got.path(t)); diff != "" {
					t.Errorf("%s: %s", kind, diff)
				}
				if current := got.text(t, "current_version"); current != to {
					t.Errorf("%s: current_version is %s, want %s", kind, current, to)
				}
				want := map[bool]string{true: "unknown", false: "null"}[len(c.path) > 0 || prior == nil]
				if last := got.text(t, "last_upgrade"); last != want {
					t.Errorf("%s: last_upgrade is %s, want %s", kind, last, want)
				}
			}
			runs(t, cluster, from)
			onlyReads(t, cluster)
		})
	}
}

// onlyReads checks that nothing was asked for that changes anything.
func onlyReads(t *testing.T, c *simulator.Cluster) {
	t.Helper()
	for _, r := range c.Requests() {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Path != "/auth/login" {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}

func TestPlanSaysNothing(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	p := planner(t, cluster)
	steady := state(cluster, "2.6.15")

	t.Run("when nothing is to be done", func(t *testing.T) {
		got := p.plan(steady, values{"target_version": "2.6.15"})
		if len(got.diags) > 0 {
			t.Error(render(got.diags))
		}
		want := value(t, p.schema.ValueType(), steady)
		if after, _ := got.raw.PlannedState.Unmarshal(p.schema.ValueType()); !after.Equal(want) {
			t.Errorf("got %s, want %s", after, want)
		}
	})
	for name, config := range map[string]values{
		"for an unknown target":           {"target_version": unknown{}},
		"for an unknown list of stops":    {"target_version": "2.7.8", "via": unknown{}},
		"for an unknown stop on the way":  {"target_version": "2.8.13", "via": []any{unknown{}}},
		"for a target that is not to run": {"target_version": unknown{}, "via": []any{"2.1.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster.ResetRequests()
			for _, prior := range []values{nil, steady} {
				got := p.plan(prior, config)
				if len(got.diags) > 0 {
					t.Error(render(got.diags))
				}
				for _, name := range []string{"current_version", "replica_versions", "upgrade_path", "last_upgrade"} {
					if got.text(t, name) != "unknown" {
						t.Errorf("%s is known", name)
					}
				}
			}
			if requests := cluster.Requests(); len(requests) > 0 {
				t.Errorf("the cluster was asked: %v", requests)
			}
		})
	}
}

func TestPlanOfDestroyForgets(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	p := planner(t, cluster)
	got := p.plan(state(cluster, "2.6.15"), nil)
	want := `Warning: Destroying this resource leaves DTR as it is

DTR at dtr.example.com goes on running 2.6.15. Terraform only removes it from the state.

To manage it again, import it.
`
	if diff := cmp.Diff(want, render(got.diags)); diff != "" {
		t.Error(diff)
	}
	if requests := cluster.Requests(); len(requests) > 0 {
		t.Errorf("the cluster was asked: %v", requests)
	}
}

// TestPlanOfOtherAttributes holds that settings of the next upgrade plan
// themselves and nothing else.
func TestPlanOfOtherAttributes(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	// No trace is left of the migration: only the state vouches for it.
	cluster.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/api/v0/meta/features", Status: http.StatusOK, Body: `{"onlineGCEnabled":false}`})
	p := planner(t, cluster)
	prior := in(state(cluster, "2.6.15"), values{
		"upgrade_path": []any{values{"from": "2.5.6", "to": "2.6.15", "rule": "minor-upgrade", "migration_jobs": []any{}}},
		"last_upgrade": values{"from": "2.5.6", "to": "2.6.15", "hops": 1},
	})
	for name, change := range map[string]values{
		"max_interruption":    {"max_interruption": "1m"},
		"timeouts":            {"timeouts": values{"update": "1h"}},
		"via":                 {"via": []any{"2.6.0"}},
		"skip_checks":         {"skip_checks": []any{"memory"}},
		"image":               {"image": values{"pull": "never"}},
		"unknown attributes":  {"max_interruption": unknown{}, "image": unknown{}, "migration": unknown{}, "skip_checks": unknown{}, "existing_replica_id": unknown{}},
		"unknown nested ones": {"image": values{"repository": unknown{}, "digests": values{"2.6.15": unknown{}}}, "migration": values{"retriggers": unknown{}}, "skip_checks": []any{unknown{}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.plan(prior, in(values{"target_version": "2.6.15"}, change))
			if len(got.diags) > 0 {
				t.Error(render(got.diags))
			}
			typ := p.schema.ValueType().(tftypes.Object).AttributeTypes
			for _, name := range []string{"id", "current_version", "replica_versions", "last_upgrade"} {
				if want := value(t, typ[name], prior[name]); !got.after[name].Equal(want) {
					t.Errorf("%s: got %s, want %s", name, got.after[name], want)
				}
			}
			if path := got.path(t); len(path) != 0 {
				t.Errorf("upgrade_path: got %s; this plan makes no hop", path)
			}
			if strings.HasPrefix(name, "unknown") {
				return
			}
			done := p.applyPlan(prior, got)
			expect(t, done.diags, "")
			for _, name := range []string{"id", "current_version", "replica_versions", "last_upgrade", "upgrade_path"} {
				if !done.state[name].Equal(got.after[name]) {
					t.Errorf("%s: got %s, planned %s", name, done.state[name], got.after[name])
				}
			}
		})
	}
	onlyReads(t, cluster)
}

// TestPlanWarnings holds that preflight's warnings come with a transition, and
// with a transition alone.
func TestPlanWarnings(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{
		Version: "2.5.6", Replicas: 2, Host: host, Unlisted: []simulator.UnlistedReplica{}, // which are warned of in any case
	}))
	p := planner(t, cluster)
	const even = "Warning: The cluster has an even number of replicas\n"
	for name, c := range map[string]struct {
		prior, config values
		want          bool
	}{
		"create":       {nil, values{"target_version": "2.6.15"}, true},
		"update":       {state(cluster, "2.5.6"), values{"target_version": "2.6.15"}, true},
		"nothing due":  {state(cluster, "2.5.6"), values{"target_version": "2.5.6"}, false},
		"adoption":     {nil, values{"target_version": "2.5.6"}, false},
		"other change": {state(cluster, "2.5.6"), values{"target_version": "2.5.6", "max_interruption": "1m"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := p.plan(c.prior, c.config)
			p.ok(nil, got.diags)
			if text := render(got.diags); strings.Contains(text, even) != c.want || !c.want && text != "" {
				t.Errorf("got:\n%s\nwant a warning: %t", text, c.want)
			}
		})
	}
}

// TestPlanShowsAllFindings holds that one plan tells everything that stands in
// the way, and that skip_checks turns what it names into warnings.
func TestPlanShowsAllFindings(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	ids := cluster.ReplicaIDs()
	cluster.SetReplicaHealth(ids[1], "Rethink replica is currently in state: disconnected")
	cluster.SetGCLock("onlinegc")
	cluster.SetContentTrust(true)
	p := planner(t, cluster)
	findings := []string{"Replica " + ids[1] + " is not healthy", "A garbage collection is running", "UCP requires signed images"}

	for name, c := range map[string]struct {
		skip     any
		severity string
		failed   bool
	}{
		"errors":         {nil, "Error: ", true},
		"skipped":        {[]any{"replica-health", "garbage-collection", "content-trust"}, "Warning: ", false},
		"not known":      {unknown{}, "Warning: ", false},
		"one not known":  {[]any{"memory", unknown{}}, "Warning: ", false},
		"another is not": {[]any{"memory"}, "Error: ", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.plan(nil, values{"target_version": "2.6.15", "skip_checks": c.skip})
			text := render(got.diags)
			for _, f := range findings {
				if !strings.Contains(text, c.severity+f) {
					t.Errorf("got:\n%s\nwant in it: %q", text, c.severity+f)
				}
			}
			if hasErrors(got.diags) != c.failed {
				t.Errorf("failed: %t", !c.failed)
			}
		})
	}
	t.Run("the transition cannot be skipped", func(t *testing.T) {
		got := p.plan(nil, values{"target_version": "2.7.8", "skip_checks": []any{"replica-health", "garbage-collection", "content-trust"}})
		if text := render(got.diags); !strings.Contains(text, "Error: DTR minor versions cannot be skipped") {
			t.Error(text)
		}
	})
}
