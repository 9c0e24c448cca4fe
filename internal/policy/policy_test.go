// Package policy tests the policies of the examples. It is a module of its own, since
// what it needs is large.
package policy

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/rego"
)

// denied are the messages of the policy about a plan.
func denied(t *testing.T, input any) []string {
	t.Helper()
	text, err := os.ReadFile("../../examples/policies/upgrade.rego")
	if err != nil {
		t.Fatal(err)
	}
	results, err := rego.New(
		rego.Query("data.terraform.policies.dtr.deny"), rego.Module("upgrade.rego", string(text)), rego.Input(input),
	).Eval(t.Context())
	if err != nil || len(results) != 1 {
		t.Fatalf("%v, error %v", results, err)
	}
	var messages []string
	for _, m := range results[0].Expressions[0].Value.([]any) {
		messages = append(messages, m.(string))
	}
	slices.Sort(messages)
	return messages
}

// plan is one that Terraform has made.
func plan(t *testing.T, name string) (whole, after map[string]any) {
	t.Helper()
	text, err := os.ReadFile("../provider/testdata/plan_" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	after, _ = change(whole)["after"].(map[string]any)
	return whole, after
}

// change is that of the plan's one resource.
func change(whole map[string]any) map[string]any {
	return whole["resource_changes"].([]any)[0].(map[string]any)["change"].(map[string]any)
}

func TestRego(t *testing.T) {
	const address = "dtr_upgrade.this: "
	noBackup := []string{address + "the minor-upgrade to 2.6.15 needs a backup", address + "the minor-upgrade to 2.7.8 needs a backup"}
	twoHops := address + "2 hops in one run; plan one at a time"
	notKnown := address + "cannot be judged: the plan does not know the hops; plan again with known versions and access to the cluster"
	asPlanned := func(whole, _ map[string]any) any { return whole }
	for name, c := range map[string]struct {
		plan   string
		change func(whole, after map[string]any) any
		want   []string
	}{
		"two hops": {"two_hops", asPlanned, append([]string{twoHops}, noBackup...)},
		"in HCP Terraform": {
			"two_hops", func(whole, _ map[string]any) any { return map[string]any{"plan": whole, "run": map[string]any{}} },
			append([]string{twoHops}, noBackup...),
		},
		"with a backup": {"two_hops", func(whole, after map[string]any) any {
			after["backup"] = map[string]any{"file": "dtr.tar"}
			return whole
		}, []string{twoHops}},
		"with a backup whose file is not known": {"dated_backup", asPlanned, nil},
		"with a backup that may be none":        {"unknown_backup", asPlanned, noBackup[:1]},
		"with one hop": {"two_hops", func(whole, after map[string]any) any {
			after["upgrade_path"] = after["upgrade_path"].([]any)[:1]
			return whole
		}, noBackup[:1]},
		"an update without a hop": {"two_hops", func(whole, after map[string]any) any {
			after["upgrade_path"] = []any{}
			return whole
		}, nil},
		"a create with a patch":         {"patch", asPlanned, nil},
		"a create where nobody answers": {"unanswered", asPlanned, []string{notKnown}},
		"nothing to do after both hops": {"no_op", asPlanned, nil},
		"a destroy": {"no_op", func(whole, _ map[string]any) any {
			change(whole)["actions"], change(whole)["after"] = []any{"delete"}, nil
			return whole
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := denied(t, c.change(plan(t, c.plan))); !slices.Equal(got, c.want) {
				t.Errorf("denied %q, want %q", got, c.want)
			}
		})
	}
}
