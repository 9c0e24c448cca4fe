package simulator

import (
	"context"

	"github.com/moby/moby/api/types/swarm"
)

// rollOut brings the tasks of a service to its spec, one after another, in the
// background. The lock must be held.
func rollOut(w *swarmState, s *service) {
	s.rollouts++
	s.settled = make(chan struct{})
	r := rollout{swarm: w, engine: w.engine, s: s, number: s.rollouts, update: len(s.tasks) > 0}
	settled := s.settled
	w.engine.active.Go(func() {
		defer close(settled)
		r.run(w.engine.ctx)
	})
}

type rollout struct {
	swarm  *swarmState
	engine *engine
	s      *service
	number int
	update bool // and not the beginning of a service
}

// locked runs f with the lock held, unless a later rollout has taken over.
func (r *rollout) locked(f func()) (current bool) {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	if current = r.s.rollouts == r.number; current {
		f()
	}
	return current
}

func (r *rollout) run(ctx context.Context) {
	var config swarm.UpdateConfig
	var slots []int
	if !r.locked(func() {
		if c := r.s.spec.UpdateConfig; c != nil {
			config = *c
		}
		slots = r.outdatedSlots()
		if r.update && len(slots) > 0 {
			r.status(swarm.UpdateStateUpdating, "update in progress")
		}
	}) {
		return
	}
	if r.update && len(slots) > 0 {
		r.engine.reach(ctx, ServiceUpdating)
	}
	failed, ok := r.replace(ctx, slots, config)
	switch {
	case !ok || !r.update || len(slots) == 0:
	case failed == nil || config.FailureAction == swarm.UpdateFailureActionContinue:
		r.locked(func() { r.status(swarm.UpdateStateCompleted, "update completed") })
	case config.FailureAction == swarm.UpdateFailureActionRollback:
		r.rollBack(ctx, failed)
	default:
		r.locked(func() {
			r.status(swarm.UpdateStatePaused, "update paused due to failure or early termination of task "+failed.ID)
		})
	}
}

// rollBack restores the previous spec, and brings the tasks back to it.
func (r *rollout) rollBack(ctx context.Context, failed *task) {
	var config swarm.UpdateConfig
	var slots []int
	if !r.locked(func() {
		r.status(swarm.UpdateStateRollbackStarted, "update rolled back due to failure or early termination of task "+failed.ID)
		r.s.spec, r.s.previous = *r.s.previous, nil
		if c := r.s.spec.RollbackConfig; c != nil {
			config = *c
		}
		slots = r.outdatedSlots()
	}) {
		return
	}
	r.engine.reach(ctx, ServiceRollingBack)
	failed, ok := r.replace(ctx, slots, config)
	switch {
	case !ok:
	case failed != nil:
		r.locked(func() {
			r.status(swarm.UpdateStateRollbackPaused, "rollback paused due to failure or early termination of task "+failed.ID)
		})
	default:
		r.locked(func() { r.status(swarm.UpdateStateRollbackCompleted, "rollback completed") })
	}
}

// status records how far an update is. The lock must be held.
func (r *rollout) status(state swarm.UpdateState, message string) {
	now := r.engine.now()
	started := &now
	if r.s.status != nil {
		started = r.s.status.StartedAt
	}
	r.s.status = &swarm.UpdateStatus{State: state, StartedAt: started, Message: message}
	if state == swarm.UpdateStateCompleted || state == swarm.UpdateStateRollbackCompleted { // one that is paused is not
		r.s.status.CompletedAt = &now
	}
	r.s.version, r.s.updated = r.swarm.nextVersion(), now
}

// outdatedSlots lists the slots whose task is not of the spec, or does not run. The
// lock must be held.
func (r *rollout) outdatedSlots() []int {
	s := r.s
	replicas := 1
	switch mode := s.spec.Mode; {
	case mode.Replicated != nil && mode.Replicated.Replicas != nil:
		replicas = int(*mode.Replicated.Replicas)
	case mode.Global != nil:
		replicas = len(r.engine.nodes)
	}
	var slots []int
	for slot := 1; slot <= replicas; slot++ {
		if t := s.current(slot); t == nil || t.Spec.ContainerSpec.Image != s.spec.image() || r.swarm.observed(t).Status.State != swarm.TaskStateRunning {
			slots = append(slots, slot)
		}
	}
	return slots
}

// replace replaces the tasks of the slots. It stops at the first that fails,
// unless the failure action is to continue; ok is false when another rollout has
// taken over.
func (r *rollout) replace(ctx context.Context, slots []int, config swarm.UpdateConfig) (failed *task, ok bool) {
	for _, slot := range slots {
		var old []*task
		var next *task
		startFirst := config.Order == swarm.UpdateOrderStartFirst
		if !r.locked(func() {
			for _, t := range r.s.tasks {
				if t.Slot == slot && t.DesiredState == swarm.TaskStateRunning {
					old = append(old, t)
				}
			}
			if !startFirst {
				r.shutDown(old)
			}
			next = r.swarm.newTask(r.s, slot)
		}) {
			return nil, false
		}
		r.engine.changed()
		if r.engine.clock.Sleep(ctx, containerStartTime) != nil {
			return nil, false
		}
		if !r.locked(func() { r.swarm.startTask(r.s, next) }) {
			return nil, false
		}
		r.engine.changed()
		if r.engine.clock.Sleep(ctx, taskMonitorTime) != nil {
			return nil, false
		}
		if !r.locked(func() {
			if state := r.swarm.observed(next).Status.State; state != swarm.TaskStateRunning {
				// The swarm retries a failed task for as long as it is wanted.
				next.Status = r.swarm.observed(next).Status
				next.DesiredState = swarm.TaskStateShutdown
				r.swarm.newTask(r.s, slot)
				failed = next
			} else if startFirst {
				r.shutDown(old)
			}
		}) {
			return nil, false
		}
		r.engine.changed()
		if failed != nil && config.FailureAction != swarm.UpdateFailureActionContinue {
			return failed, true
		}
	}
	return failed, true
}

func (r *rollout) shutDown(tasks []*task) {
	for _, t := range tasks {
		r.swarm.shutDown(t)
	}
}

// addService creates a service and starts its tasks. The lock must be held.
func addService(w *swarmState, spec serviceSpec) *service {
	now := w.engine.now()
	s := &service{id: newID()[:25], version: w.nextVersion(), created: now, updated: now, spec: spec}
	w.services = append(w.services, s)
	rollOut(w, s)
	return s
}
