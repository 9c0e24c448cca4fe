package ucp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Containers lists the containers that carry all the labels, running and stopped; nil means all.
func (e *Engine) Containers(ctx context.Context, labels map[string]string) ([]Container, error) {
	filters := client.Filters{}
	for k, v := range labels {
		filters.Add("label", k+"="+v)
	}
	// The filter is the engine's; the match is ours.
	return e.containers(ctx, filters, nil, func(c Container) bool { return matches(c.Labels, labels) })
}

// ContainersNamed lists the containers in whose own names the text occurs, running and stopped.
// The engine is asked for no others. What it looks at is the name without the node that UCP puts before it, and it takes the text for a regular expression.
func (e *Engine) ContainersNamed(ctx context.Context, text string) ([]Container, error) {
	return e.containers(ctx, client.Filters{}.Add("name", regexp.QuoteMeta(text)), nil, func(c Container) bool {
		return strings.Contains(c.Name[strings.LastIndexByte(c.Name, '/')+1:], text)
	})
}

// SelectContainers lists the containers that keep picks out of all, running and stopped. Where patterns are given, a container is passed over unread if
// none of them matches the JSON text that the engine gives of it: many others take little time, and no more memory. The patterns are of printable ASCII
// characters but "&", "<" and ">"; those that begin with some fixed ones are fast.
func (e *Engine) SelectContainers(ctx context.Context, patterns []*regexp.Regexp, keep func(Container) bool) ([]Container, error) {
	return e.containers(ctx, nil, patterns, keep)
}

// listed is as much of an entry of the list as is looked at.
type listed struct {
	ID             string `json:"Id"`
	Names          []string
	Image, Command string
	State          string
	Status         string
	Labels         map[string]string
	Created        int64
}

func (e *Engine) containers(ctx context.Context, filters client.Filters, patterns []*regexp.Regexp, keep func(Container) bool) ([]Container, error) {
	query := url.Values{"all": {"1"}}
	if len(filters) > 0 {
		text, err := json.Marshal(filters)
		if err != nil {
			return nil, err
		}
		query.Set("filters", string(text))
	}
	var containers []Container
	all := list[listed]{what: "list containers", path: "/containers/json", query: query, begin: func() { containers = []Container{} }, take: func(l listed) (kept int) {
		c := l.container()
		if !keep(c) {
			return 0
		}
		c.Labels = lines(c.Labels)
		containers = append(containers, c)
		return c.size()
	}}
	if patterns != nil {
		all.skip = func(text []byte) bool { return !mayMatch(text, patterns) }
	}
	if err := all.read(ctx, e.connection); err != nil {
		return nil, err
	}
	return containers, nil
}

// escaped finds characters that JSON need not escape, and that a pattern would miss so. Go escapes "&", "<" and ">" (U+0026, U+003C, U+003E).
var escaped = regexp.MustCompile(`\\(?:/|u00(?:2[0-57-9a-fA-F]|3[0-9abdABDfF]|[4-7]))`)

// mayMatch is false for a JSON text that no pattern matches, however it writes its strings.
func mayMatch(text []byte, patterns []*regexp.Regexp) bool {
	return escaped.Match(text) || slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.Match(text) })
}

// size is about how many bytes of memory the container takes.
func (c Container) size() int {
	const itself, label = 512, 96
	n := itself + len(c.ID) + len(c.Name) + len(c.Image) + len(c.Command) + len(c.State) + len(c.Status)
	for k, v := range c.Labels {
		n += label + len(k) + len(v)
	}
	return n
}

