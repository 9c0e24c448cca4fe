# The id is the replica's own, as DTR's settings list it.
terraform import dtr_replica.worker4 0123456789ab
