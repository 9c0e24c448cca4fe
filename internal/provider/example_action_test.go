package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// actionEvents are the events that Terraform triggers actions on.
var actionEvents = []string{"before_create", "after_create", "before_update", "after_update"}

// exampleAction is an action block of an example.
type exampleAction struct {
	typ, name string
	config    values
}

// withoutActions takes from an example what Terraform parses from 1.14 on only:
// its actions, and their triggers, which have to be of those actions.
func withoutActions(t *testing.T, text string) (rest string, actions []exampleAction) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(text), "example.tf", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var cut []hcl.Range
	var triggers []*hclsyntax.Block
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		switch block.Type {
		case "action":
			cut = append(cut, block.Range())
			actions = append(actions, parseAction(t, block))
		case "resource":
			for _, inner := range block.Body.Blocks {
				for _, trigger := range inner.Body.Blocks {
					if inner.Type == "lifecycle" && trigger.Type == "action_trigger" {
						cut = append(cut, trigger.Range())
						triggers = append(triggers, trigger)
					}
				}
			}
		}
	}
	for _, trigger := range triggers {
		checkTrigger(t, text, trigger, actions)
	}
	slices.SortFunc(cut, func(a, b hcl.Range) int { return b.Start.Byte - a.Start.Byte })
	for _, r := range cut {
		text = text[:r.Start.Byte] + text[r.End.Byte:]
	}
	return text, actions
}

func parseAction(t *testing.T, block *hclsyntax.Block) exampleAction {
	t.Helper()
	if len(block.Labels) != 2 || len(block.Body.Blocks) != 1 || block.Body.Blocks[0].Type != "config" {
		t.Fatalf("%s: not an action with one config", block.Range())
	}
	a := exampleAction{typ: block.Labels[0], name: block.Labels[1], config: values{}}
	for name, attribute := range block.Body.Blocks[0].Body.Attributes {
		v, diags := attribute.Expr.Value(&hcl.EvalContext{Variables: map[string]cty.Value{
			"var": cty.ObjectVal(map[string]cty.Value{"backup_url": cty.UnknownVal(cty.String)}),
		}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		a.config[name] = fromCty(t, v)
	}
	return a
}

// fromCty is a value as the protocol's tests write it.
func fromCty(t *testing.T, v cty.Value) any {
	t.Helper()
	switch {
	case !v.IsKnown():
		return unknown{}
	case v.Type() == cty.String:
		return v.AsString()
	case v.Type() == cty.Bool:
		return v.True()
	case v.Type() == cty.Number:
		n, _ := v.AsBigFloat().Int64()
		return int(n)
	case v.Type().IsObjectType():
		fields := values{}
		for name, e := range v.AsValueMap() {
			fields[name] = fromCty(t, e)
		}
		return fields
	}
	t.Fatalf("no value of type %s", v.Type().FriendlyName())
	return nil
}

func checkTrigger(t *testing.T, text string, trigger *hclsyntax.Block, actions []exampleAction) {
	t.Helper()
	list := func(name string) (words []string) {
		attribute := trigger.Body.Attributes[name]
		if attribute == nil {
			t.Fatalf("%s: no %s", trigger.Range(), name)
		}
		elements, diags := hcl.ExprList(attribute.Expr)
		if diags.HasErrors() || len(elements) == 0 {
			t.Fatalf("%s: no list of %s", trigger.Range(), name)
		}
		for _, e := range elements {
			words = append(words, string(e.Range().SliceBytes([]byte(text))))
		}
		return words
	}
	for _, event := range list("events") {
		if !slices.Contains(actionEvents, event) {
			t.Errorf("%s: no such event: %s", trigger.Range(), event)
		}
	}
	for _, action := range list("actions") {
		if !slices.ContainsFunc(actions, func(a exampleAction) bool { return "action."+a.typ+"."+a.name == action }) {
			t.Errorf("%s: no such action: %s", trigger.Range(), action)
		}
	}
}

// planActions plans the actions of an example as Terraform 1.14 does.
func planActions(t *testing.T, c *simulator.Cluster, actions []exampleAction) {
	t.Helper()
	p := planner(t, c)
	for _, a := range actions {
		if p.schemas.ActionSchemas[a.typ] == nil {
			t.Errorf("the provider has no action %s", a.typ)
			continue
		}
		if diags := p.planAction(a.typ, a.config); len(diags) > 0 {
			t.Errorf("action.%s.%s:\n%s", a.typ, a.name, render(diags))
		}
	}
}

func TestWithoutActions(t *testing.T) {
	t.Parallel()
	rest, actions := withoutActions(t, `
		action "dtr_job" "a" {
		  config { action = "onlinegc" }
		}
		resource "terraform_data" "b" {
		  lifecycle {
		    action_trigger {
		      events  = [after_create]
		      actions = [action.dtr_job.a]
		    }
		  }
		}`)
	if strings.Contains(rest, "action") || !strings.Contains(rest, "terraform_data") || len(actions) != 1 || actions[0].config["action"] != "onlinegc" {
		t.Errorf("actions %+v, and left:\n%s", actions, rest)
	}
}