func matches(labels, want map[string]string) bool {
	for k, v := range want {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func (l listed) container() Container {
	name := ownName(l.Names)
	node := ""
	if before, _, ok := strings.Cut(name, "/"); ok {
		node = before
	}
	return Container{
		ID:      scrub.Line(l.ID),
		Name:    scrub.Line(name),
		Node:    scrub.Line(node),
		Image:   scrub.Line(l.Image),
		Command: scrub.Line(l.Command),
		State:   scrub.Line(l.State),
		Status:  scrub.Line(l.Status),
		Labels:  l.Labels, // those of a container that is kept become lines
		Created: time.Unix(l.Created, 0),
	}
}

// lines are labels that can be shown.
func lines(labels map[string]string) map[string]string {
	if labels == nil {
		return nil
	}
	shown := make(map[string]string, len(labels))
	for name, value := range labels {
		shown[scrub.Line(name)] = scrub.Line(value)
	}
	return shown
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
	s := ContainerState{ID: scrub.Line(r.ID), Name: scrub.Line(strings.TrimPrefix(r.Name, "/")), ImageID: scrub.Line(r.Image), Created: parseTime(r.Created), Restarts: r.RestartCount}
	if r.State != nil {
		s.Status = scrub.Line(string(r.State.Status))
		if h := r.State.Health; h != nil && h.Status != container.NoHealthcheck {
			s.Health = scrub.Line(string(h.Status))
		}
		s.ExitCode, s.Error = r.State.ExitCode, e.connection.endpoint.Quote(r.State.Error)
		s.StartedAt, s.FinishedAt = parseTime(r.State.StartedAt), parseTime(r.State.FinishedAt)
	}
	if r.Config != nil {
		s.Labels, s.Env, s.Image, s.Args = lines(r.Config.Labels), r.Config.Env, scrub.Line(r.Config.Image), r.Config.Cmd
	}
	if r.HostConfig != nil {
		s.AutoRemove = r.HostConfig.AutoRemove
	}
	return s, nil
}

func (e *Engine) inspect(ctx context.Context, idOrName string) (container.InspectResponse, error) {
	r, err := call(ctx, e.connection, callLimit, "inspect container "+idOrName, func(ctx context.Context, c *client.Client) (client.ContainerInspectResult, error) {
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
	created, err := call(ctx, e.connection, callLimit, "create container "+s.Name, func(ctx context.Context, c *client.Client) (client.ContainerCreateResult, error) {
		return c.ContainerCreate(ctx, options)
	})
	return created.ID, err
}

// Start starts a created container.
func (e *Engine) Start(ctx context.Context, id string) error {
	return act(ctx, e, "start", (*client.Client).ContainerStart, id, client.ContainerStartOptions{})
}

// Stop stops a container as its stop signal and time-out say. One that does not run is left as it is.
func (e *Engine) Stop(ctx context.Context, id string) error {
	return act(ctx, e, "stop", (*client.Client).ContainerStop, id, client.ContainerStopOptions{})
}

// Rename gives a container another name. cerrdefs.IsConflict holds when it is taken.
func (e *Engine) Rename(ctx context.Context, id, name string) error {
	return act(ctx, e, "rename", (*client.Client).ContainerRename, id, client.ContainerRenameOptions{NewName: name})
}

// Remove removes a container that does not run, and its volumes. It is never forced.
func (e *Engine) Remove(ctx context.Context, id string) error {
	return e.remove(ctx, "remove", id, client.ContainerRemoveOptions{RemoveVolumes: true})
}

// RemoveKeepingVolumes removes a container that does not run, and keeps its volumes. It is never forced.
func (e *Engine) RemoveKeepingVolumes(ctx context.Context, id string) error {
	return e.remove(ctx, "remove", id, client.ContainerRemoveOptions{})
}

// Discard removes a container and its volumes, and kills it first if it runs. It is for what may end at any moment, which an upgrade may not.
func (e *Engine) Discard(ctx context.Context, id string) error {
	return e.remove(ctx, "kill and remove", id, client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
}

// remove removes a container. That it is gone already is believed only if nobody shows it: else the error is one that may pass.
func (e *Engine) remove(ctx context.Context, verb, id string, options client.ContainerRemoveOptions) error {
	err := act(ctx, e, verb, (*client.Client).ContainerRemove, id, options)
	if !cerrdefs.IsNotFound(err) {
		return err
	}
	if _, lookErr := e.Container(ctx, id); lookErr == nil {
		return fmt.Errorf("%v, and it is there: %w", err, cerrdefs.ErrUnavailable) //nolint:errorlint // it is not gone
	}
	return err
}

// act does one thing to a container. The answer to that has no body: one that has is not the engine's, and says nothing.
func act[O, R any](ctx context.Context, e *Engine, verb string, method func(*client.Client, context.Context, string, O) (R, error), id string, options O) error {
	_, err := call(ctx, e.connection, callLimit, verb+" container "+id, func(ctx context.Context, c *client.Client) (R, error) {
		ctx, head := keepHead(ctx)
		result, err := method(c, ctx, id, options)
		if err == nil && head.body {
			err = e.connection.endpoint.Unusable(&endpoint.Answer{Method: head.method, Path: head.path, StatusCode: head.status}, errors.New("it has a body, and should have none"))
		}
		return result, err
	})
	return err
}
