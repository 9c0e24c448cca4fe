# The backup is sent to an object store as well, and the upgrade does not begin before
# it is there. The URL is pre-signed for PUT, by whatever runs Terraform.

terraform {
  required_version = ">= 1.11" # which does not store backup.upload

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

variable "backup_url" {
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
  target_version = "2.6.15"

  backup = {
    file = "/tmp/dtr-before-2.6.15.tar"

    upload = {
      url = var.backup_url
    }
  }
}
