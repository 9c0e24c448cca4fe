# Step 2 of 2: without dtr_replica.old in the configuration, the old replicas are
# removed, one after another, and only while all that stay are healthy.

terraform {
  required_providers {
    dtr = {
      source = "dtr-upgrade/dtr"
    }
  }
}

variable "dtr_password" {
  type      = string
  sensitive = true
  ephemeral = true
}

variable "ucp_password" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "dtr" {
  url      = "https://dtr.example.com"
  username = "admin"
  password = var.dtr_password
  ca_cert  = file("dtr-ca.pem")

  ucp = {
    url      = "https://ucp.example.com"
    username = "admin"
    password = var.ucp_password
    ca_cert  = file("ucp-ca.pem")
  }
}

locals {
  new_workers = ["worker4", "worker5", "worker6"]
}

resource "dtr_replica" "new" {
  for_each = toset(local.new_workers)
  node     = each.key
}

output "health" {
  value = { for r in dtr_replica.new : r.node => r.health }
}
