# The releases that the provider knows; no network is needed.
data "dtr_releases" "line" {
  line = "2.6"
}

# The ones that a mirror has.
data "dtr_releases" "mirror" {
  line       = "2.6"
  repository = "registry.example.com/mirror/dtr"
  ca_cert    = file("registry-ca.pem")
}

output "missing_on_the_mirror" {
  value = setsubtract(data.dtr_releases.line.versions, data.dtr_releases.mirror.available)
}
