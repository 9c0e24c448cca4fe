# A backup of DTR's metadata is taken before the first hop, and the upgrade does not
# begin unless it is complete. The file is never overwritten, so its name says what
# it was taken for. It holds no image layers: back up the storage separately.

terraform {
  required_providers {
    dtr = {
      source = "dtr-upgrade/dtr"
    }
  }
}

variable "password" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "dtr" {
  url      = "https://dtr.example.com"
  username = "admin"
  password = var.password

  ucp = {
    url      = "https://ucp.example.com"
    username = "admin"
    password = var.password
  }
}

locals {
  target_version = "2.6.15"
}

resource "dtr_upgrade" "main" {
  target_version = local.target_version

  backup = {
    file = "/var/backups/dtr-before-${local.target_version}.tar"
  }
}
