data "dtr_jobs" "migrations" {
  action = "metadatastoremigration"
  limit  = 5
}

output "migrations" {
  value = { for j in data.dtr_jobs.migrations.jobs : j.id => j.phase }
}
