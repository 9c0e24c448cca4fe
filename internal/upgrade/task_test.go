package upgrade

import (
	"maps"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
)

// TestNewlyMissing has something be missing that was there when the checks were made. What
// an earlier bootstrapper of the run has left out keeps none from being run again, but a
// replica as a whole does, and so does a node that is down.
func TestNewlyMissing(t *testing.T) {
	t.Parallel()
	before := clustertest.Snapshot("2.5.6", "2.5.6", "2.5.6").Inventory
	for name, tt := range map[string]struct {
		change    func(r *cluster.Replica)
		first     string // what keeps the first bootstrapper from being started, "" for nothing
		onceAgain string // and one after one that failed
	}{
		"nothing":     {func(*cluster.Replica) {}, "", ""},
		"a container": {func(r *cluster.Replica) { delete(r.Containers, "api") }, "is missing", ""},
		"a replica":   {func(r *cluster.Replica) { clear(r.Containers) }, "is not shown by UCP", "is not shown by UCP"},
		"its node": {func(r *cluster.Replica) {
			for name, c := range r.Containers {
				c.HostDown = true
				r.Containers[name] = c
			}
		}, "is on node worker2, which is down", "is on node worker2, which is down"},
	} {
		for _, retry := range []bool{false, true} {
			now := clustertest.Snapshot("2.5.6", "2.5.6", "2.5.6").Inventory
			tt.change(&now.Replicas[1])
			want := tt.first
			if retry {
				want = tt.onceAgain
			}
			var got []string
			for _, p := range newlyMissing(before, now, retry) {
				got = append(got, p.Text)
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%s, retry %t: got %q, want %q", name, retry, got, want)
			}
		}
	}
}

// TestLabelsOfHop holds which labels of containers are carried on to the next attempt at
// a hop.
func TestLabelsOfHop(t *testing.T) {
	t.Parallel()
	const earlier, migrated = "com.github.dtr-upgrade.earlier-job.metadatastoremigration", "com.github.dtr-upgrade.metadata-store-migrated"
	attempt := func(name, to string, labels map[string]string) func(*Observation) {
		return func(obs *Observation) {
			c := clustertest.UpgradeContainer("2.5.6", to, "exited")
			c.ID, c.Name = name, "worker1/"+name
			maps.DeleteFunc(c.Labels, func(label, _ string) bool { return label == earlier })
			maps.Copy(c.Labels, labels)
			obs.Bootstrappers = append(obs.Bootstrappers, c)
		}
	}
	for name, tt := range map[string]struct {
		runs     []string // by the replicas
		attempts []func(*Observation)
		want     map[string]string
	}{
		"one attempt": {
			[]string{"2.6.15", "2.5.6"},
			[]func(*Observation){attempt("a", "2.6.15", map[string]string{earlier: "x", migrated: "true"})},
			map[string]string{earlier: "x", migrated: "true"},
		},
		"nothing runs the hop's version": {
			[]string{"2.5.6", "2.5.6"},
			[]func(*Observation){attempt("a", "2.6.15", map[string]string{earlier: "x", migrated: "true"})},
			nil,
		},
		"an attempt at another hop": {
			[]string{"2.6.15", "2.5.6"},
			[]func(*Observation){attempt("a", "2.6.14", map[string]string{earlier: "x"})},
			nil,
		},
		"two that agree": {
			[]string{"2.6.15", "2.5.6"},
			[]func(*Observation){attempt("a", "2.6.15", map[string]string{earlier: "x"}), attempt("b", "2.6.15", map[string]string{earlier: "x"})},
			map[string]string{earlier: "x"},
		},
		"two that tell otherwise": {
			[]string{"2.6.15", "2.5.6"},
			[]func(*Observation){attempt("a", "2.6.15", map[string]string{earlier: "x", migrated: "true"}), attempt("b", "2.6.15", map[string]string{earlier: "y", migrated: "true"})},
			map[string]string{migrated: "true"},
		},
		"two of which one tells more": {
			[]string{"2.6.15", "2.5.6"},
			[]func(*Observation){attempt("a", "2.6.15", map[string]string{earlier: "x", migrated: "true"}), attempt("b", "2.6.15", map[string]string{earlier: "x"})},
			map[string]string{earlier: "x"},
		},
		"one that tells of nothing before": {
			[]string{"2.6.15", "2.5.6"},
			[]func(*Observation){attempt("a", "2.6.15", nil), attempt("b", "2.6.15", map[string]string{earlier: "x"})},
			map[string]string{earlier: "x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obs := observation(tt.runs...)
			obs.Host = clustertest.Host
			for _, add := range tt.attempts {
				add(obs)
			}
			got := obs.labelsOfHop(*newHop(clustertest.Version("2.5.6"), clustertest.Version("2.6.15")))
			told := maps.Clone(got)
			maps.DeleteFunc(told, func(label, _ string) bool { return label != earlier && label != migrated })
			if !maps.Equal(told, tt.want) || migration.TellsOfBefore(got) != (tt.want != nil) {
				t.Errorf("got %v, want %v", told, tt.want)
			}
		})
	}
}
