# What a plan may do with a registry: one hop at a time, and none that migrates data
# without a backup. A plan that does not know its hops is denied.
package terraform.policies.dtr

import rego.v1

# HCP Terraform puts the plan beside the run; `terraform show -json` gives the plan alone.
plan := object.get(input, "plan", input)

upgrades contains change if {
	some change in plan.resource_changes
	change.type == "dtr_upgrade"
	some action in change.change.actions
	action in {"create", "update"} # in "no-op" the path is that of the last apply
}

deny contains message if {
	some upgrade in upgrades
	not is_array(object.get(upgrade.change.after, "upgrade_path", null)) # what is unknown is not in "after"
	message := sprintf("%s: cannot be judged: the plan does not know the hops; plan again with known versions and access to the cluster", [upgrade.address])
}

deny contains message if {
	some upgrade in upgrades
	some hop in upgrade.change.after.upgrade_path
	hop.rule in {"minor-upgrade", "major-upgrade"}
	not is_object(object.get(upgrade.change.after, "backup", null)) # it may be unknown, and none at the apply
	message := sprintf("%s: the %s to %s needs a backup", [upgrade.address, hop.rule, hop.to])
}

deny contains message if {
	some upgrade in upgrades
	hops := count(upgrade.change.after.upgrade_path)
	hops > 1
	message := sprintf("%s: %d hops in one run; plan one at a time", [upgrade.address, hops])
}
