package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

const cacheAddressInState = "dtr_content_cache.this"

// cacheOf is a configuration of a cache, with what else is given.
func cacheOf(c *simulator.Cluster, more string) string {
	return fmt.Sprintf(`
	resource "dtr_content_cache" "this" {
	  name  = "main"
	  host  = %q
	  probe = { ca_cert = var.ca_cert }
	  %s
	}
`, c.CacheURL(), more)
}

// TestTerraformCacheWithUpgrade takes DTR and its cache through an upgrade in one apply, the
// cache after DTR.
func TestTerraformCacheWithUpgrade(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	cluster.AddCacheService(simulator.CacheService{Image: "docker/dtr-content-cache:2.5.6", Replicas: 2})
	config := terraformtest.RequiredProviders + upgradeTo() + cacheOf(cluster, `
	  version = dtr_upgrade.this.current_version
	  service = {}`)
	knows := func(version string) plancheck.PlanCheck {
		return plancheck.ExpectKnownValue(cacheAddressInState, attribute("current_version"), knownvalue.StringExact(version))
	}
	runsNow := func(version string) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(cacheAddressInState, attribute("current_version"), knownvalue.StringExact(version))
	}
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			{
				Config: config, ConfigVariables: variables(cluster, "2.5.6"),
				ConfigStateChecks: []statecheck.StateCheck{runsNow("2.5.6")},
			},
			{
				Config: config, ConfigVariables: variables(cluster, "2.6.15"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(cacheAddressInState, plancheck.ResourceActionUpdate), knows("2.6.15"),
				}},
				ConfigStateChecks: []statecheck.StateCheck{runsNow("2.6.15")},
			},
			{
				ResourceName: cacheAddressInState, ImportState: true, ImportStateId: "main", ImportStateVerify: true,
				ImportStateVerifyIgnore: []string{"version", "current_version", "service", "probe"},
				Config:                  config, ConfigVariables: variables(cluster, "2.6.15"),
			},
		},
		CheckDestroy: func(*terraform.State) error {
			if s := cluster.ServiceState(cacheService); len(s.Running) != 2 || s.Image != cacheAfter || len(cluster.Caches()) > 0 {
				return fmt.Errorf("service %+v, registered %+v", s, cluster.Caches())
			}
			return nil
		},
	})
	updates := sent(cluster, "POST", "/services/*/update")
	if len(updates) != 1 {
		t.Fatalf("%d updates of the service", len(updates))
	}
	for _, r := range cluster.Requests() {
		if r.Bootstrapper() && r.At.After(updates[0].At) {
			t.Errorf("the bootstrapper was still at work: %s %s", r.Method, r.Path)
		}
	}
}

// TestTerraformCacheVersionToCome creates upgrade and cache together, where the plan does not
// know the version yet.
func TestTerraformCacheVersionToCome(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	cluster.AddCacheContainer(cacheContainer, cacheBefore, "worker1")
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{{
			Config: upgradeTo() + `
	resource "terraform_data" "version" {
	  input = dtr_upgrade.this.current_version
	}
` + cacheOf(cluster, `
	  version   = terraform_data.version.output
	  container = {}`),
			ConfigVariables: variables(cluster, "2.6.15"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectUnknownValue(cacheAddressInState, attribute("current_version")),
			}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(cacheAddressInState, attribute("current_version"), knownvalue.StringExact("2.6.15")),
			},
		}},
	})
	if c := containerOfCache(t, cluster); c.Image != cacheAfter || !c.Running() {
		t.Errorf("%+v", c)
	}
}
