package provider

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// inPlace is the plan check for an update in place.
func inPlace(more ...plancheck.PlanCheck) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{
		PreApply: append([]plancheck.PlanCheck{plancheck.ExpectResourceAction(resourceAddress, plancheck.ResourceActionUpdate)}, more...),
	}
}

// planKnows checks a planned text.
func planKnows(name, text string) plancheck.PlanCheck {
	return plancheck.ExpectKnownValue(resourceAddress, attribute(name), knownvalue.StringExact(text))
}

// planPath checks the planned upgrade_path.
func planPath(hops ...knownvalue.Check) plancheck.PlanCheck {
	return plancheck.ExpectKnownValue(resourceAddress, attribute("upgrade_path"), knownvalue.ListExact(hops))
}

func stateKnows(name, text string) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(resourceAddress, attribute(name), knownvalue.StringExact(text))
}

// TestTerraformUpgradeInPlace takes one resource through its life.
func TestTerraformUpgradeInPlace(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	lastTo := func(to string) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(resourceAddress, attribute("last_upgrade").AtMapKey("to"), knownvalue.StringExact(to))
	}
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			{ // adopted as it is
				Config:          upgradeTo(),
				ConfigVariables: variables(cluster, "2.6.8"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(resourceAddress, plancheck.ResourceActionCreate),
					planKnows("current_version", "2.6.8"), planPath(),
				}},
				ConfigStateChecks: []statecheck.StateCheck{
					stateKnows("current_version", "2.6.8"),
					statecheck.ExpectKnownValue(resourceAddress, attribute("last_upgrade"), knownvalue.Null()),
				},
			},
			{
				Config:           upgradeTo(),
				ConfigVariables:  variables(cluster, "2.6.15"),
				ConfigPlanChecks: inPlace(planKnows("current_version", "2.6.15"), planPath(hop("2.6.8", "2.6.15", "patch-skip")), planKnows("id", host)),
				ConfigStateChecks: []statecheck.StateCheck{
					stateKnows("current_version", "2.6.15"), lastTo("2.6.15"),
				},
			},
			{ // settings of the next upgrade alone
				Config:           upgradeTo(`max_interruption = "1m"`, `timeouts = { update = "8h" }`),
				ConfigVariables:  variables(cluster, "2.6.15"),
				ConfigPlanChecks: inPlace(planKnows("current_version", "2.6.15"), planPath()),
				ConfigStateChecks: []statecheck.StateCheck{
					stateKnows("max_interruption", "1m"), lastTo("2.6.15"),
				},
			},
			{
				Config:            upgradeTo(`via = ["2.7.8"]`),
				ConfigVariables:   variables(cluster, "2.8.13"),
				ConfigPlanChecks:  inPlace(planPath(hop("2.6.15", "2.7.8", "minor-upgrade"), hop("2.7.8", "2.8.13", "minor-upgrade"))),
				ConfigStateChecks: []statecheck.StateCheck{stateKnows("current_version", "2.8.13"), lastTo("2.8.13")},
			},
		},
		// Destroying forgets and touches nothing.
		CheckDestroy: func(*terraform.State) error {
			runs(t, cluster, "2.8.13")
			return nil
		},
	})
	wantBootstrapperRuns(t, cluster, 3)
}

// TestTerraformRefusals holds what a user sees of a refused transition, and
// that it leaves the resource as it was.
func TestTerraformRefusals(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.7.4")
	refused := func(target string, text string, more ...string) resource.TestStep {
		return resource.TestStep{
			Config: upgradeTo(more...), ConfigVariables: variables(cluster, target), ExpectError: says(text),
		}
	}
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			refused("2.6.8", "DTR cannot be downgraded"), // also where there is no state yet
			{Config: upgradeTo(), ConfigVariables: variables(cluster, "2.7.4")},
			refused("2.6.8", `Error: DTR cannot be downgraded with dtr_upgrade.this`),
			refused("2.6.8", `The cluster runs 2.7.4 and target_version is 2.6.8 (minor downgrade, not supported).
				Set target_version to 2.7.4 or later. If the resource's lifecycle has it in ignore_changes, take it out of there
				first: until then what is written is not read. To go back, restore a backup taken with 2.6.8.`),
			refused("2.9.30", fmt.Sprintf("via = [%q]", latest("2.8"))),
			refused("3.0.1", `via = ["3.0.0"]`),
			refused("2.9.30", `in resource "dtr_upgrade" "this":`, `via = ["2.9.0"]`),
			refused("v2.8.13", `"v2.8.13" starts with "v"; write "2.8.13".`),
			refused("2.8.13", "The stops of an upgrade must ascend", `via = ["2.9.0"]`),
			{
				Config: upgradeTo(), ConfigVariables: variables(cluster, "2.7.4"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
		},
	})
	runs(t, cluster, "2.7.4")
}

// setAll makes every replica run the version, as somebody else's upgrade does.
func setAll(c *simulator.Cluster, version string) {
	for _, id := range c.ReplicaIDs() {
		c.SetReplicaVersion(id, version)
	}
}

