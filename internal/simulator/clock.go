package simulator

import (
	"context"
	"time"
)

// How long things take on a real cluster. Every use goes through clock, which
// divides them by the speed of the simulation.
const (
	containerStartTime = 600 * time.Millisecond
	containerStopTime  = 200 * time.Millisecond
	imagePullTime      = 1 * time.Second
	nginxHealthTime    = 3 * time.Second // until the health check of a started nginx says healthy
	taskMonitorTime    = 5 * time.Second // until a task that runs counts as updated
	databaseSettleTime = 2 * time.Second // "Waiting for database to stabilize"
	pollInterval       = 500 * time.Millisecond

	healthPeriod     = 5 * time.Second  // each replica refreshes its health report this often
	healthStaleAfter = 60 * time.Second // and is called unhealthy when it has not for this long
	frozenAge        = 10 * time.Minute // age that the report of a frozen replica shows at once, not scaled

	databaseLimit = 600 * time.Second // how long the bootstrapper waits for a database, or a replica, to be well

	jobClaimTime       = 1 * time.Second // until a worker claims a waiting job
	migrationStartTime = 2 * time.Second // from the end of the upgrade to the migration job
	migrationTime      = 20 * time.Second
	sleepJobTime       = 60 * time.Second
	otherJobTime       = 5 * time.Second
)

// clock is the speed of the simulation: 1 as on a real cluster, 2000 for tests.
type clock float64

func (c clock) scale(d time.Duration) time.Duration {
	return time.Duration(float64(d) / float64(c))
}

// sleep waits for d of simulated time, or until ctx is done. What is shorter
// than a millisecond is no wait at all: a timer does not keep it, and dozens
// of them would make up most of a test's rollout.
func (c clock) sleep(ctx context.Context, d time.Duration) error {
	if c.scale(d) < time.Millisecond {
		return ctx.Err()
	}
	return wait(ctx, c.scale(d))
}

// pause is sleep for loops that look again and again: never no wait at all.
func (c clock) pause(ctx context.Context, d time.Duration) error {
	return wait(ctx, max(c.scale(d), time.Millisecond))
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
