resource "dtr_upgrade" "main" {
  target_version = "2.6.15"
}

resource "dtr_replica" "worker4" {
  node = "worker4"

  # A replica joins at the version that the cluster runs, and neither begins
  # beside the other.
  depends_on = [dtr_upgrade.main]

  lifecycle {
    create_before_destroy = true # another node: join there first, then remove this one
  }
}
