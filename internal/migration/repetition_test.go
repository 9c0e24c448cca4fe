package migration

import (
	"bytes"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// later has UCP say that the container of a name was created an hour later than it was.
func later(t *testing.T, sim *simulator.Cluster, name string, created time.Time) {
	t.Helper()
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/" + name + "/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			from, to := created.Format(time.RFC3339Nano), created.Add(time.Hour).Format(time.RFC3339Nano)
			if !bytes.Contains(body, []byte(from)) {
				t.Errorf("%s was not created at %s", name, from)
			}
			return status, bytes.ReplaceAll(body, []byte(from), []byte(to))
		},
	})
}

// TestRepetitionIsBelievedForTheOneBefore has the container of a hop be newer than all that
// runs, as that of a bootstrapper which was run again and had nothing left to make. It is
// believed only for an earlier one that can have made the hop and tells the same of before it.
func TestRepetitionIsBelievedForTheOneBefore(t *testing.T) {
	t.Parallel()
	from, to := clustertest.Version("2.5.6"), clustertest.Version("2.6.15")
	hop := transition.Hop{From: from, To: to, Rule: transition.Classify(from, to), MigrationJobs: []string{MetadataStore}}
	with := func(name, value string) map[string]string { return map[string]string{name: value} }
	for name, tt := range map[string]struct {
		earlier map[string]string // how its labels differ; nil for none
		newer   bool              // it was made after all that runs, too
		want    bool
	}{
		"of the same hop":                {earlier: map[string]string{}, want: true},
		"without one":                    {},
		"made after all that runs":       {earlier: map[string]string{}, newer: true},
		"that tells of another job":      {earlier: with(labelEarlierJob+MetadataStore, "other")},
		"that says that it was migrated": {earlier: with(labelMigrated, "true")},
		"of a hop from another version":  {earlier: with(cluster.LabelFrom, "2.5.5")},
		"that began another path":        {earlier: with(cluster.LabelStart, "2.4.14"), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			for _, id := range sim.ReplicaIDs() {
				sim.SetReplicaVersion(id, "2.6.15") // makes its containers now
			}
			r := newRun(c, clustertest.Pace)
			sim.AddImage("docker/dtr:2.6.15")
			engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
			made := func(name string, newer bool, more map[string]string) {
				labels := map[string]string{cluster.LabelCluster: r.Host, cluster.LabelFrom: "2.5.6", cluster.LabelTo: "2.6.15", labelEarlierJob + MetadataStore: ""}
				maps.Copy(labels, more)
				id := clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{
					Name: name, Image: "docker/dtr:2.6.15", Node: "worker1", Args: []string{"upgrade"}, Labels: labels,
				}))
				if newer {
					later(t, sim, name, clustertest.Must[ucp.ContainerState](t)(engine.Container(t.Context(), id)).Created)
				}
			}
			made(r.ContainerName(), true, nil)
			if tt.earlier != nil {
				made(r.EarlierName(), tt.newer, tt.earlier)
			}
			found, ok, err := r.Find(t.Context())
			if err != nil || !ok {
				t.Fatalf("found: %t, error %v", ok, err)
			}
			if got := clustertest.Must[bool](t)(r.couldHaveMade(t.Context(), found, hop)); got != tt.want {
				t.Errorf("believed: %t", got)
			}
		})
	}
}
