package ucp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
)

// Service is a swarm service.
type Service struct {
	ID, Name string
	// Image is what its tasks are to run, with a digest where the service has one.
	Image string
	// Replicas is how many tasks there are to be; -1 when the number of nodes decides.
	Replicas int
	// UpdateState and UpdateMessage tell how far the last update is; both are empty when there was none.
	UpdateState   swarm.UpdateState
	UpdateMessage string

	version swarm.Version
	raw     json.RawMessage
}

// Service reads a swarm service, by its whole name or id. cerrdefs.IsNotFound holds when there is none.
func (e *Engine) Service(ctx context.Context, name string) (Service, error) {
	what := "inspect service " + name
	r, err := call(ctx, e, callLimit, what, func(ctx context.Context, c *client.Client) (client.ServiceInspectResult, error) {
		r, err := c.ServiceInspect(ctx, name, client.ServiceInspectOptions{})
		if err == nil && r.Service.ID != name && r.Service.Spec.Name != name {
			err = fmt.Errorf("%w: no service has that name", cerrdefs.ErrNotFound) // the engine takes the beginning of an id as well
		}
		return r, err
	})
	if err != nil {
		return Service{}, err
	}
	spec := r.Service.Spec
	s := Service{ID: r.Service.ID, Name: spec.Name, Replicas: -1, version: r.Service.Version, raw: r.Raw}
	if c := spec.TaskTemplate.ContainerSpec; c != nil {
		s.Image = c.Image
	}
	if m := spec.Mode.Replicated; m != nil {
		s.Replicas = 1
		if m.Replicas != nil {
			s.Replicas = int(min(*m.Replicas, 1<<20)) //nolint:gosec // bounded
		}
	}
	if u := r.Service.UpdateStatus; u != nil {
		s.UpdateState, s.UpdateMessage = u.State, u.Message
	}
	return s, nil
}

// SetServiceImage gives a service another image and changes nothing else of its spec, not even what this client does not know.
// The same image again has the engine take up an update that it has paused.
// The request is made once; the engine refuses it when the service is no longer as it was read.
func (e *Engine) SetServiceImage(ctx context.Context, s Service, image string) error {
	var whole struct{ Spec json.RawMessage }
	if err := json.Unmarshal(s.raw, &whole); err != nil {
		return fmt.Errorf("the spec of service %s: %w", s.Name, err)
	}
	text, err := json.Marshal(image)
	if err != nil {
		return err
	}
	spec, err := replaceMember(whole.Spec, text, "TaskTemplate", "ContainerSpec", "Image")
	if err != nil {
		return fmt.Errorf("the spec of service %s: %w", s.Name, err)
	}
	query := url.Values{"version": {strconv.FormatUint(s.version.Index, 10)}}
	return e.post(ctx, "update service "+s.Name, "/services/"+url.PathEscape(s.ID)+"/update", query, spec, nil)
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
	Desired, State swarm.TaskState
	// Error is why it failed.
	Error string
}

// Tasks lists the tasks of a service, those that were replaced among them.
func (e *Engine) Tasks(ctx context.Context, s Service) ([]Task, error) {
	options := client.TaskListOptions{Filters: client.Filters{}.Add("service", s.ID)}
	list, err := call(ctx, e, callLimit, "list the tasks of service "+s.Name, func(ctx context.Context, c *client.Client) (client.TaskListResult, error) {
		return c.TaskList(ctx, options)
	})
	if err != nil {
		return nil, err
	}
	var tasks []Task
	for _, t := range list.Items {
		// The filter is the engine's; the match is ours.
		if t.ServiceID != s.ID {
			continue
		}
		task := Task{ID: t.ID, Desired: t.DesiredState, State: t.Status.State, Error: t.Status.Err}
		if c := t.Spec.ContainerSpec; c != nil {
			task.Image = c.Image
		}
		tasks = append(tasks, task)
	}
	return tasks, nil
}
