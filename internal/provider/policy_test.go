package provider

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// planSeen hands a plan on, in the form that policies read.
type planSeen func(*tfjson.Plan)

func (f planSeen) CheckPlan(_ context.Context, req plancheck.CheckPlanRequest, _ *plancheck.CheckPlanResponse) {
	f(req.Plan)
}

// TestTerraformPlanForPolicies writes down what a policy sees of an upgrade by two hops
// without a backup, of a cluster that was adopted before. The policies of the examples
// are tested on it.
func TestTerraformPlanForPolicies(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	var plan *tfjson.Plan
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			{Config: upgradeTo(), ConfigVariables: variables(cluster, "2.5.6")},
			{
				Config:             upgradeTo(`via = ["2.6.15"]`),
				ConfigVariables:    variables(cluster, "2.7.8"),
				ConfigPlanChecks:   resource.ConfigPlanChecks{PostApplyPreRefresh: []plancheck.PlanCheck{planSeen(func(p *tfjson.Plan) { plan = p })}},
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
		},
	})
	if plan == nil {
		t.Fatal("there was no plan")
	}
	change := *plan.ResourceChanges[0].Change
	for _, values := range []any{change.Before, change.After} { // what is of this run alone
		values.(map[string]any)["id"] = "dtr.example.com"
	}
	text, err := json.MarshalIndent(map[string]any{"resource_changes": []any{map[string]any{
		"address": plan.ResourceChanges[0].Address, "type": plan.ResourceChanges[0].Type,
		"change": map[string]any{"actions": change.Actions, "before": change.Before, "after": change.After},
	}}}, "", "  ")
	must(err)
	golden(t, "plan.json", slices.Concat(text, []byte("\n")))
}
