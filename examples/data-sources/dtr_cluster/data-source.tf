data "dtr_cluster" "main" {}

output "replicas_to_look_after" {
  value = [for r in data.dtr_cluster.main.replicas : "${r.id} on ${r.node}" if !r.healthy]
}

output "migration" {
  value = data.dtr_cluster.main.migration.state
}
