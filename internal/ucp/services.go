package ucp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// UpdateState says how far the update of a service is; it is empty when there was none.
type UpdateState string

// The states of an update.
const (
	Updating          UpdateState = "updating"
	UpdatePaused      UpdateState = "paused"
	UpdateCompleted   UpdateState = "completed"
	RollbackStarted   UpdateState = "rollback_started"
	RollbackPaused    UpdateState = "rollback_paused"
	RollbackCompleted UpdateState = "rollback_completed"
)

// TaskRunning is the state of a task that runs, and of one that is to.
const TaskRunning = "running"

// Services are the swarm's services. The engine must be a manager's, or UCP.
type Services struct{ connection *connection }

// Services gives access to the swarm's services.
func (e *Engine) Services() Services { return Services{e.connection} }

// Service is a swarm service.
type Service struct {
	ID, Name string
	// Image is what its tasks are to run, with a digest where the service has one.
	Image string
	// Replicas is how many tasks there are to be; -1 when the number of nodes decides.
	Replicas int
	// UpdateState and UpdateMessage tell how far the last update is; both are empty when there was none.
	UpdateState   UpdateState
	UpdateMessage string

	version uint64
	raw     json.RawMessage
}

// serviceWire is as much of a service as is looked at.
type serviceWire struct {
	ID      string
	Version struct{ Index uint64 }
	Spec    struct {
		Name         string
		TaskTemplate taskSpecWire
		Mode         struct{ Replicated *struct{ Replicas *int } }
	}
	UpdateStatus struct{ State, Message string }
}

type taskSpecWire struct{ ContainerSpec struct{ Image string } }

// Inspect reads a swarm service, by its whole name or id. cerrdefs.IsNotFound holds when there is none.
func (s Services) Inspect(ctx context.Context, name string) (Service, error) {
	what := "inspect service " + name
	var raw json.RawMessage
	if err := s.connection.get(ctx, what, "/services/"+url.PathEscape(name), nil, &raw); err != nil {
		return Service{}, err
	}
	var w serviceWire
	if err := json.Unmarshal(raw, &w); err != nil {
		return Service{}, s.connection.failed(ctx, what, err)
	}
	if w.ID != name && w.Spec.Name != name { // the engine takes the beginning of an id as well
		return Service{}, s.connection.failed(ctx, what, fmt.Errorf("%w: no service has that name", cerrdefs.ErrNotFound))
	}
	service := Service{
		ID: scrub.Line(w.ID), Name: scrub.Line(w.Spec.Name), Image: scrub.Line(w.Spec.TaskTemplate.ContainerSpec.Image), Replicas: -1,
		UpdateState: UpdateState(scrub.Line(w.UpdateStatus.State)), UpdateMessage: s.connection.endpoint.Quote(w.UpdateStatus.Message), version: w.Version.Index, raw: raw,
	}
	if m := w.Spec.Mode.Replicated; m != nil {
		service.Replicas = 1
		if m.Replicas != nil {
			service.Replicas = *m.Replicas
		}
	}
	return service, nil
}

// SetImage gives a service another image and changes nothing else of its spec, not even what this client does not know.
// The same image again has the engine take up an update that it has paused.
// The request is made once; the engine refuses it when the service is no longer as it was read.
func (s Services) SetImage(ctx context.Context, service Service, image string) error {
	var whole struct{ Spec json.RawMessage }
	if err := json.Unmarshal(service.raw, &whole); err != nil {
		return fmt.Errorf("the spec of service %s: %w", service.Name, err)
	}
	text, err := json.Marshal(image)
	if err != nil {
		return err
	}
	spec, err := replaceMember(whole.Spec, text, "TaskTemplate", "ContainerSpec", "Image")
	if err != nil {
		return fmt.Errorf("the spec of service %s: %w", service.Name, err)
	}
	query := url.Values{"version": {strconv.FormatUint(service.version, 10)}}
	return s.connection.post(ctx, "update service "+service.Name, "/services/"+url.PathEscape(service.ID)+"/update", query, spec, nil)
}

// replaceMember replaces what is at a path of a JSON object and keeps all else as it is written.
func replaceMember(object, by json.RawMessage, path ...string) (json.RawMessage, error) {
	if len(path) == 0 {
		return by, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	member, ok := members[path[0]]
	if !ok {
		return nil, errors.New("it has no " + path[0])
	}
	changed, err := replaceMember(member, by, path[1:]...)
	if err != nil {
		return nil, err
	}
	members[path[0]] = changed
	return json.Marshal(members)
}

// Task is one container of a service, past, present or to come.
type Task struct {
	ID, Image string
	// Desired is what the swarm wants of it, State what it is.
	Desired, State string
	// Error is why it failed.
	Error string
	// NodeID is the node that it is on, empty while it is on none.
	NodeID string
}

// Tasks lists the tasks of a service, those that were replaced among them.
func (s Services) Tasks(ctx context.Context, service Service) ([]Task, error) {
	filter, err := json.Marshal(map[string]map[string]bool{"service": {service.ID: true}})
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID, ServiceID, NodeID, DesiredState string
		Spec                                taskSpecWire
		Status                              struct{ State, Err string }
	}
	if err := s.connection.get(ctx, "list the tasks of service "+service.Name, "/tasks", url.Values{"filters": {string(filter)}}, &list); err != nil {
		return nil, err
	}
	var tasks []Task
	for _, t := range list {
		// The filter is the engine's; the match is ours.
		if t.ServiceID == service.ID {
			tasks = append(tasks, Task{
				ID: scrub.Line(t.ID), Image: scrub.Line(t.Spec.ContainerSpec.Image), NodeID: scrub.Line(t.NodeID),
				Desired: scrub.Line(t.DesiredState), State: scrub.Line(t.Status.State), Error: s.connection.endpoint.Quote(t.Status.Err),
			})
		}
	}
	return tasks, nil
}
