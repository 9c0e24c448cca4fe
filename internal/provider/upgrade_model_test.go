package provider

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

func TestObserve(t *testing.T) {
	t.Parallel()
	replica := func(id string, versions ...string) cluster.Replica {
		r := cluster.Replica{ID: id, Containers: map[string]cluster.Container{}}
		for i, s := range versions {
			r.Containers[string(rune('a'+i))] = cluster.Container{Version: v(s)}
		}
		return r
	}
	text := func(m map[string]string) types.Map {
		elements := map[string]attr.Value{}
		for id, s := range m {
			elements[id] = types.StringValue(s)
		}
		return types.MapValueMust(types.StringType, elements)
	}
	for name, c := range map[string]struct {
		replicas []cluster.Replica
		before   map[string]string
		want     map[string]string
		current  string
	}{
		"whole cluster":             {[]cluster.Replica{replica("a", "2.6.15"), replica("b", "2.6.15")}, nil, map[string]string{"a": "2.6.15", "b": "2.6.15"}, "2.6.15"},
		"lowest of each":            {[]cluster.Replica{replica("a", "2.9.0", "2.10.0"), replica("b", "2.10.0")}, nil, map[string]string{"a": "2.9.0", "b": "2.10.0"}, "2.9.0"},
		"replica removed":           {[]cluster.Replica{replica("a", "2.6.15")}, map[string]string{"a": "2.6.8", "b": "2.6.8"}, map[string]string{"a": "2.6.15"}, "2.6.15"},
		"hidden replica":            {[]cluster.Replica{replica("a", "2.6.15"), replica("b")}, map[string]string{"a": "2.6.8", "b": "2.6.8"}, map[string]string{"a": "2.6.15", "b": "2.6.8"}, "2.6.15"},
		"hidden and unknown before": {[]cluster.Replica{replica("a", "2.6.15"), replica("b")}, nil, map[string]string{"a": "2.6.15"}, "2.6.15"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m upgradeModel
			m.observe(&cluster.Inventory{Replicas: c.replicas}, text(c.before))
			if want := text(c.want); !m.ReplicaVersions.Equal(want) {
				t.Errorf("replica_versions is %s, want %s", m.ReplicaVersions, want)
			}
			if got := m.CurrentVersion.ValueString(); got != c.current {
				t.Errorf("current_version is %s, want %s", got, c.current)
			}
		})
	}
}

func TestMaxInterruption(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value types.String
		want  time.Duration
	}{
		"left out": {types.StringNull(), 30 * time.Second},
		"set":      {types.StringValue("1m30s"), 90 * time.Second},
		"no limit": {types.StringValue("0s"), 0},
	} {
		m := upgradeModel{TargetVersion: types.StringValue("2.6.15"), MaxInterruption: c.value}
		o, diags := m.options(t.Context(), nil)
		if diags.HasError() || o.MaxInterruption != c.want {
			t.Errorf("%s: got %+v and %v", name, o, diags)
		}
	}
}

// TestViaThatEndsInTheTarget holds that a path as upgrade_path gives it is a way to
// its own end.
func TestViaThatEndsInTheTarget(t *testing.T) {
	t.Parallel()
	for name, via := range map[string][]string{"2.6.15": {"2.6.15", "2.7.8"}, "": {"2.7.8"}} {
		m := upgradeModel{TargetVersion: types.StringValue("2.7.8"), Via: texts(via)}
		o, diags := m.options(t.Context(), nil)
		if diags.HasError() || o.Target.String() != "2.7.8" || len(o.Via) != len(via)-1 || len(o.Via) > 0 && o.Via[0].String() != name {
			t.Errorf("%v: target %s by way of %s; %v", via, o.Target, o.Via, diags)
		}
	}
}

// TestRepositoryHasOneForm writes a repository of the Docker Hub in each way.
func TestRepositoryHasOneForm(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"docker/dtr":                           "docker/dtr",
		"docker.io/docker/dtr":                 "docker/dtr",
		"index.docker.io/docker/dtr":           "docker/dtr",
		"registry.example.com:5000/mirror/dtr": "registry.example.com:5000/mirror/dtr",
		"docker.io.example.com/docker/dtr":     "docker.io.example.com/docker/dtr",
		"":                                     "",
	} {
		image := types.ObjectValueMust(
			map[string]attr.Type{"repository": types.StringType, "pull": types.StringType},
			map[string]attr.Value{"repository": types.StringValue(written), "pull": types.StringNull()})
		m := replicaModel{Image: image}
		o, diags := m.options(t.Context())
		if diags.HasError() || o.Images.Repository != want {
			t.Errorf("%s: got %q and %v, want %q", written, o.Images.Repository, diags, want)
		}
	}
}

func TestHopsOf(t *testing.T) {
	t.Parallel()
	first := transition.Hop{From: v("2.5.6"), To: v("2.6.15"), Rule: transition.MinorUpgrade}
	second := transition.Hop{From: v("2.6.15"), To: v("2.7.8"), Rule: transition.MinorUpgrade}
	tail := transition.Hop{From: v("2.6.15"), To: v("2.6.15"), Rule: transition.Same, MigrationJobs: []string{"metadatastoremigration"}}
	for name, c := range map[string]struct {
		plan upgrade.Plan
		want []transition.Hop
	}{
		"nothing":                    {upgrade.Plan{}, nil},
		"hops":                       {upgrade.Plan{Hops: []transition.Hop{first, second}}, []transition.Hop{first, second}},
		"rollout to finish":          {upgrade.Plan{Resume: &first, Hops: []transition.Hop{second}}, []transition.Hop{first, second}},
		"migration to finish":        {upgrade.Plan{Resume: &tail}, nil},
		"migration to finish, a hop": {upgrade.Plan{Resume: &tail, Hops: []transition.Hop{second}}, []transition.Hop{second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(upgradePath(c.want), upgradePath(c.plan.Left())); diff != "" {
				t.Error(diff)
			}
		})
	}
}
