# What the provider knows; no network is asked.
data "dtr_releases" "line" {
  line = "2.6"
}

# What a mirror has of it.
data "dtr_releases" "mirror" {
  line       = "2.6"
  repository = "registry.example.com/mirror/dtr"
  ca_cert    = file("registry-ca.pem")
}

output "missing_on_the_mirror" {
  value = setsubtract(data.dtr_releases.line.versions, data.dtr_releases.mirror.available)
}