func TestTerraformDrift(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	inTerraform(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(brief()),
		Steps: []resource.TestStep{
			{Config: upgradeTo(), ConfigVariables: variables(cluster, "2.6.8")},
			{ // to what is wanted now: nothing is left to do but to write it down
				PreConfig:        func() { setAll(cluster, "2.6.15") },
				Config:           upgradeTo(),
				ConfigVariables:  variables(cluster, "2.6.15"),
				ConfigPlanChecks: inPlace(planPath(), planKnows("current_version", "2.6.15")),
				ConfigStateChecks: []statecheck.StateCheck{
					stateKnows("current_version", "2.6.15"),
					statecheck.ExpectKnownValue(resourceAddress, attribute("last_upgrade"), knownvalue.Null()),
				},
			},
			{ // one replica behind
				PreConfig:       func() { cluster.SetReplicaVersion(cluster.ReplicaIDs()[2], "2.6.8") },
				Config:          upgradeTo(),
				ConfigVariables: variables(cluster, "2.6.15"),
				ConfigPlanChecks: inPlace(
					planPath(hop("2.6.8", "2.6.15", "patch-skip")),
					plancheck.ExpectUnknownValue(resourceAddress, attribute("last_upgrade")),
				),
				ConfigStateChecks: []statecheck.StateCheck{stateKnows("current_version", "2.6.15")},
			},
			{ // beyond what is wanted
				PreConfig:       func() { setAll(cluster, "2.7.8") },
				Config:          upgradeTo(),
				ConfigVariables: variables(cluster, "2.6.15"),
				ExpectError:     says("The cluster runs 2.7.8 and target_version is 2.6.15 (minor downgrade, not supported)."),
			},
			{
				Config:           upgradeTo(),
				ConfigVariables:  variables(cluster, "2.7.8"),
				ConfigPlanChecks: inPlace(planPath()),
			},
		},
	})
	wantBootstrapperRuns(t, cluster, 1)
}

func TestTerraformImport(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	step := func(id string) resource.TestStep {
		return resource.TestStep{
			Config: terraformtest.RequiredProviders + upgradeTo(), ConfigVariables: variables(cluster, "2.6.15"),
			ResourceName: resourceAddress, ImportState: true, ImportStateId: id,
		}
	}
	another, matching := step("registry.example.com"), step("DTR.example.com") // host names know no case
	another.ExpectError = says(`The import is for "registry.example.com", and the external host of the DTR at the provider's url is "dtr.example.com".`)
	matching.ImportStateCheck = func(states []*terraform.InstanceState) error {
		if len(states) != 1 {
			return fmt.Errorf("%d resources were imported", len(states))
		}
		want := map[string]string{
			"id": host, "target_version": "2.6.8", "current_version": "2.6.8", "replica_versions.%": "3", "upgrade_path.#": "0",
		}
		for _, id := range cluster.ReplicaIDs() {
			want["replica_versions."+id] = "2.6.8"
		}
		delete(states[0].Attributes, "%") // how many attributes there are
		if diff := cmp.Diff(want, states[0].Attributes); diff != "" {
			return errors.New(diff)
		}
		return nil
	}
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{another, matching},
	})
}

// TestTerraformImportBlock adopts a cluster in a plan: as it is, and on the way to
// another version.
func TestTerraformImportBlock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target string
		more   []string
		checks resource.ConfigPlanChecks
	}{
		"as it is": {target: "2.6.8", checks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
			plancheck.ExpectResourceAction(resourceAddress, plancheck.ResourceActionNoop),
		}}},
		"with a setting": {target: "2.6.8", more: []string{`max_interruption = "30s"`}, checks: inPlace(planPath())},
		"upgraded": {target: "2.6.15", checks: inPlace(
			planPath(hop("2.6.8", "2.6.15", "patch-skip")),
		)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.8")
			inTerraform(t, resource.TestCase{
				Steps: []resource.TestStep{{
					Config: upgradeTo(c.more...) + `
						import {
						  to = dtr_upgrade.this
						  id = "dtr.example.com"
						}`,
					ConfigVariables:   variables(cluster, c.target),
					ConfigPlanChecks:  c.checks,
					ConfigStateChecks: []statecheck.StateCheck{stateKnows("current_version", c.target)},
				}},
			})
			runs(t, cluster, c.target)
		})
	}
}

