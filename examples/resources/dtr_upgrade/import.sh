# The id is DTR's external host, as its settings show it.
terraform import dtr_upgrade.main dtr.example.com
