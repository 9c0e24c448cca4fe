# An upgrade that begins on Saturday nights only: an apply that is started earlier
# waits, and each of its two hops begins while the window is open.

terraform {
  required_providers {
    dtr = {
      source = "dtr-upgrade/dtr"
    }
  }
}

variable "dtr_password" {
  description = "Password of a DTR administrator."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "ucp_password" {
  description = "Password of a UCP administrator."
  type        = string
  sensitive   = true
  ephemeral   = true
}

provider "dtr" {
  url      = "https://dtr.example.com"
  username = "admin"
  password = var.dtr_password

  ucp = {
    url      = "https://ucp.example.com"
    username = "admin"
    password = var.ucp_password
  }
}

resource "dtr_upgrade" "main" {
  target_version = "2.7.8"
  via            = ["2.6.15"]

  maintenance_window = {
    schedule = "0 22 * * 6" # minute, hour, day of month, month, day of week
    duration = "6h"
    timezone = "Europe/Berlin"
    wait     = true
  }

  # The wait counts: long enough to start the run on a Saturday morning.
  timeouts = {
    create = "24h"
    update = "24h"
  }
}
