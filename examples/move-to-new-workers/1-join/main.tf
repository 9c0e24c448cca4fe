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

locals {
  # The node and the id of each replica, as the data source dtr_cluster lists them.
  old_replicas = {
    worker1 = "2cbdae79f078"
    worker2 = "2ed10325e638"
    worker3 = "50e3b0c25733"
  }
  new_workers = ["worker4", "worker5", "worker6"]
}

import {
  for_each = local.old_replicas
  to       = dtr_replica.old[each.key]
  id       = each.value
}

resource "dtr_replica" "old" {
  for_each = local.old_replicas
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
