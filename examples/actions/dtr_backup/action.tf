variable "backup_url" {
  type      = string
  sensitive = true
  ephemeral = true # remove this line to run the action by hand on Terraform 1.16
}

# Run by hand with
#   terraform apply -invoke=action.dtr_backup.main
action "dtr_backup" "main" {
  config {
    file = "/tmp/dtr-backup.tar"

    upload = {
      url = var.backup_url
    }
  }
}
