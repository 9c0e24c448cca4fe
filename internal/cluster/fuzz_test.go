package cluster_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// FuzzLabels has containers with any names, images, commands and labels beside a replica: none keeps labels that do not
// hold, and what reads them ends.
func FuzzLabels(f *testing.F) {
	add := func(containers ...ucp.Container) {
		text, err := json.Marshal(containers)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(`{"dtrHost":"dtr.example.com"}`), text)
	}
	add(clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited"), ucp.Container{Name: "/worker1/" + cluster.Phase2Name})
	add(ucp.Container{
		Name: "worker1/" + cluster.ContainerName(clustertest.Host), Node: "worker1", Image: "docker/dtr:2.5.6", Command: "/bin/dtr join --replica-id 000000000001 --ucp-node worker1",
		Labels: map[string]string{cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: "join", cluster.LabelReplica: "000000000001", cluster.LabelNode: "worker1"},
	})
	add(ucp.Container{Name: "dtr-api-0123456789ab", Image: "@", Labels: map[string]string{"com.docker.dtr.version": "2.x"}}, ucp.Container{Name: "a/b/dtr-etcd-0123456789ab"})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		settings := listing(1)
		var more dtr.Settings
		var list []ucp.Container
		if json.Unmarshal(a, &more) != nil || json.Unmarshal(b, &list) != nil {
			return
		}
		maps.Copy(settings.Replicas, more.Replicas)
		seen := cluster.NewInventory(clustertest.Host, settings, append(containers(1, "2.5.6"), list...))
		for _, c := range seen.Bootstrappers {
			if c.Labels[cluster.LabelCluster] != "" && !cluster.Holds(c, clustertest.Host, "") {
				t.Errorf("labels that do not hold: %+v", c)
			}
			_ = cluster.Purpose(c.Labels)
		}
		if change, found := seen.MembershipChange(); found && len(bootstrap.Arguments(change.Command)) == 0 {
			t.Errorf("a join or removal without arguments: %+v", change)
		}
		_, _ = seen.UpgradeContainer()
		_, _ = seen.BackupRecord()
		_, _, _ = seen.Foreign(false), seen.Lost(), seen.Predates(time.Now())
		if v := seen.CurrentVersion(); v != nil {
			_ = cluster.ProblemsText(seen.Problems(v))
		}
	})
}
