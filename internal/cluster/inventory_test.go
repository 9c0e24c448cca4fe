package cluster_test

import (
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Labels that DTR puts on the rethinkdb container of a replica (facts on versions).
const (
	labelVersion = "com.docker.dtr.version"
	labelProject = "com.docker.compose.project"
)

func TestInventoryVersions(t *testing.T) {
	t.Parallel()
	part := bootstrap.Parts[0] // rethinkdb carries the labels
	tests := []struct {
		name   string
		image  string
		labels map[string]string
		want   string // "" when it is not known
	}{
		{"tag", "docker/dtr-rethink:2.5.6", nil, "2.5.6"},
		{"tag behind a registry's port", "registry.example.com:5000/dtr/dtr-rethink:2.5.6", nil, "2.5.6"},
		{"tag with digest", "docker/dtr-rethink:2.5.6@sha256:00ff", nil, "2.5.6"},
		{"no tag, port only", "registry.example.com:5000/dtr/dtr-rethink", nil, ""},
		{"image id, label", "sha256:00ff", map[string]string{labelVersion: "2.5.6"}, "2.5.6"},
		{"wire form", "sha256:00ff", map[string]string{labelVersion: "2.7.0-29094adc"}, "2.7.0"},
		{"old label", "sha256:00ff", map[string]string{labelProject: "Docker Trusted Registry 2.1.3 - (Replica 00000000000a)"}, "2.1.3"},
		{"label ahead of the image", "docker/dtr-rethink:2.5.6", map[string]string{labelVersion: "2.6.15"}, "2.5.6"},
		{"label behind the image", "docker/dtr-rethink:2.6.15", map[string]string{labelVersion: "2.5.6"}, "2.5.6"},
		{"nothing", "sha256:00ff", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Part(1, part, "0.0.0")
			c.Image, c.Labels = tt.image, tt.labels
			inventory := cluster.NewInventory("", dtr.Settings{}, []ucp.Container{c})
			got := ""
			if v := inventory.CurrentVersion(); v != nil {
				got = v.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInventoryProblems(t *testing.T) {
	t.Parallel()
	seen := clustertest.Snapshot("2.6.15", "2.6.15")
	if problems := seen.Problems(clustertest.Version("2.6.15")); len(problems) > 0 {
		t.Errorf("a whole cluster has problems: %v", problems)
	}
	c := seen.Replicas[1].Containers["nginx"]
	c.Version = clustertest.Version("2.5.6")
	seen.Replicas[1].Containers["nginx"] = c
	delete(seen.Replicas[0].Containers, "registry")
	want := "dtr-registry-000000000001 is missing; dtr-nginx-000000000002 runs 2.5.6"
	if got := cluster.ProblemsText(seen.Problems(clustertest.Version("2.6.15"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if (&cluster.Inventory{}).At(clustertest.Version("2.6.15")) {
		t.Error("a cluster without replicas counts as upgraded")
	}
}
