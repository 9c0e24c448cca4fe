//go:build unix

package provider

import (
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// TestTerraformApplyIsResumedAfterAKill kills a real Terraform and its provider
// with SIGKILL at several points of a rollout, and applies again. Each time the
// bootstrapper has to have run once for each hop.
func TestTerraformApplyIsResumedAfterAKill(t *testing.T) {
	t.Parallel()
	const oneHop, twoHops = `target_version = "2.6.15"`, "target_version = \"2.7.8\"\nvia = [\"2.6.15\"]"
	for name, c := range map[string]struct {
		upgrade string
		point   string
		nth     int // time that it is reached
	}{
		"in the first phase":      {oneHop, simulator.BootstrapperStarted, 1},
		"before a replica":        {oneHop, simulator.ReplicaStarted(2), 1},
		"after the last replica":  {oneHop, simulator.ReplicaReplaced(3), 1},
		"in the migration":        {oneHop, simulator.MigrationStarted, 1},
		"between two hops":        {twoHops, simulator.BootstrapperRemoved, 1},
		"in the second hop":       {twoHops, simulator.ReplicaStarted(2), 2},
		"after the second's work": {twoHops, simulator.BootstrapperRemoved, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: "2.5.6", Speed: 1000, Host: host}))
			p := newProcess(t)
			p.connect(cluster)
			p.write(terraformtest.RequiredProviders + connectionConfig + "resource \"dtr_upgrade\" \"main\" {\n" + c.upgrade + "\n}")
			p.killedApply(cluster, c.point, c.nth)
			p.apply()

			target, hops := "2.6.15", 1
			if c.upgrade == twoHops {
				target, hops = "2.7.8", 2
			}
			runs(t, cluster, target)
			wantBootstrapperRuns(t, cluster, hops)
			if jobs := cluster.Jobs(); len(jobs) != 1 || jobs[0].Status != "done" {
				t.Errorf("migration jobs %+v, want one that is done", jobs)
			}
		})
	}
}
