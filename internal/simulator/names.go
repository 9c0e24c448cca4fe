package simulator

const (
	phase2Name      = "dtr-phase2"
	swarmConstraint = "com.docker.swarm.constraints"

	// labelRemoves, on phase 2, is this simulation's own: its DTR sees containers
	// alone, and the real second phase tells the database.
	labelRemoves = "com.docker.dtr.removes"
)
