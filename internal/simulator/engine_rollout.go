package simulator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// rollOut brings the tasks of a service to its spec, one after another, in the
// background. The lock must be held.
func (e *engine) rollOut(s *service) {
	s.rollout++
	s.settled = make(chan struct{})
	r := rollout{e: e, s: s, number: s.rollout, update: len(s.tasks) > 0}
	settled := s.settled
	e.active.Go(func() {
		defer close(settled)
		r.run(e.ctx)
	})
}

type rollout struct {
	e      *engine
	s      *service
	number int
	update bool // and not the beginning of a service
}

// locked runs f under the lock, unless a later rollout has taken over.
func (r *rollout) locked(f func()) (current bool) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	if current = r.s.rollout == r.number; current {
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
		slots = r.s.dirty(r.e)
		if r.update && len(slots) > 0 {
			r.status(swarm.UpdateStateUpdating, "update in progress")
		}
	}) {
		return
	}
	if r.update && len(slots) > 0 {
		r.e.reach(ctx, ServiceUpdating)
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

// rollBack goes back to the spec before, if there is one.
func (r *rollout) rollBack(ctx context.Context, failed *task) {
	var config swarm.UpdateConfig
	var slots []int
	if !r.locked(func() {
		r.status(swarm.UpdateStateRollbackStarted, "update rolled back due to failure or early termination of task "+failed.ID)
		r.s.spec, r.s.previous = *r.s.previous, nil
		if c := r.s.spec.RollbackConfig; c != nil {
			config = *c
		}
		slots = r.s.dirty(r.e)
	}) {
		return
	}
	r.e.reach(ctx, ServiceRollingBack)
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

// status notes how far an update is. The lock must be held.
func (r *rollout) status(state swarm.UpdateState, message string) {
	now := time.Now().UTC()
	started := &now
	if r.s.status != nil {
		started = r.s.status.StartedAt
	}
	r.s.status = &swarm.UpdateStatus{State: state, StartedAt: started, Message: message}
	if state == swarm.UpdateStateCompleted || state == swarm.UpdateStateRollbackCompleted { // one that is paused is not
		r.s.status.CompletedAt = &now
	}
	r.s.version, r.s.updated = r.e.nextVersion(), now
}

// dirty lists the slots whose task is not of the spec, or does not run. The lock
// must be held.
func (s *service) dirty(e *engine) []int {
	replicas := 1
	switch mode := s.spec.Mode; {
	case mode.Replicated != nil && mode.Replicated.Replicas != nil:
		replicas = int(*mode.Replicated.Replicas)
	case mode.Global != nil:
		replicas = len(e.nodes)
	}
	var slots []int
	for slot := 1; slot <= replicas; slot++ {
		if t := s.current(slot); t == nil || t.Spec.ContainerSpec.Image != s.spec.image() || e.observed(t).Status.State != swarm.TaskStateRunning {
			slots = append(slots, slot)
		}
	}
	return slots
}

// current is the newest task of a slot that is to run. The lock must be held.
func (s *service) current(slot int) *task {
	for _, t := range slices.Backward(s.tasks) {
		if t.Slot == slot && t.DesiredState == swarm.TaskStateRunning {
			return t
		}
	}
	return nil
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
			next = r.e.newTask(r.s, slot)
		}) {
			return nil, false
		}
		r.e.changed()
		if r.e.clock.Sleep(ctx, containerStartTime) != nil {
			return nil, false
		}
		if !r.locked(func() { r.e.startTask(r.s, next) }) {
			return nil, false
		}
		r.e.changed()
		if r.e.clock.Sleep(ctx, taskMonitorTime) != nil {
			return nil, false
		}
		if !r.locked(func() {
			if state := r.e.observed(next).Status.State; state != swarm.TaskStateRunning {
				// What failed is tried again, for as long as somebody lets it.
				next.Status = r.e.observed(next).Status
				next.DesiredState = swarm.TaskStateShutdown
				r.e.newTask(r.s, slot)
				failed = next
			} else if startFirst {
				r.shutDown(old)
			}
		}) {
			return nil, false
		}
		r.e.changed()
		if failed != nil && config.FailureAction != swarm.UpdateFailureActionContinue {
			return failed, true
		}
	}
	return failed, true
}

