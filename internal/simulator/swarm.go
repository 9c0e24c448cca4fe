package simulator

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"
)

// swarmState is the swarm's services and their tasks. The engine's lock guards it.
type swarmState struct {
	engine   *engine
	registry *registry
	services []*service
	changes  uint64
}

// nextVersion counts the changes of the whole swarm with one number. The lock must
// be held.
func (w *swarmState) nextVersion() uint64 {
	w.changes++
	return 10 + w.changes
}

// findService looks a service up by id, name, or beginning of the id. The lock
// must be held.
func (w *swarmState) findService(ref string) (*service, error) {
	for _, is := range []func(s *service) bool{
		func(s *service) bool { return s.id == ref },
		func(s *service) bool { return s.spec.Name == ref },
		func(s *service) bool { return strings.HasPrefix(s.id, ref) },
	} {
		if i := slices.IndexFunc(w.services, is); i >= 0 {
			return w.services[i], nil
		}
	}
	return nil, errorf(http.StatusNotFound, "service %s not found", ref)
}

// newTask adds a task that is not placed yet. The lock must be held.
func (w *swarmState) newTask(s *service, slot int) *task {
	now := w.engine.now()
	t := &task{Task: swarm.Task{
		ID: newID()[:25], ServiceID: s.id, Slot: slot, Spec: s.spec.TaskTemplate,
		Meta:         swarm.Meta{Version: swarm.Version{Index: w.nextVersion()}, CreatedAt: now, UpdatedAt: now},
		DesiredState: swarm.TaskStateRunning,
		Status:       swarm.TaskStatus{Timestamp: now, State: swarm.TaskStatePending, Message: "pending task scheduling"},
	}}
	s.tasks = append(s.tasks, t)
	return t
}

// startTask places a task, has its node get the image, and starts its container.
// The lock must be held.
func (w *swarmState) startTask(s *service, t *task) {
	end := func(state swarm.TaskState, text string) {
		t.Status = swarm.TaskStatus{Timestamp: w.engine.now(), State: state, Message: string(state), Err: text}
	}
	i := slices.IndexFunc(w.engine.nodes, func(n *node) bool { return !n.down && !n.manager && n.taskFits(t.Spec) })
	if i < 0 {
		end(swarm.TaskStatePending, "no suitable node (scheduling constraints not satisfied)")
		return
	}
	n := w.engine.nodes[i]
	t.NodeID = n.id
	ref, _, _ := strings.Cut(t.Spec.ContainerSpec.Image, "@")
	if !n.has(ref) {
		digest, found := w.registry.digest(ref)
		if !found {
			end(swarm.TaskStateRejected, "No such image: "+ref)
			return
		}
		n.put(ref, digest)
	}
	labels := map[string]string{
		"com.docker.swarm.service.name": s.spec.Name, "com.docker.swarm.service.id": s.id, "com.docker.swarm.task.id": t.ID,
	}
	maps.Copy(labels, t.Spec.ContainerSpec.Labels)
	t.container = w.engine.add(n, fmt.Sprintf("%s.%d.%s", s.spec.Name, t.Slot, t.ID), &container.Config{
		Image: ref, Env: t.Spec.ContainerSpec.Env, Cmd: t.Spec.ContainerSpec.Args, Labels: labels,
	}, &container.HostConfig{})
	w.engine.run(t.container)
	end(swarm.TaskStateRunning, "")
}

// shutDown ends a task and removes its container. The lock must be held.
func (w *swarmState) shutDown(t *task) {
	t.DesiredState = swarm.TaskStateShutdown
	if t.container == nil {
		return
	}
	if t.container.state == container.StateRunning {
		w.engine.end(t.container, statusTerminated)
		t.Status.State, t.Status.Message = swarm.TaskStateShutdown, "shutdown"
	}
	if _, there := w.engine.containers[t.container.id]; there {
		w.engine.delete(t.container)
	}
}

// observed is a task with the state of its container. The lock must be held.
func (w *swarmState) observed(t *task) swarm.Task {
	seen := t.Task
	if c := t.container; c != nil && seen.Status.State == swarm.TaskStateRunning && c.state != container.StateRunning {
		seen.Status.State, seen.Status.Message = swarm.TaskStateFailed, "started"
		seen.Status.Err = fmt.Sprintf("task: non-zero exit (%d)", c.exitCode)
	}
	return seen
}

// removeService removes a service with its containers. The lock must be held.
func (w *swarmState) removeService(name string) error {
	s, err := w.findService(name)
	if err != nil {
		return err
	}
	s.rollouts++
	for _, t := range s.tasks {
		w.shutDown(t)
	}
	w.services = slices.DeleteFunc(w.services, func(o *service) bool { return o == s })
	return nil
}
