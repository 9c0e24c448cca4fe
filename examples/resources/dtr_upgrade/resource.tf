resource "dtr_upgrade" "main" {
  target_version = "2.6.15"
}
