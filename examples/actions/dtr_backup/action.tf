variable "backup_url" {
  type      = string
  sensitive = true
  ephemeral = true
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
