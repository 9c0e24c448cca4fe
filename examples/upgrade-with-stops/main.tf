# From 2.5 to 2.7: minor versions cannot be skipped, so the upgrade makes a stop
# at 2.6 and waits there for the metadata store migration.

terraform {
  required_providers {
    dtr = {
      source = "dtr-upgrade/dtr"
    }
  }
}

variable "dtr_token" {
  description = "Access token of a DTR administrator."
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
  password = var.dtr_token

  ucp = {
    url      = "https://ucp.example.com"
    username = "admin"
    password = var.ucp_password
  }
}

resource "dtr_upgrade" "main" {
  target_version   = "2.7.8"
  via              = ["2.6.15"]
  max_interruption = "10s"

  image = {
    repository = "registry.example.com/mirror/dtr"
  }

  migration = {
    retriggers = 2
  }

  timeouts = {
    create = "12h"
    update = "12h"
  }
}

output "interruption" {
  description = "Longest interruption of the last upgrade, in milliseconds."
  value       = try(dtr_upgrade.main.last_upgrade.longest_interruption_ms, null)
}
