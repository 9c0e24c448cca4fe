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

  lifecycle {
    action_trigger {
      events  = [after_update]
      actions = [action.dtr_job.garbage_collection]
    }
  }
}
