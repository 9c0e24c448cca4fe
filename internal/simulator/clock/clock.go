// Package clock is the simulation's time: durations are given as they are on a
// real cluster, and divided by the speed of the simulation.
package clock

import (
	"context"
	"time"
)

// Clock is the speed of a simulation: 1 as on a real cluster, 2000 for tests.
type Clock float64

// Scale returns how much real time d of simulated time takes.
func (c Clock) Scale(d time.Duration) time.Duration {
	return time.Duration(float64(d) / float64(c))
}

// Sleep waits for d of simulated time, or until ctx is done. Less than a
// millisecond of real time is not waited for at all: a timer does not keep it,
// and dozens of them would make up most of a test's rollout.
func (c Clock) Sleep(ctx context.Context, d time.Duration) error {
	if c.Scale(d) < time.Millisecond {
		return ctx.Err()
	}
	return wait(ctx, c.Scale(d))
}

// Pause is Sleep for polling loops: it waits a millisecond at least.
func (c Clock) Pause(ctx context.Context, d time.Duration) error {
	return wait(ctx, max(c.Scale(d), time.Millisecond))
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
