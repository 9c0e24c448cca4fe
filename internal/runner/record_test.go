package runner

import (
	"maps"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestRecordsAreOfThisProvider has containers with the labels of a backup that are no record
// of one.
func TestRecordsAreOfThisProvider(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	defer sim.Hold(simulator.BackupStarted)()
	engine := clustertest.Must[*ucp.Engine](t)(r.Cluster.UCP.Engine(t.Context()))
	sim.AddImage("docker/dtr:" + before)
	name := func(digit string) string { return cluster.BackupRecordName(r.Host, strings.Repeat(digit, 64)) }
	labels := map[string]string{cluster.LabelCluster: r.Host, cluster.LabelCommand: cluster.CommandBackup, cluster.LabelFrom: before}
	args, env := bootstrap.BackupCommand(bootstrap.BackupOptions{ExistingReplicaID: sim.ReplicaIDs()[0], UCP: r.Cluster.Login})
	for _, c := range []struct {
		name string
		args []string
		runs bool
	}{
		{name("1"), args, false},
		{name("2"), args, true},
		{name("3"), []string{"images"}, false},
		{"eager_turing", args, false},
		{r.ContainerName(), args, false},
	} {
		id := create(t, r.Cluster, ucp.CreateSpec{Name: c.name, Image: "docker/dtr:" + before, Args: c.args, Env: env, Labels: maps.Clone(labels), Node: "worker1"})
		if c.runs {
			if err := engine.Start(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			<-sim.Reached(simulator.BackupStarted)
		}
	}
	records := clustertest.Must[[]Container](t)(r.Backups(t.Context()))
	if len(records) != 1 || cluster.BaseName(records[0].Name) != name("1") {
		for _, c := range records {
			t.Errorf("a record is %s (%s)", c.Name, c.Status)
		}
	}
}
