package simulator

import (
	"context"
	"slices"
	"sync"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// Points of a run that tests can hook into with [Cluster.At], [Cluster.Hold]
// and [Cluster.Reached].
const (
	BootstrapperStarted  = standin.Started
	BootstrapperFinished = standin.Finished
	// BootstrapperRemoved: the container of an upgrade has been removed, and the
	// request to remove it is not answered yet.
	BootstrapperRemoved = "bootstrapper-removed"
	BackupStarted       = standin.BackupStarted
	BackupHalfway       = standin.BackupHalfway
	BackupFinished      = standin.BackupFinished
	JoinStarted         = standin.JoinStarted
	RemoveStarted       = standin.RemoveStarted
	// MigrationStarted: an attempt at the metadata store migration is running.
	MigrationStarted = "migration-started"
	// MigrationFinished: an attempt did its work and is about to be marked as done.
	MigrationFinished = "migration-finished"
	// DatabaseUpdateStarted: a job that updates the vulnerability database is running.
	DatabaseUpdateStarted = "database-update-started"
	// JobStarted: a job that does nothing but sleep is running.
	JobStarted = "job-started"
	// ServiceUpdating: the update of a swarm service has begun, no task is
	// replaced yet.
	ServiceUpdating = "service-updating"
	// ServiceRollingBack: a swarm service has its old spec back, its tasks not yet.
	ServiceRollingBack = "service-rolling-back"
)

// ReplicaStarted is the point [standin.ReplicaStarted].
func ReplicaStarted(k int) string { return standin.ReplicaStarted(k) }

// ReplicaReplaced is the point [standin.ReplicaReplaced].
func ReplicaReplaced(k int) string { return standin.ReplicaReplaced(k) }

// points holds what tests do at the named points of a run.
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

// hold blocks the run at a point.
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

// At calls f every time the point is reached, and the run waits until f returns. Use
// sync.OnceFunc to leave out a run that resumes.
func (p *points) At(point string, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pt := p.get(point)
	pt.funcs = append(slices.Clip(pt.funcs), f)
}

// Hold makes the run wait at the point until release is called.
func (p *points) Hold(point string) (release func()) {
	_, release = p.HoldNth(point, 0)
	return release
}

// HoldNth makes the run wait where it reaches the point for the n-th time from the
// start, until release is called. It must not have been there yet.
func (p *points) HoldNth(point string, n int) (reached <-chan struct{}, release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := &hold{nth: n, reached: make(chan struct{}), released: make(chan struct{})}
	pt := p.get(point)
	pt.held = append(slices.Clip(pt.held), h)
	return h.reached, sync.OnceFunc(func() { close(h.released) })
}

// Reached is closed when the point is reached for the first time.
func (p *points) Reached(point string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.get(point).reached
}
