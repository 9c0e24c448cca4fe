# Step 1 of 2: import the existing replicas, and join one on each of the new workers.
# DTR keeps serving. When the apply has succeeded, continue with step 2 in the same
# working directory.

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

data "dtr_cluster" "main" {}

locals {
  old_workers = ["worker1", "worker2", "worker3"]
  new_workers = ["worker4", "worker5", "worker6"]

  # The id of the replica on each node.
  ids = { for r in data.dtr_cluster.main.replicas : r.node => r.id }
}

import {
  for_each = toset(local.old_workers)
  to       = dtr_replica.old[each.key]
  id       = local.ids[each.key]
}

resource "dtr_replica" "old" {
  for_each = toset(local.old_workers)
  node     = each.key
}

# They join one after another, each once the one before it is verified.
resource "dtr_replica" "new" {
  for_each = toset(local.new_workers)
  node     = each.key
}

output "health" {
  value = { for r in concat(values(dtr_replica.old), values(dtr_replica.new)) : r.node => r.health }
}
