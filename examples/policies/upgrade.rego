# What a plan may do with a registry: one hop at a time, and none that migrates data
# without a backup.
package terraform.policies.dtr

import rego.v1

# HCP Terraform puts the plan beside the run; `terraform show -json` gives the plan alone.
plan := object.get(input, "plan", input)

upgrades contains change if {
	some change in plan.resource_changes
	change.type == "dtr_upgrade"
	change.change.after != null # a destroy only forgets
}

deny contains message if {
	some upgrade in upgrades
	some hop in upgrade.change.after.upgrade_path
	hop.rule in {"minor-upgrade", "major-upgrade"}
	not upgrade.change.after.backup.file
	message := sprintf("%s: the %s to %s needs a backup", [upgrade.address, hop.rule, hop.to])
}

deny contains message if {
	some upgrade in upgrades
	hops := count(upgrade.change.after.upgrade_path)
	hops > 1
	message := sprintf("%s: %d hops in one run; plan one at a time", [upgrade.address, hops])
}
