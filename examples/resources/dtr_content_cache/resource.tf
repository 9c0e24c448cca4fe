resource "dtr_content_cache" "main" {
  name    = "region-asia"
  host    = "https://cache.example.com"
  version = dtr_upgrade.main.current_version

  # The swarm service dtr-cache_cache, as the vendor's stack file makes it.
  service = {}
}

resource "dtr_upgrade" "main" {
  target_version = "2.6.15"
}
