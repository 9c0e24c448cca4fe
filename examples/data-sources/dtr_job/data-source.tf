data "dtr_jobs" "latest" {
  action = "metadatastoremigration"
  limit  = 1
}

data "dtr_job" "latest" {
  for_each = toset(data.dtr_jobs.latest.jobs[*].id)

  id        = each.key
  log_lines = 20
}

output "logs" {
  value = { for id, j in data.dtr_job.latest : id => j.log }
}
