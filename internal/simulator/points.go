package simulator

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Points of a run that tests can hook into with [Cluster.At], [Cluster.Hold]
// and [Cluster.Reached]. Those of one replica are made by [ReplicaStarted] and
// [ReplicaReplaced].
const (
	// BootstrapperStarted: a container of an upgrade, a join or a removal has started and read its flags.
	BootstrapperStarted = "bootstrapper-started"
	// BootstrapperFinished: such a container is about to end, well or not.
	BootstrapperFinished = "bootstrapper-finished"
	// BootstrapperRemoved: the container of an upgrade has been removed, and who
	// asked for that is not answered yet.
	BootstrapperRemoved = "bootstrapper-removed"
	// BackupStarted: a backup container has started and read its flags.
	BackupStarted = "backup-started"
	// BackupHalfway: half of the archive is written.
	BackupHalfway = "backup-halfway"
	// BackupFinished: a backup container is about to end, well or not.
	BackupFinished = "backup-finished"
	// JoinStarted: the first container of a joining replica is about to be made.
	JoinStarted = "join-started"
	// RemoveStarted: the first container of a leaving replica is about to go.
	RemoveStarted = "remove-started"
	// MigrationStarted: an attempt at the metadata store migration is running.
	MigrationStarted = "migration-started"
	// MigrationFinished: an attempt did its work and is about to be called done.
	MigrationFinished = "migration-finished"
	// DatabaseUpdateStarted: a job that updates the vulnerability database is running.
	DatabaseUpdateStarted = "database-update-started"
	// JobStarted: a job that does nothing but sleep is running.
	JobStarted = "job-started"
	// ServiceUpdating: the update of a swarm service has begun, no task is
	// replaced yet.
	ServiceUpdating = "service-updating"
	// ServiceRollingBack: a swarm service has its old spec back, its tasks do not.
	ServiceRollingBack = "service-rolling-back"
)

// ReplicaStarted is the point before the first container of the k-th replica
// (from 1, in the order of [Cluster.ReplicaIDs]) is replaced. A replica that
// already runs the target is passed over without it.
func ReplicaStarted(k int) string { return fmt.Sprintf("replica-%d-started", k) }

// ReplicaReplaced is the point after the k-th replica became healthy at the
// target.
func ReplicaReplaced(k int) string { return fmt.Sprintf("replica-%d-replaced", k) }

// points holds what tests want to happen at the named points of a run.
type points struct {
	mu     sync.Mutex
	byName map[string]*point
}

type point struct {
	funcs   []func()
	held    []*hold
	reached chan struct{} // closed the first time
	times   int           // that it was reached
}

// hold makes who reaches a point wait there.
type hold struct {
	nth      int // the time that it is for; 0 is every time
	reached  chan struct{}
	released chan struct{}
}

func (p *points) get(name string) *point {
	if p.byName == nil {
		p.byName = map[string]*point{}
	}
	if p.byName[name] == nil {
		p.byName[name] = &point{reached: make(chan struct{})}
	}
	return p.byName[name]
}

// reach is called by the code that gets to a point. It runs the functions set
// for it, then waits for every hold to be released or ctx to be done.
func (p *points) reach(ctx context.Context, name string) {
	p.mu.Lock()
	pt := p.get(name)
	if pt.times++; pt.times == 1 {
		close(pt.reached)
	}
	funcs := pt.funcs
	var held []*hold
	for _, h := range pt.held {
		if h.nth == 0 || h.nth == pt.times {
			held = append(held, h)
		}
		if h.nth == pt.times {
			close(h.reached)
		}
	}
	p.mu.Unlock()

	for _, f := range funcs {
		f()
	}
	for _, h := range held {
		select {
		case <-h.released:
		case <-ctx.Done():
			return
		}
	}
}

// At has f called every time the point is reached, before the run goes on; with
// sync.OnceFunc only the first time, and not in the run that resumes. It is
// called by whoever got there, so the run waits for it.
func (c *Cluster) At(point string, f func()) {
	c.points.mu.Lock()
	defer c.points.mu.Unlock()
	pt := c.points.get(point)
	pt.funcs = append(slices.Clip(pt.funcs), f)
}

// Hold makes the run wait at the point until release is called.
func (c *Cluster) Hold(point string) (release func()) {
	_, release = c.HoldNth(point, 0)
	return release
}

// HoldNth makes the run wait where it reaches the point for the n-th time from the
// start, until release is called. It must not have been there yet.
func (c *Cluster) HoldNth(point string, n int) (reached <-chan struct{}, release func()) {
	c.points.mu.Lock()
	defer c.points.mu.Unlock()
	h := &hold{nth: n, reached: make(chan struct{}), released: make(chan struct{})}
	pt := c.points.get(point)
	pt.held = append(slices.Clip(pt.held), h)
	return h.reached, sync.OnceFunc(func() { close(h.released) })
}

// Reached is closed when the point is reached for the first time.
func (c *Cluster) Reached(point string) <-chan struct{} {
	c.points.mu.Lock()
	defer c.points.mu.Unlock()
	return c.points.get(point).reached
}
