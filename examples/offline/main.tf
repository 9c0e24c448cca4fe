# Nodes without a registry: the vendor's archives are loaded through UCP on every
# node. Each hop needs that of its version. The backup is taken by the version that
# runs, whose own image comes out of an archive, too.

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

resource "dtr_upgrade" "main" {
  target_version = "2.7.8"
  via            = ["2.6.15"]

  image = {
    pull = "never"
    archives = {
      "2.5.6"  = "dtr_images_2.5.6.tar.gz"
      "2.6.15" = "dtr_images_2.6.15.tar.gz"
      "2.7.8"  = "dtr_images_2.7.8.tar.gz"
    }
  }

  backup = {
    file = "/var/backups/dtr-before-2.7.8.tar"
  }
}
