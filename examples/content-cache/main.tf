# DTR and its content caches in one apply: each cache is brought to DTR's version
# right after DTR itself.

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
  target_version = "2.6.15"
}

# A stack dtr-cache with the service cache. How its tasks are replaced is set by the
# service's update_config.
resource "dtr_content_cache" "swarm" {
  name    = "region-asia"
  host    = "https://cache-asia.example.com"
  version = dtr_upgrade.main.current_version
  service = {}

  probe = {
    ca_cert = file("ucp-ca.pem")
  }
}

# A standalone container, which cannot be reached from where Terraform runs.
resource "dtr_content_cache" "container" {
  name    = "region-europe"
  host    = "https://cache-europe.example.com:8443"
  version = dtr_upgrade.main.current_version

  container = {
    node = "worker3"
  }

  probe = {
    enabled = false
  }
}

# Deployed elsewhere: only the registration is managed.
resource "dtr_content_cache" "elsewhere" {
  name = "region-america"
  host = "https://cache-america.example.com"
}
