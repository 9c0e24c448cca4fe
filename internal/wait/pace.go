// Package wait holds what every wait on a cluster has in common: the pauses
// between two looks, how long an outage is tolerated, and the steps of a run.
//
// It knows nothing of what is waited for. It must not import any package of this
// project but the clients, whose errors tell an outage from a refusal.
package wait

import "time"

// Pace is how often a run polls, and how long it tolerates each condition.
// Fields that are zero take the value of DefaultPace.
type Pace struct {
	// Poll is the longest pause between two looks at the cluster. The first
	// pauses are shorter, so that short waits end quickly.
	Poll time.Duration
	// Probe is the pause between two availability probes, and the time that one
	// may take.
	Probe time.Duration
	// Consistent is how long UCP's inventory may lag behind a bootstrapper that
	// has ended.
	Consistent time.Duration
	// Healthy is how long replicas may take to report good health once their
	// containers run the target.
	Healthy time.Duration
	// Steady is how long every container must have been up for the cluster to count as
	// whole: one that is started again within that time is not believed.
	Steady time.Duration
	// MigrationStart is how long DTR may take to start its migration job, and to
	// start the next attempt at a job that failed.
	MigrationStart time.Duration
	// CacheAnswer is how long a content cache may take to answer once it runs.
	CacheAnswer time.Duration
	// Outage is how long DTR, UCP or the engine may be out of reach while a run
	// waits for them.
	Outage time.Duration
}

// DefaultPace suits real clusters. Healthy follows the bootstrapper's own limit
// for the database, 600 seconds.
var DefaultPace = Pace{
	Poll:           5 * time.Second,
	Probe:          500 * time.Millisecond,
	Consistent:     30 * time.Second,
	Healthy:        12 * time.Minute,
	Steady:         15 * time.Second,
	MigrationStart: 5 * time.Minute,
	CacheAnswer:    2 * time.Minute,
	Outage:         10 * time.Minute,
}

// OrDefault fills in the fields that are zero.
func (p Pace) OrDefault() Pace {
	for _, f := range []struct{ value, fallback *time.Duration }{
		{&p.Poll, &DefaultPace.Poll},
		{&p.Probe, &DefaultPace.Probe},
		{&p.Consistent, &DefaultPace.Consistent},
		{&p.Healthy, &DefaultPace.Healthy},
		{&p.Steady, &DefaultPace.Steady},
		{&p.MigrationStart, &DefaultPace.MigrationStart},
		{&p.CacheAnswer, &DefaultPace.CacheAnswer},
		{&p.Outage, &DefaultPace.Outage},
	} {
		if *f.value == 0 {
			*f.value = *f.fallback
		}
	}
	return p
}
