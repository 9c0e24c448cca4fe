package provider

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// call calls a function with texts.
func (p *protocol) call(name string, result tftypes.Type, args ...string) (tftypes.Value, *tfprotov6.FunctionError) {
	p.t.Helper()
	var arguments []*tfprotov6.DynamicValue
	for _, a := range args {
		arguments = append(arguments, p.dynamic(tftypes.NewValue(tftypes.String, a)))
	}
	resp, err := p.server.CallFunction(p.ctx, &tfprotov6.CallFunctionRequest{Name: name, Arguments: arguments})
	p.ok(err, nil)
	if resp.Error != nil {
		return tftypes.Value{}, resp.Error
	}
	v, err := resp.Result.Unmarshal(result)
	p.ok(err, nil)
	return v, nil
}

func TestTransitionFunction(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	for name, want := range map[string]struct {
		rule      string
		supported bool
	}{
		"2.6.15 -> 2.6.15":   {"same", true},
		"2.6.14 -> 2.6.15":   {"patch-upgrade", true},
		"2.6.8 -> 2.6.15":    {"patch-skip", true},
		"2.6.15 -> 2.6.14":   {"patch-downgrade", false},
		"2.5.6 -> 2.6.15":    {"minor-upgrade", true},
		"2.9.30 -> 2.10.0":   {"minor-upgrade", true},
		"2.5.6 -> 2.7.8":     {"minor-skip", false},
		"2.7.8 -> 2.6.15":    {"minor-downgrade", false},
		"2.10.0 -> 2.9.30":   {"minor-downgrade", false},
		"1.4.3 -> 2.0.0":     {"major-upgrade", true},
		"1.4.3 -> 2.1.0":     {"major-skips-minor", false},
		"1.4.3 -> 2.0.1":     {"major-skips-patch", false},
		"1.4.3 -> 3.0.0":     {"major-skip", false},
		"2.0.0 -> 1.4.3":     {"major-downgrade", false},
		"2.6.0-tp9 -> 2.6.0": {"pre-release", false},
		"2.6.0 -> 2.7.0-rc1": {"pre-release", false},
		"2.3.0 -> 2.3.1":     {"advisory", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to, _ := strings.Cut(name, " -> ")
			result := tftypes.Object{AttributeTypes: map[string]tftypes.Type{
				"rule": tftypes.String, "supported": tftypes.Bool, "summary": tftypes.String,
			}}
			got, funcErr := p.call("transition", result, from, to)
			if funcErr != nil {
				t.Fatal(funcErr.Text)
			}
			var fields map[string]tftypes.Value
			var rule, summary string
			var supported bool
			must(got.As(&fields))
			must(fields["rule"].As(&rule))
			must(fields["supported"].As(&supported))
			must(fields["summary"].As(&summary))
			if rule != want.rule || supported != want.supported {
				t.Errorf("got %s, %t; want %s, %t", rule, supported, want.rule, want.supported)
			}
			if !strings.HasSuffix(summary, ".") {
				t.Errorf("summary %q is no sentence", summary)
			}
		})
	}
}

func TestUpgradePathFunction(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	for name, want := range map[string][]string{
		"2.6.15 -> 2.6.15": {},
		"2.6.8 -> 2.6.15":  {"2.6.15"},
		"2.5.6 -> 2.6.4":   {"2.6.4"},
		"2.5.6 -> 2.7.8":   {latest("2.6"), "2.7.8"},
		"2.4.0 -> 2.7.5":   {latest("2.5"), latest("2.6"), "2.7.5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to, _ := strings.Cut(name, " -> ")
			result, funcErr := p.call("upgrade_path", tftypes.List{ElementType: tftypes.String}, from, to)
			if funcErr != nil {
				t.Fatal(funcErr.Text)
			}
			var elements []tftypes.Value
			must(result.As(&elements))
			got := make([]string, len(elements))
			for i, e := range elements {
				must(e.As(&got[i]))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFunctionErrors(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	for name, c := range map[string]struct {
		function, from, to string
		argument           int64
		text               string // part of it
	}{
		"no version":        {"transition", "latest", "2.6.15", 0, "is no version"},
		"leading v":         {"transition", "2.5.6", "v2.6.15", 1, `write "2.6.15"`},
		"two numbers":       {"upgrade_path", "2.5", "2.6.15", 0, "has no patch number"},
		"pre-release":       {"upgrade_path", "2.5.6", "2.6.0-tp9", 1, "is a pre-release"},
		"downgrade":         {"upgrade_path", "2.7.8", "2.6.15", 1, "Downgrades are not supported"},
		"no known releases": {"upgrade_path", "2.5.6", "2.12.0", 1, "none is known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, funcErr := p.call(c.function, tftypes.DynamicPseudoType, c.from, c.to)
			if funcErr == nil {
				t.Fatal("no error")
			}
			if funcErr.FunctionArgument == nil || *funcErr.FunctionArgument != c.argument {
				t.Errorf("the error stands at %v, want argument %d", funcErr.FunctionArgument, c.argument)
			}
			// Terraform writes the full stop.
			if !strings.Contains(funcErr.Text, c.text) || strings.HasSuffix(funcErr.Text, ".") {
				t.Errorf("got %q, want %q in it", funcErr.Text, c.text)
			}
		})
	}
}

// TestTerraformFunctions calls the functions as a configuration does, with a
// provider that nobody has configured.
func TestTerraformFunctions(t *testing.T) {
	t.Parallel()
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{{
			Config: `
				terraform {
				  required_providers {
				    dtr = { source = "dtr-upgrade/dtr" }
				  }
				}
				output "transition" {
				  value = provider::dtr::transition("2.5.6", "2.7.8")
				}
				output "path" {
				  value = provider::dtr::upgrade_path("2.5.6", "2.7.8")
				}`,
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("transition", knownvalue.ObjectExact(map[string]knownvalue.Check{
					"rule":      knownvalue.StringExact("minor-skip"),
					"supported": knownvalue.Bool(false),
					"summary":   knownvalue.StringExact("Minor versions are upgraded one at a time; none can be skipped."),
				})),
				statecheck.ExpectKnownOutputValue("path", knownvalue.ListExact([]knownvalue.Check{
					knownvalue.StringExact(latest("2.6")), knownvalue.StringExact("2.7.8"),
				})),
			},
		}},
	})
}
