package simulator

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/moby/moby/api/types/swarm"
)

// service is a swarm service. Its fields are guarded by the engine's lock.
type service struct {
	id               string
	version          uint64
	created, updated time.Time
	spec             serviceSpec
	previous         *serviceSpec
	status           *swarm.UpdateStatus
	tasks            []*task       // oldest first
	rollouts         int           // counts them: one ends when the next begins
	settled          chan struct{} // closed when the last rollout has ended
}

// serviceSpec keeps a spec as it was sent, whatever is in it.
type serviceSpec struct {
	swarm.ServiceSpec
	raw json.RawMessage
}

func (s *serviceSpec) UnmarshalJSON(b []byte) error {
	s.raw = slices.Clone(b)
	return json.Unmarshal(b, &s.ServiceSpec)
}

func (s serviceSpec) MarshalJSON() ([]byte, error) { return s.raw, nil }

// image is what the tasks are to run.
func (s serviceSpec) image() string { return s.TaskTemplate.ContainerSpec.Image }

// task is one container of a service, past or present.
type task struct {
	swarm.Task
	container *ctr // nil until there is one
}

// describe is the service as the Engine API shows it.
func (s *service) describe() any {
	return struct {
		ID string
		swarm.Meta
		Spec         serviceSpec
		PreviousSpec *serviceSpec `json:",omitempty"`
		Endpoint     swarm.Endpoint
		UpdateStatus *swarm.UpdateStatus `json:",omitempty"`
	}{
		s.id,
		swarm.Meta{Version: swarm.Version{Index: s.version}, CreatedAt: s.created, UpdatedAt: s.updated},
		s.spec, s.previous,
		swarm.Endpoint{},
		s.status,
	}
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
