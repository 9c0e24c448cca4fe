terraform {
  required_providers {
    dtr = {
      source = "dtr-upgrade/dtr"
    }
  }
}

variable "target_version" {
  type    = string
  default = "2.6.15"

  validation {
    condition     = can(provider::dtr::upgrade_path("2.5.6", var.target_version))
    error_message = "The cluster was adopted at 2.5.6, and no upgrade goes from there to this version."
  }
}

locals {
  versions = provider::dtr::upgrade_path("2.5.6", var.target_version)
}

resource "dtr_upgrade" "main" {
  target_version = var.target_version
  via            = slice(local.versions, 0, length(local.versions) - 1)

  backup = {
    file = "dtr-before-${var.target_version}.tar"
  }
}

output "version" {
  value = dtr_upgrade.main.current_version
}
