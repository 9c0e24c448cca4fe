package upgrade

import (
	"slices"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// nextHopAtWork removes the first container that the hop to 2.7.8 replaces.
func nextHopAtWork(state string) func(*Observation) {
	return func(obs *Observation) {
		delete(obs.Replicas[0].Containers, "rethinkdb")
		obs.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.6.15", "2.7.8", state)}
	}
}

func TestPreflightResumes(t *testing.T) {
	t.Parallel()
	failed := []dtr.Job{clustertest.MigrationJob("c", "error", 0, time.Hour)}
	tests := []struct {
		name   string
		obs    *Observation
		change func(*Observation)
		target string
		via    []string
		resume string // "" for none
		hops   []string
	}{
		{name: "at the target, nothing left", obs: observation("2.6.15"), target: "2.6.15"},
		{name: "half done", obs: observation("2.5.6", "2.6.15"), target: "2.6.15", hops: []string{"2.5.6 -> 2.6.15"}},
		{name: "half done, more to come", obs: observation("2.5.6", "2.6.15"), target: "2.7.8", via: []string{"2.6.15"}, hops: []string{"2.5.6 -> 2.6.15", "2.6.15 -> 2.7.8"}},
		{
			name: "bootstrapper still there", obs: observation("2.6.15"), target: "2.6.15",
			change: func(obs *Observation) {
				obs.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}
			},
			resume: "2.5.6 -> 2.6.15",
		},
		{
			name: "bootstrapper still there, more to come", obs: observation("2.6.15"), target: "2.7.8",
			change: func(obs *Observation) {
				obs.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "running")}
			},
			resume: "2.5.6 -> 2.6.15", hops: []string{"2.6.15 -> 2.7.8"},
		},
		{
			name: "a container is missing", obs: observation("2.6.15"), target: "2.6.15",
			change: func(obs *Observation) { delete(obs.Replicas[0].Containers, "scanningstore") },
			resume: "2.6.15 -> 2.6.15",
		},
		{
			name: "a container is being replaced by the next hop", obs: observation("2.6.15"), target: "2.7.8", via: []string{"2.6.15"},
			change: nextHopAtWork("running"),
			hops:   []string{"2.6.15 -> 2.7.8"},
		},
		{
			name: "the next hop's bootstrapper died in the middle", obs: observation("2.6.15"), target: "2.7.8", via: []string{"2.6.15"},
			change: nextHopAtWork("exited"),
			hops:   []string{"2.6.15 -> 2.7.8"},
		},
		{
			name: "a bootstrapper died in the middle of a hop that is not wanted any more", obs: observation("2.6.15"), target: "2.6.15",
			change: nextHopAtWork("exited"),
			resume: "2.6.15 -> 2.6.15",
		},
		{
			name: "migration runs", obs: observation("2.6.15"), target: "2.6.15",
			change: func(obs *Observation) {
				obs.Jobs[migration.MetadataStore] = []dtr.Job{clustertest.MigrationJob("a", "running", 2, time.Hour)}
			},
			resume: "2.6.15 -> 2.6.15",
		},
		{
			name: "migration failed for good", obs: observation("2.6.15"), target: "2.6.15",
			change: func(obs *Observation) { obs.Jobs[migration.MetadataStore] = failed },
			resume: "2.6.15 -> 2.6.15",
		},
		{
			name: "migration failed for good at a stop", obs: observation("2.6.15"), target: "2.7.8", via: []string{"2.6.15"},
			change: func(obs *Observation) { obs.Jobs[migration.MetadataStore] = failed },
			resume: "2.6.15 -> 2.6.15", hops: []string{"2.6.15 -> 2.7.8"},
		},
		{
			name: "opt-in migration failed on 2.5", obs: observation("2.5.6"), target: "2.6.15",
			change: func(obs *Observation) { obs.Jobs[migration.MetadataStore] = failed },
			hops:   []string{"2.5.6 -> 2.6.15"},
		},
		{
			name: "failed bootstrapper of another target", obs: observation("2.5.6"), target: "2.6.14",
			change: func(obs *Observation) {
				obs.Bootstrappers = []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}
			},
			hops: []string{"2.5.6 -> 2.6.14"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.change != nil {
				tt.change(tt.obs)
			}
			plan, findings := check(tt.obs, options(tt.target, tt.via...))
			if errs := findings.Errors(); len(errs) > 0 {
				t.Fatalf("stands in the way: %+v", errs)
			}
			resume := ""
			if plan.Resume != nil {
				resume = hopName(*plan.Resume)
			}
			var hops []string
			for _, h := range plan.Hops {
				hops = append(hops, hopName(h))
			}
			if resume != tt.resume || !slices.Equal(hops, tt.hops) {
				t.Errorf("got resume %q and hops %v, want %q and %v", resume, hops, tt.resume, tt.hops)
			}
		})
	}
}

// TestDoubtAboutAHop holds that a container which is newer than all that UCP shows has not
// made a hop that migrates data, unless UCP does not show everything.
func TestDoubtAboutAHop(t *testing.T) {
	t.Parallel()
	obs := observation("2.6.15", "2.6.15")
	made := clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")
	obs.Bootstrappers = []ucp.Container{made}
	hop := *newHop(clustertest.Version("2.5.6"), clustertest.Version("2.6.15"))
	if !obs.couldBeMade(hop) {
		t.Error("one that is older is doubted")
	}
	obs.Bootstrappers[0].Created = clustertest.Epoch.Add(time.Hour)
	if obs.couldBeMade(hop) {
		t.Error("one that is newer is believed")
	}
	delete(obs.Replicas[1].Containers, "nginx")
	if !obs.couldBeMade(hop) {
		t.Error("one is doubted that what is not shown may be newer than")
	}
}
