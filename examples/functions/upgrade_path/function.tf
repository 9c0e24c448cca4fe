# ["2.6.15", "2.7.8"]
output "stops" {
  value = provider::dtr::upgrade_path("2.5.6", "2.7.8")
}
