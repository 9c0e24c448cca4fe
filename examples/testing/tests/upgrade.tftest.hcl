mock_provider "dtr" {
  mock_resource "dtr_upgrade" {
    defaults = {
      current_version = "2.7.8"
    }
  }
}

variables {
  target_version = "2.7.8"
}

run "stops_at_each_minor_version" {
  command = plan

  assert {
    condition     = length(dtr_upgrade.main.via) == 1 && startswith(dtr_upgrade.main.via[0], "2.6.")
    error_message = "The way to 2.7.8 does not stop at a version 2.6."
  }
}

run "names_the_backup_after_the_target" {
  command = plan

  assert {
    condition     = dtr_upgrade.main.backup.file == "dtr-before-2.7.8.tar"
    error_message = "The backup's name lacks the target version."
  }
}

run "refuses_a_downgrade" {
  command = plan

  variables {
    target_version = "2.4.14"
  }

  expect_failures = [var.target_version]
}

run "gives_out_the_version_that_runs" {
  assert {
    condition     = output.version == "2.7.8"
    error_message = "The output is not the version that runs."
  }
}
