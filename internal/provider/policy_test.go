package provider

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// planForPolicies writes a plan down, in the form that policies read.
type planForPolicies struct {
	t    *testing.T
	name string
}

func (f planForPolicies) CheckPlan(_ context.Context, req plancheck.CheckPlanRequest, _ *plancheck.CheckPlanResponse) {
	planned := req.Plan.ResourceChanges[0]
	change := *planned.Change
	for _, of := range []any{change.Before, change.After} { // what is of this run alone
		values, _ := of.(map[string]any)
		if values["id"] != nil {
			values["id"] = "dtr.example.com"
		}
		delete(values, "last_upgrade")
	}
	text, err := json.MarshalIndent(map[string]any{"resource_changes": []any{map[string]any{
		"address": planned.Address, "type": planned.Type, "change": map[string]any{
			"actions": change.Actions, "before": change.Before, "after": change.After, "after_unknown": change.AfterUnknown,
		},
	}}}, "", "  ")
	must(err)
	golden(f.t, f.name, slices.Concat(text, []byte("\n")))
}

// TestTerraformPlansForPolicies writes down what a policy sees of a create where nobody
// answers, of one with a patch, of upgrades with a backup that the apply names, and with one that
// it may leave out, of one by two hops without a backup, and of a plan after it with nothing to do. The policies
// of the examples are tested on them.
func TestTerraformPlansForPolicies(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	var mend func()
	seen := func(name string) []plancheck.PlanCheck { return []plancheck.PlanCheck{planForPolicies{t, name}} }
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			{
				PreConfig:          func() { mend = cluster.Inject(simulator.Fault{Reset: true}) },
				Config:             upgradeTo(`via = ["2.6.15"]`),
				ConfigVariables:    variables(cluster, "2.7.8"),
				ConfigPlanChecks:   resource.ConfigPlanChecks{PostApplyPreRefresh: seen("plan_unanswered.json")},
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
			{
				PreConfig:          func() { mend() },
				Config:             upgradeTo(),
				ConfigVariables:    variables(cluster, "2.5.7"),
				ConfigPlanChecks:   resource.ConfigPlanChecks{PostApplyPreRefresh: seen("plan_patch.json")},
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
			{Config: upgradeTo(), ConfigVariables: variables(cluster, "2.5.6")},
			{
				Config:             upgradeTo(`backup = { file = "/backups/${timestamp()}.tar" }`),
				ConfigVariables:    variables(cluster, "2.6.15"),
				ConfigPlanChecks:   resource.ConfigPlanChecks{PostApplyPreRefresh: seen("plan_dated_backup.json")},
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
			{
				Config:             upgradeTo(`backup = timestamp() == "" ? { file = "/backups/dtr.tar" } : null`),
				ConfigVariables:    variables(cluster, "2.6.15"),
				ConfigPlanChecks:   resource.ConfigPlanChecks{PostApplyPreRefresh: seen("plan_unknown_backup.json")},
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
			{
				Config:          upgradeTo(`via = ["2.6.15"]`),
				ConfigVariables: variables(cluster, "2.7.8"),
				ConfigPlanChecks: resource.ConfigPlanChecks{
					PreApply:             seen("plan_two_hops.json"),
					PostApplyPostRefresh: seen("plan_no_op.json"),
				},
			},
		},
	})
}
