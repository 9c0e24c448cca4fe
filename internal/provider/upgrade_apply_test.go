package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

const resourceAddress = "dtr_upgrade.this"

// hop is an element of upgrade_path. What is "" is unknown.
func hop(from, to, rule string, jobs ...string) knownvalue.Check {
	migrations := make([]knownvalue.Check, len(jobs))
	for i, j := range jobs {
		migrations[i] = knownvalue.StringExact(j)
	}
	fields := map[string]knownvalue.Check{"migration_jobs": knownvalue.ListExact(migrations)}
	for name, text := range map[string]string{"from": from, "to": to, "rule": rule} {
		if text != "" {
			fields[name] = knownvalue.StringExact(text)
		}
	}
	return knownvalue.ObjectExact(fields)
}

func attribute(name string) tfjsonpath.Path { return tfjsonpath.New(name) }

func TestTerraformUpgrade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to string
		via      string
		path     []knownvalue.Check
		planned  knownvalue.Check // the first hop, before the apply
		runs     int64
		jobs     int64
	}{
		"patch": {from: "2.6.8", to: "2.6.15", runs: 1, planned: hop("", "2.6.15", ""), path: []knownvalue.Check{hop("2.6.8", "2.6.15", "patch-skip")}},
		"minor": {from: "2.5.6", to: "2.6.15", runs: 1, jobs: 1, planned: hop("", "2.6.15", "minor-upgrade", "metadatastoremigration"), path: []knownvalue.Check{
			hop("2.5.6", "2.6.15", "minor-upgrade", "metadatastoremigration"),
		}},
		"major": {from: "1.4.3", to: "2.0.0", runs: 1, planned: hop("", "2.0.0", "major-upgrade"), path: []knownvalue.Check{hop("1.4.3", "2.0.0", "major-upgrade")}},
		"two hops": {from: "2.5.6", to: "2.7.8", via: `via = ["2.6.15"]`, runs: 2, jobs: 1, planned: hop("", "2.6.15", "minor-upgrade", "metadatastoremigration"), path: []knownvalue.Check{
			hop("2.5.6", "2.6.15", "minor-upgrade", "metadatastoremigration"), hop("2.6.15", "2.7.8", "minor-upgrade"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, c.from)
			inTerraform(t, resource.TestCase{
				Steps: []resource.TestStep{{
					Config:          upgradeTo(c.via),
					ConfigVariables: variables(cluster, c.to),
					ConfigPlanChecks: resource.ConfigPlanChecks{
						PreApply: []plancheck.PlanCheck{
							plancheck.ExpectResourceAction(resourceAddress, plancheck.ResourceActionCreate),
							plancheck.ExpectKnownValue(resourceAddress, attribute("upgrade_path"), knownvalue.ListExact(append([]knownvalue.Check{c.planned}, c.path[1:]...))),
							plancheck.ExpectKnownValue(resourceAddress, attribute("current_version"), knownvalue.StringExact(c.to)),
							plancheck.ExpectUnknownValue(resourceAddress, attribute("last_upgrade")),
						},
						PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
					},
					ConfigStateChecks: []statecheck.StateCheck{
						statecheck.ExpectKnownValue(resourceAddress, attribute("id"), knownvalue.StringExact(host)),
						statecheck.ExpectKnownValue(resourceAddress, attribute("current_version"), knownvalue.StringExact(c.to)),
						statecheck.ExpectKnownValue(resourceAddress, attribute("replica_versions"), knownvalue.MapSizeExact(3)),
						statecheck.ExpectKnownValue(resourceAddress, attribute("upgrade_path"), knownvalue.ListExact(c.path)),
						statecheck.ExpectKnownValue(resourceAddress, attribute("last_upgrade"), knownvalue.ObjectPartial(map[string]knownvalue.Check{
							"from":               knownvalue.StringExact(c.from),
							"to":                 knownvalue.StringExact(c.to),
							"hops":               knownvalue.Int64Exact(int64(len(c.path))),
							"bootstrapper_runs":  knownvalue.Int64Exact(c.runs),
							"migration_attempts": knownvalue.Int64Exact(c.jobs),
						})),
					},
				}},
			})
			runs(t, cluster, c.to)
		})
	}
}