// TestTerraformUnknown holds that what only an apply tells, of the provider or
// of the resource, does not stand in the way of a plan.
func TestTerraformUnknown(t *testing.T) {
	t.Parallel()
	later := func(of string) string {
		return `resource "terraform_data" "later" { input = ` + of + ` }` + "\n"
	}
	for name, c := range map[string]struct {
		text, replace, with string
	}{
		"provider's address":  {later("var.dtr_url"), "url      = var.dtr_url", "url      = terraform_data.later.output"},
		"provider's password": {later("var.password"), "password = var.password", "password = terraform_data.later.output"},
		"target version":      {later("var.target"), "target_version = var.target", "target_version = terraform_data.later.output"},
		"stops":               {later(`["2.6.15"]`), "target_version = var.target", "target_version = var.target\n via = terraform_data.later.output"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			text := regexp.MustCompile(regexp.QuoteMeta(c.replace)).ReplaceAllLiteralString(upgradeTo(), c.with)
			inTerraform(t, resource.TestCase{
				Steps: []resource.TestStep{{
					Config:          c.text + text,
					ConfigVariables: variables(cluster, "2.7.8"),
					ConfigPlanChecks: resource.ConfigPlanChecks{
						PreApply: []plancheck.PlanCheck{
							plancheck.ExpectUnknownValue(resourceAddress, attribute("upgrade_path")),
							plancheck.ExpectUnknownValue(resourceAddress, attribute("current_version")),
						},
						PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
					},
					ConfigStateChecks: []statecheck.StateCheck{
						stateKnows("current_version", "2.7.8"),
						statecheck.ExpectKnownValue(resourceAddress, attribute("upgrade_path"), knownvalue.ListExact([]knownvalue.Check{
							hop("2.6.15", "2.7.8", "minor-upgrade"),
						})),
					},
				}},
			})
		})
	}
}

// TestTerraformRefusedConnection holds that what no waiting mends is an error of the plan.
func TestTerraformRefusedConnection(t *testing.T) {
	t.Parallel()
	cluster, other := start(t, "2.6.8"), start(t, "2.6.8")
	with := func(name string, v config.Variable) config.Variables {
		all := variables(cluster, "2.6.15")
		all[name] = v
		return all
	}
	step := func(v config.Variables, text string) resource.TestStep {
		return resource.TestStep{Config: upgradeTo(), ConfigVariables: v, ExpectError: says(text), PlanOnly: true}
	}
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			step(with("password", config.StringVariable("wrong")), "refuses the user name or the password"),
			step(with("ca_cert", config.StringVariable(other.CACert())), "is not trusted"),
		},
	})
}

// TestTerraformFailures holds that a create that failed is a create again, and
// an update that failed an update.
func TestTerraformFailures(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	faults := func(f simulator.BootstrapperFaults) func() {
		return func() { cluster.SetBootstrapper(f) }
	}
	inTerraform(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(brief()),
		Steps: []resource.TestStep{
			{
				PreConfig: faults(simulator.BootstrapperFaults{DieAtReplica: 2}),
				Config:    upgradeTo(), ConfigVariables: variables(cluster, "2.6.15"),
				ExpectError: says("The DTR bootstrapper failed"),
			},
			{
				PreConfig: faults(simulator.BootstrapperFaults{}),
				Config:    upgradeTo(), ConfigVariables: variables(cluster, "2.6.15"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(resourceAddress, plancheck.ResourceActionCreate),
					planPath(hop("", "2.6.15", "minor-upgrade", "metadatastoremigration")),
				}},
			},
			{
				PreConfig: faults(simulator.BootstrapperFaults{DieAtReplica: 2}),
				Config:    upgradeTo(), ConfigVariables: variables(cluster, "2.7.8"),
				ExpectError: says("The DTR bootstrapper failed"),
			},
			{
				PreConfig: faults(simulator.BootstrapperFaults{}),
				Config:    upgradeTo(), ConfigVariables: variables(cluster, "2.7.8"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(resourceAddress, plancheck.ResourceActionUpdate),
					planPath(hop("2.6.15", "2.7.8", "minor-upgrade")),
				}},
				ConfigStateChecks: []statecheck.StateCheck{stateKnows("current_version", "2.7.8")},
			},
		},
	})
	wantBootstrapperRuns(t, cluster, 4)
}

// TestTerraformWithoutRefresh plans and applies with -refresh=false.
func TestTerraformWithoutRefresh(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	var mend func()
	unreachable := func() { mend = cluster.Inject(simulator.Fault{Reset: true}) }
	inTerraform(t, resource.TestCase{
		AdditionalCLIOptions: &resource.AdditionalCLIOptions{
			Plan: resource.PlanOptions{NoRefresh: true},
		},
		Steps: []resource.TestStep{
			{Config: upgradeTo(), ConfigVariables: variables(cluster, "2.6.15")},
			{ // the state alone refuses a downgrade
				PreConfig: unreachable,
				Config:    upgradeTo(), ConfigVariables: variables(cluster, "2.6.8"),
				ExpectError: says("The cluster runs 2.6.15 and target_version is 2.6.8"),
			},
			{
				PreConfig: func() { mend() },
				Config:    upgradeTo(), ConfigVariables: variables(cluster, "2.7.8"),
				ConfigPlanChecks: inPlace(planPath(hop("2.6.15", "2.7.8", "minor-upgrade"))),
			},
		},
	})
	runs(t, cluster, "2.7.8")
}