func (r *rollout) shutDown(tasks []*task) {
	for _, t := range tasks {
		r.e.shutDown(t)
	}
}

// newTask makes a task that is not placed yet. The lock must be held.
func (e *engine) newTask(s *service, slot int) *task {
	now := time.Now().UTC()
	t := &task{Task: swarm.Task{
		ID: newID()[:25], ServiceID: s.id, Slot: slot, Spec: s.spec.TaskTemplate,
		Meta:         swarm.Meta{Version: swarm.Version{Index: e.nextVersion()}, CreatedAt: now, UpdatedAt: now},
		DesiredState: swarm.TaskStateRunning,
		Status:       swarm.TaskStatus{Timestamp: now, State: swarm.TaskStatePending, Message: "pending task scheduling"},
	}}
	s.tasks = append(s.tasks, t)
	return t
}

// startTask places a task, has its node get the image, and starts its container.
// The lock must be held.
func (e *engine) startTask(s *service, t *task) {
	end := func(state swarm.TaskState, text string) {
		t.Status = swarm.TaskStatus{Timestamp: time.Now().UTC(), State: state, Message: string(state), Err: text}
	}
	i := slices.IndexFunc(e.nodes, func(n *node) bool { return !n.down && !n.manager && n.taskFits(t.Spec) })
	if i < 0 {
		end(swarm.TaskStatePending, "no suitable node (scheduling constraints not satisfied)")
		return
	}
	n := e.nodes[i]
	t.NodeID = n.id
	ref, _, _ := strings.Cut(t.Spec.ContainerSpec.Image, "@")
	if _, ok := n.images[release.NormalRef(ref)]; !ok {
		digest, found := e.registry.digest(ref)
		if !found {
			end(swarm.TaskStateRejected, "No such image: "+ref)
			return
		}
		e.addImage(n, ref, digest)
	}
	labels := map[string]string{
		"com.docker.swarm.service.name": s.spec.Name, "com.docker.swarm.service.id": s.id, "com.docker.swarm.task.id": t.ID,
	}
	maps.Copy(labels, t.Spec.ContainerSpec.Labels)
	t.container = e.add(n, fmt.Sprintf("%s.%d.%s", s.spec.Name, t.Slot, t.ID), &container.Config{
		Image: ref, Env: t.Spec.ContainerSpec.Env, Cmd: t.Spec.ContainerSpec.Args, Labels: labels,
	}, &container.HostConfig{})
	e.run(t.container)
	end(swarm.TaskStateRunning, "")
}

// taskFits applies the constraints that name a node.
func (n *node) taskFits(spec swarm.TaskSpec) bool {
	if spec.Placement == nil {
		return true
	}
	return !slices.ContainsFunc(spec.Placement.Constraints, func(c string) bool {
		name, is := strings.CutPrefix(strings.ReplaceAll(c, " ", ""), "node.hostname==")
		return is && name != n.name
	})
}

// shutDown ends a task and removes its container. The lock must be held.
func (e *engine) shutDown(t *task) {
	t.DesiredState = swarm.TaskStateShutdown
	if t.container == nil {
		return
	}
	if t.container.state == container.StateRunning {
		e.end(t.container, statusTerminated)
		t.Status.State, t.Status.Message = swarm.TaskStateShutdown, "shutdown"
	}
	if _, there := e.containers[t.container.id]; there {
		e.delete(t.container)
	}
}

// observed is a task with the state of its container. The lock must be held.
func (e *engine) observed(t *task) swarm.Task {
	seen := t.Task
	if c := t.container; c != nil && seen.Status.State == swarm.TaskStateRunning && c.state != container.StateRunning {
		seen.Status.State, seen.Status.Message = swarm.TaskStateFailed, "started"
		seen.Status.Err = fmt.Sprintf("task: non-zero exit (%d)", c.exitCode)
	}
	return seen
}
