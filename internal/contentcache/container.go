package contentcache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// A container cannot be given another image: it is replaced by a copy.
//
//	1 the old one gets another name   2 the copy is made under its name
//	3 the old one is stopped          4 the copy is started
//	5 the copy is looked at           6 the old one is removed
//
// A run that was cut short is recognised by the old one's name, and by a label of
// the copy that says whose copy it is: before 4 the old one gets its name back, for
// the copy may lack one of its networks yet; after it the run goes on at 5. What
// fails from 2 to 5 puts the old one back.

// replacedSuffix follows the name of a container that is being replaced.
const replacedSuffix = ".replaced"

// labelReplaces is the id of the container that one is the copy of.
const labelReplaces = "com.github.dtr-upgrade.replaces"

// What an engine says of a container's state and of its health.
const (
	stateRunning, stateExited, stateDead = "running", "exited", "dead"
	healthy, unhealthy                   = "healthy", "unhealthy"
)

// hostDown is what UCP says of a container whose node is down.
const hostDown = "Host Down"

// pair is the container that runs the cache, and the one that it is
// replacing; either may be missing.
type pair struct {
	current, old *ucp.Container
	nodes        []string // that have containers of these names
}

// findPair looks for them on all nodes, or on the one that is asked for.
func (r *run) findPair(ctx context.Context, engine *ucp.Engine) (pair, error) {
	all, err := engine.ContainersNamed(ctx, r.o.Container) // the names of both
	if err != nil {
		return pair{}, err
	}
	var p pair
	for _, c := range all {
		which := &p.current
		switch cluster.BaseName(c.Name) {
		case r.o.Container:
		case r.o.Container + replacedSuffix:
			which = &p.old
		default:
			continue
		}
		if !slices.Contains(p.nodes, c.Node) {
			p.nodes = append(p.nodes, c.Node)
		}
		if r.o.Node == "" || c.Node == r.o.Node {
			*which = &c
		}
	}
	slices.Sort(p.nodes)
	switch {
	case p.current == nil && p.old == nil:
		return p, r.missing(KindContainer, r.o.Container)
	case len(p.nodes) > 1 && r.o.Node == "":
		return p, &AmbiguousError{Name: r.o.Container, Nodes: p.nodes}
	case p.current != nil && p.old != nil && p.current.Labels[labelReplaces] != p.old.ID:
		return p, &LeftoverError{Container: r.o.Container, Leftover: cluster.BaseName(p.old.Name), Node: p.old.Node}
	case p.any().Status == hostDown:
		return p, &NodeDownError{Container: r.o.Container, Node: p.any().Node}
	}
	return p, nil
}

// any is the one that is there.
func (p pair) any() *ucp.Container {
	if p.current != nil {
		return p.current
	}
	return p.old
}

// observeContainer says what the container runs.
func (r *run) observeContainer(ctx context.Context) (Workload, error) {
	engine, err := r.cluster.UCP.Engine(ctx)
	if err != nil {
		return Workload{}, err
	}
	p, err := r.findPair(ctx, engine)
	if err != nil {
		return Workload{}, err
	}
	var w Workload
	serving := p.any()
	if p.current != nil && p.old != nil && !p.current.Running() {
		serving = p.old
	}
	// The list shows an id where the tag has moved on.
	state, err := engine.Container(ctx, serving.ID)
	if err != nil {
		return w, err
	}
	if state.Status == stateRunning {
		w.Version = imageVersion(state.Image)
		w.Settled = r.o.Version != nil && p.current != nil && p.old == nil && sameImage(state.Image, r.image(state.Image))
	}
	if r.o.Version != nil && !w.Settled && len(p.nodes) > 1 {
		w.Problem = &AmbiguousError{Name: r.o.Container, Nodes: p.nodes, Node: r.o.Node}
	}
	return w, nil
}

// updateContainer replaces the container by a copy with the wanted image, unless
// it has that, and goes on where a run before was cut short.
func (r *run) updateContainer(ctx context.Context, engine *ucp.Engine) error {
	p, err := r.findPair(ctx, engine)
	if err != nil {
		return err
	}
	state, err := engine.Container(ctx, p.any().ID)
	if err != nil {
		return err
	}
	image := r.image(state.Image)
	if p.old != nil && (p.current == nil || state.Status == cluster.StateCreated || !sameImage(state.Image, image)) {
		if err := r.putBack(ctx, engine); err != nil {
			return err
		}
		if p, err = r.findPair(ctx, engine); err != nil {
			return err
		}
		if state, err = engine.Container(ctx, p.any().ID); err != nil {
			return err
		}
		image = r.image(state.Image)
	}
	if p.old == nil && !sameImage(state.Image, image) {
		if state.AutoRemove {
			return &AutoRemoveError{Container: r.o.Container, Node: p.current.Node}
		}
		// Before anything else is touched.
		if err := images.Pull(ctx, r.cluster, r.pace, images.Location{Image: image, Node: p.current.Node}); err != nil {
			return err
		}
		if p, err = r.swap(ctx, engine, *p.current, image); err != nil {
			return r.undo(ctx, engine, err)
		}
	}
	if err := r.settle(ctx, engine, p, image); err != nil {
		return err
	}
	if p.old == nil {
		return nil
	}
	if err := engine.RemoveKeepingVolumes(ctx, p.old.ID); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	log.Info(ctx, "Container "+r.o.Container+" was replaced", map[string]any{"container": r.o.Container, "node": p.current.Node, "image": image})
	return nil
}

