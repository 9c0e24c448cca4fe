# Run after each upgrade, and by hand with
#   terraform apply -invoke=action.dtr_job.garbage_collection
action "dtr_job" "garbage_collection" {
  config {
    action = "onlinegc"
    timeouts = {
      invoke = "2h"
    }
  }
}

resource "dtr_upgrade" "main" {
  target_version = "2.6.15"
}

# It changes with the version alone: a trigger in dtr_upgrade itself would also run
# after a change of its other attributes, and not after an upgrade by a create.
resource "terraform_data" "upgraded" {
  input = dtr_upgrade.main.current_version

  lifecycle {
    action_trigger {
      events  = [after_create, after_update]
      actions = [action.dtr_job.garbage_collection]
    }
  }
}
