package simulator

import "time"

// How long things take on a real cluster. Every use goes through a clock, which
// divides them by the speed of the simulation.
const (
	containerStartTime = 600 * time.Millisecond
	containerStopTime  = 200 * time.Millisecond
	imagePullTime      = 1 * time.Second
	nginxHealthTime    = 3 * time.Second // until the health check of a started nginx says healthy
	taskMonitorTime    = 5 * time.Second // until a task that runs counts as updated
	pollInterval       = 500 * time.Millisecond

	healthPeriod     = 5 * time.Second  // each replica refreshes its health report this often
	healthStaleAfter = 60 * time.Second // and is called unhealthy when it has not for this long
	frozenAge        = 10 * time.Minute // age that the report of a frozen replica shows at once, not scaled

	jobClaimTime       = 1 * time.Second // until a worker claims a waiting job
	migrationStartTime = 2 * time.Second // from the end of the upgrade to the migration job
	migrationTime      = 20 * time.Second
	sleepJobTime       = 60 * time.Second
	otherJobTime       = 5 * time.Second
)