// swap gives the old container's name to a copy with the image. Neither it nor what
// starts the copy is left in the middle because of an interrupt.
func (r *run) swap(ctx context.Context, engine *ucp.Engine, old ucp.Container, image string) (pair, error) {
	if err := context.Cause(ctx); err != nil {
		return pair{}, err
	}
	ctx = context.WithoutCancel(ctx)
	log.Info(ctx, "Container "+r.o.Container+" is being replaced by one of "+image, map[string]any{"container": r.o.Container, "node": old.Node, "image": image, "image_before": old.Image})
	if err := rename(ctx, engine, old.ID, r.o.Container+replacedSuffix); err != nil {
		return pair{}, err
	}
	if _, err := engine.Copy(ctx, old.ID, ucp.CopySpec{
		Name: r.o.Container, Image: image, Node: old.Node, Labels: map[string]string{labelReplaces: old.ID},
	}); err != nil {
		return pair{}, err
	}
	return r.findPair(ctx, engine)
}

// rename renames a container that may be running. Where that is on an overlay
// network, Engine 20.10 fails to: the container is then stopped for the moment.
func rename(ctx context.Context, engine *ucp.Engine, id, name string) error {
	err := engine.Rename(ctx, id, name)
	if !errdefs.IsInternal(err) {
		return err
	}
	if stopErr := engine.Stop(ctx, id); stopErr != nil {
		return errors.Join(err, stopErr)
	}
	return errors.Join(engine.Rename(ctx, id, name), engine.Start(ctx, id))
}

// settle starts the current container in the place of the old one, and looks
// whether it is well. When it is not, the old one is put back.
func (r *run) settle(ctx context.Context, engine *ucp.Engine, p pair, image string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	err := r.start(context.WithoutCancel(ctx), engine, p)
	if err == nil {
		err = r.awaitContainer(ctx, engine, p.current.ID, image)
	}
	if err == nil {
		err = r.probe(ctx)
	}
	if p.old == nil {
		return err
	}
	return r.undo(ctx, engine, err)
}

// start starts the current container, once the ports and addresses of the old one
// are free.
func (r *run) start(ctx context.Context, engine *ucp.Engine, p pair) error {
	if p.old != nil {
		if err := engine.Stop(ctx, p.old.ID); err != nil {
			return err
		}
	}
	return engine.Start(ctx, p.current.ID)
}

// awaitContainer waits until the container has been running for a while, and is
// healthy where it can tell.
func (r *run) awaitContainer(ctx context.Context, engine *ucp.Engine, id, image string) error {
	var problem string
	var started time.Time
	var up, down, steady since
	seen := func() []string { return []string{problem} }
	return r.until(ctx, seen, func(ctx context.Context) (bool, error) {
		s, err := engine.Container(ctx, id)
		if errdefs.IsNotFound(err) {
			return false, wait.Fail(err)
		}
		if err != nil {
			return false, err
		}
		running := s.Status == stateRunning
		if problem = "container " + r.o.Container + " is " + s.Status; s.Health != "" {
			problem += " and " + s.Health
		}
		problem = withError(problem, s.Error)
		failed := func() (bool, error) {
			if !running {
				problem += fmt.Sprintf(", its exit status is %d", s.ExitCode)
			}
			return false, wait.Fail(&UpdateError{Kind: KindContainer, Name: r.o.Container, Image: image, State: problem})
		}
		switch {
		case s.Status == stateExited, s.Status == stateDead, s.Health == unhealthy:
			return failed()
		case down.longer(r.pace.Consistent, !running), running && s.Health != "" && up.longer(r.pace.Healthy, s.Health != healthy):
			return failed()
		}
		same := running && s.StartedAt.Equal(started)
		started = s.StartedAt
		return steady.longer(r.pace.Poll, same) && (s.Health == "" || s.Health == healthy), nil
	})
}

// undo puts the old container back after a failure, other than an interrupt: then
// the copy keeps its chance.
func (r *run) undo(ctx context.Context, engine *ucp.Engine, err error) error {
	var detached *wait.DetachedError
	if err == nil || errors.As(err, &detached) || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return err
	}
	log.Warn(ctx, "The old container is put back", map[string]any{"container": r.o.Container, "error": err.Error()})
	back := &PutBack{Container: r.o.Container, Err: r.putBack(ctx, engine)}
	var update *UpdateError
	var probe *ProbeError
	switch {
	case errors.As(err, &update):
		update.PutBack = back
	case errors.As(err, &probe):
		probe.PutBack = back
	case back.Err != nil:
		return errors.Join(err, fmt.Errorf("container %s could not be put back: %w", back.Container, back.Err))
	}
	return err
}

// putBack takes a replacement back: the copy goes, and the old container runs under
// its name again.
func (r *run) putBack(ctx context.Context, engine *ucp.Engine) error {
	ctx = context.WithoutCancel(ctx)
	p, err := r.findPair(ctx, engine)
	if err != nil || p.old == nil {
		return err
	}
	if p.current != nil {
		if err := engine.Stop(ctx, p.current.ID); err != nil {
			return err
		}
		if err := engine.RemoveKeepingVolumes(ctx, p.current.ID); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	if err := rename(ctx, engine, p.old.ID, r.o.Container); err != nil {
		return err
	}
	return engine.Start(ctx, p.old.ID)
}
