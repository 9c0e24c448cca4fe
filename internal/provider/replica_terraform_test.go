package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// forget is a last step: what is destroyed at the end of a test would be the last
// replica, which is refused.
func forget(c *simulator.Cluster, names ...string) resource.TestStep {
	var text strings.Builder
	text.WriteString(connectionConfig)
	for _, name := range names {
		fmt.Fprintf(&text, `
			removed {
			  from = dtr_replica.%s
			  lifecycle { destroy = false }
			}`, name)
	}
	return resource.TestStep{Config: text.String(), ConfigVariables: variables(c, "")}
}

// replicaOn is a replica in Terraform's language.
func replicaOn(name, node string, more ...string) string {
	return fmt.Sprintf("\nresource \"dtr_replica\" %q {\n  node = %q\n  %s\n}\n", name, node, strings.Join(more, "\n  "))
}

// nodesOf lists the nodes that have a container of a replica, sorted.
func nodesOf(c *simulator.Cluster) []string {
	var nodes []string
	for _, ct := range c.Containers() {
		if _, _, ok := ct.Component(); ok && ct.Running() {
			nodes = append(nodes, ct.Node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

func wantNodes(t *testing.T, c *simulator.Cluster, want ...string) {
	t.Helper()
	if got := nodesOf(c); !slices.Equal(got, want) {
		t.Errorf("replicas on %v, want %v", got, want)
	}
	if got := len(c.ReplicaIDs()); got != len(want) {
		t.Errorf("DTR lists %d replicas, want %d", got, len(want))
	}
}

// TestTerraformDestroyLeavesTheLastReplica destroys a whole configuration.
func TestTerraformDestroyLeavesTheLastReplica(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	var parts strings.Builder
	parts.WriteString(upgradeTo())
	for i, id := range cluster.ReplicaIDs() {
		name := fmt.Sprintf("r%d", i)
		parts.WriteString(replicaOn(name, fmt.Sprintf("worker%d", i+1)))
		fmt.Fprintf(&parts, "import {\n  to = dtr_replica.%s\n  id = %q\n}\n", name, id)
	}
	text := parts.String()
	inTerraform(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(brief()),
		Steps: []resource.TestStep{
			{Config: text, ConfigVariables: variables(cluster, "2.6.8")},
			{Config: text, ConfigVariables: variables(cluster, "2.6.8"), Destroy: true, ExpectError: says("is the last one")},
			forget(cluster, "r0", "r1", "r2"),
		},
	})
	if n := len(cluster.ReplicaIDs()); n != 1 || cluster.Runs("remove") != 2 {
		t.Errorf("%d replicas after %d removals", n, cluster.Runs("remove"))
	}
	runs(t, cluster, "2.6.8")
}

// TestTerraformReplicaMovesToAnotherNode changes the node of a cluster's only replica, which
// keeps serving.
func TestTerraformReplicaMovesToAnotherNode(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 1)
	moved := func(node string) string {
		return connectionConfig + replicaOn("this", node, "lifecycle { create_before_destroy = true }")
	}
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			{
				Config:          moved("worker1") + fmt.Sprintf("import {\n  to = dtr_replica.this\n  id = %q\n}\n", cluster.ReplicaIDs()[0]),
				ConfigVariables: variables(cluster, ""),
			},
			{
				Config:          moved("worker2"),
				ConfigVariables: variables(cluster, ""),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction("dtr_replica.this", plancheck.ResourceActionCreateBeforeDestroy),
				}},
			},
			{ // a node that will not do is said before anything is touched
				Config: moved("manager1"), ConfigVariables: variables(cluster, ""), ExpectError: says("Node manager1 is a manager"),
			},
			forget(cluster, "this"),
		},
	})
	wantNodes(t, cluster, "worker2")
	wantMemberRuns(t, cluster, 1, 1)
}

// TestTerraformReplicaAndUpgradeInOneApply holds that a join and an upgrade go together in
// either order.
func TestTerraformReplicaAndUpgradeInOneApply(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"upgrade first": upgradeTo() + replicaOn("new", "worker4", "depends_on = [dtr_upgrade.this]"),
		"join first":    upgradeTo("depends_on = [dtr_replica.new]") + replicaOn("new", "worker4"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := roomy(t, 3)
			inTerraform(t, resource.TestCase{
				Steps: []resource.TestStep{
					{ // the next plan, which is made right after, must be empty
						Config: text, ConfigVariables: variables(cluster, "2.6.15"),
					},
					{ // as it is refreshed
						Config: text, ConfigVariables: variables(cluster, "2.6.15"),
						ConfigPlanChecks:  resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
						ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownValue("dtr_replica.new", attribute("version"), knownvalue.StringExact("2.6.15"))},
					},
					{
						Config: text, ConfigVariables: variables(cluster, "2.7.8"),
					},
					forget(cluster, "new"),
				},
			})
			runs(t, cluster, "2.7.8")
			wantNodes(t, cluster, "worker1", "worker2", "worker3", "worker4")
			wantMemberRuns(t, cluster, 1, 0)
		})
	}
}
