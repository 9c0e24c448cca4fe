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

# The bootstrapper runs through UCP's own Docker API: no engine is needed here.
provider "dtr" {
  url      = "https://dtr.example.com"
  username = "admin"
  password = var.dtr_password # or an access token

  ucp = {
    url      = "https://ucp.example.com"
    username = "admin"
    password = var.ucp_password
  }
}
