# Two clusters in one configuration. Each is upgraded by itself; the second begins
# when the first one is done.

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
  alias    = "staging"
  url      = "https://dtr.example.com"
  username = "admin"
  password = var.password

  ucp = {
    url      = "https://ucp.example.com"
    username = "admin"
    password = var.password
  }
}

provider "dtr" {
  alias    = "production"
  url      = "https://dtr.production.example.com"
  username = "admin"
  password = var.password

  ucp = {
    url      = "https://ucp.production.example.com"
    username = "admin"
    password = var.password
  }
}

resource "dtr_upgrade" "staging" {
  provider       = dtr.staging
  target_version = "2.6.15"
}

resource "dtr_upgrade" "production" {
  provider       = dtr.production
  target_version = "2.6.15"
  depends_on     = [dtr_upgrade.staging]
}
