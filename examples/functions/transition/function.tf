locals {
  step = provider::dtr::transition("2.5.6", "2.7.8")
}

# minor-skip: Minor versions are upgraded one at a time; none can be skipped.
output "step" {
  value = "${local.step.rule}: ${local.step.summary}"
}
