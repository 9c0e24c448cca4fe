# The bootstrapper runs on a Docker Engine of your choice, here over ssh, and not
# through UCP. The engine's host must reach UCP.

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

  docker = {
    host         = "ssh://operator@node1.example.com"
    network_mode = "host"
  }
}

resource "dtr_upgrade" "main" {
  target_version = "2.6.15"
}
