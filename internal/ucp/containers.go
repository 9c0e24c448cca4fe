package ucp

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Containers lists the containers that carry all the labels, running and stopped; nil means all.
func (e *Engine) Containers(ctx context.Context, labels map[string]string) ([]Container, error) {
	options := client.ContainerListOptions{All: true, Filters: client.Filters{}}
	for k, v := range labels {
		options.Filters.Add("label", k+"="+v)
	}
	list, err := call(ctx, e, callLimit, "list containers", func(ctx context.Context, c *client.Client) (client.ContainerListResult, error) {
		return c.ContainerList(ctx, options)
	})
	if err != nil {
		return nil, err
	}
	containers := make([]Container, 0, len(list.Items))
	for _, s := range list.Items {
		// The filter is the engine's; the match is ours.
		if matches(s.Labels, labels) {
			containers = append(containers, summary(s))
		}
	}
	return containers, nil
}

func matches(labels, want map[string]string) bool {
	for k, v := range want {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func summary(s container.Summary) Container {
	name := ownName(s.Names)
	node := ""
	if before, _, ok := strings.Cut(name, "/"); ok {
		node = before
	}
	return Container{
		ID:      s.ID,
		Name:    name,
		Node:    node,
		Image:   s.Image,
		ImageID: s.ImageID,
		State:   string(s.State),
		Status:  s.Status,
		Labels:  s.Labels,
		Created: time.Unix(s.Created, 0),
	}
}

// ownName picks a container's own name: links give it others, each below the name of the container that links to it.
func ownName(names []string) (own string) {
	for _, n := range names {
		n = strings.TrimPrefix(n, "/")
		if own == "" || strings.Count(n, "/") < strings.Count(own, "/") {
			own = n
		}
	}
	return own
}

// Container inspects one container.
func (e *Engine) Container(ctx context.Context, idOrName string) (ContainerState, error) {
	r, err := e.inspect(ctx, idOrName)
	if err != nil {
		return ContainerState{}, err
	}
	s := ContainerState{ID: r.ID, Name: strings.TrimPrefix(r.Name, "/")}
	if r.State != nil {
		s.Status = string(r.State.Status)
		if h := r.State.Health; h != nil && h.Status != container.NoHealthcheck {
			s.Health = string(h.Status)
		}
		s.ExitCode, s.Error = r.State.ExitCode, r.State.Error
		s.StartedAt, s.FinishedAt = parseTime(r.State.StartedAt), parseTime(r.State.FinishedAt)
	}
	if r.Config != nil {
		s.Labels, s.Env, s.Image = r.Config.Labels, r.Config.Env, r.Config.Image
	}
	if r.HostConfig != nil {
		s.LogDriver, s.AutoRemove = r.HostConfig.LogConfig.Type, r.HostConfig.AutoRemove
	}
	return s, nil
}

func (e *Engine) inspect(ctx context.Context, idOrName string) (container.InspectResponse, error) {
	r, err := call(ctx, e, callLimit, "inspect container "+idOrName, func(ctx context.Context, c *client.Client) (client.ContainerInspectResult, error) {
		return c.ContainerInspect(ctx, idOrName, client.ContainerInspectOptions{})
	})
	return r.Container, err
}

// parseTime reads the engine's times, whose zero is that of Go.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Create creates a container. cerrdefs.IsConflict holds when the name is taken.
func (e *Engine) Create(ctx context.Context, s CreateSpec) (id string, err error) {
	env := s.Env
	if s.Node != "" {
		env = append(slices.Clip(env), "constraint:node=="+s.Node)
	}
	options := client.ContainerCreateOptions{
		Name: s.Name,
		Config: &container.Config{
			Image:  s.Image,
			Cmd:    s.Args,
			Env:    env,
			Labels: s.Labels,
		},
		HostConfig: &container.HostConfig{
			NetworkMode: container.NetworkMode(s.NetworkMode),
			LogConfig:   container.LogConfig{Type: s.LogDriver},
		},
	}
	created, err := call(ctx, e, callLimit, "create container "+s.Name, func(ctx context.Context, c *client.Client) (client.ContainerCreateResult, error) {
		return c.ContainerCreate(ctx, options)
	})
	return created.ID, err
}

// Start starts a created container.
func (e *Engine) Start(ctx context.Context, id string) error {
	_, err := call(ctx, e, callLimit, "start container "+id, func(ctx context.Context, c *client.Client) (client.ContainerStartResult, error) {
		return c.ContainerStart(ctx, id, client.ContainerStartOptions{})
	})
	return err
}

// Rename gives a container another name. cerrdefs.IsConflict holds when it is taken.
func (e *Engine) Rename(ctx context.Context, id, name string) error {
	_, err := call(ctx, e, callLimit, "rename container "+id, func(ctx context.Context, c *client.Client) (client.ContainerRenameResult, error) {
		return c.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name})
	})
	return err
}

// Remove removes a container that does not run, and its volumes. It is never forced.
func (e *Engine) Remove(ctx context.Context, id string) error {
	_, err := call(ctx, e, callLimit, "remove container "+id, func(ctx context.Context, c *client.Client) (client.ContainerRemoveResult, error) {
		return c.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true})
	})
	return err
}

// Discard removes a container and its volumes, and kills it first if it runs. It is for what may end at any moment, which an upgrade may not.
func (e *Engine) Discard(ctx context.Context, id string) error {
	_, err := call(ctx, e, callLimit, "kill and remove container "+id, func(ctx context.Context, c *client.Client) (client.ContainerRemoveResult, error) {
		return c.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
	})
	return err
}

// Wait waits until the container does not run any more and returns its exit status.
// It goes on until ctx ends. A container that was never started has no exit status: that is an error.
func (e *Engine) Wait(ctx context.Context, id string) (int, error) {
	limits := e.endpoint.Limits()
	for first := true; ; first = false {
		s, err := e.Container(ctx, id)
		if err != nil {
			return 0, err
		}
		switch container.ContainerState(s.Status) {
		case container.StateExited, container.StateDead:
			return s.ExitCode, nil
		case container.StateCreated:
			return 0, fmt.Errorf("%s: container %s was not started: %s", e.endpoint.Service(), id, cmp.Or(s.Error, "nobody has tried to"))
		}
		if !first {
			if err := pause(ctx, limits.WaitMin); err != nil {
				return 0, e.failed(ctx, "wait for container "+id, err)
			}
		}
		// However this ends: what stands between may cut a long request at any time, so that only an inspection tells.
		_ = e.awaitExit(ctx, id)
	}
}

// awaitExit is over when the container is, or when the limit of a single request passed.
func (e *Engine) awaitExit(ctx context.Context, id string) error {
	limit := e.endpoint.Limits().Attempt
	_, err := call(ctx, e, limit, "wait for container "+id, func(ctx context.Context, c *client.Client) (container.WaitResponse, error) {
		wait := c.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case r := <-wait.Result:
			return r, nil
		case err := <-wait.Error:
			return container.WaitResponse{}, err
		}
	})
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
