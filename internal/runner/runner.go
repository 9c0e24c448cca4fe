// Package runner runs the vendor's bootstrapper: one container, from its creation
// or adoption to its end. The container's fixed name is the lock that keeps two
// runs on one cluster apart, and its labels tell a later run what this one was for.
//
// It knows neither hops nor replicas; its callers hand it tasks.
package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

const (
	// startLimit bounds the start of a container. An apply that is cancelled meanwhile
	// waits for it.
	startLimit = time.Minute
	// cleanupLimit bounds the removal of a container, also after a cancel.
	cleanupLimit = 30 * time.Second
	// readableLogDriver is the log driver of a bootstrapper's container. What an engine
	// uses by default may not be readable, and the log is where a failure is explained.
	readableLogDriver = "json-file"
)

// Runner runs bootstrappers on one cluster.
type Runner struct {
	Cluster         cluster.Cluster
	Host            string // DTR's external host
	ProviderVersion string // for the label of that name
	Pace            wait.Pace

	Runs     int // of bootstrappers, started or adopted, so far
	Progress cluster.Progress
}

// Container is a container of this provider and the engine that has it.
type Container struct {
	ucp.ContainerState
	engine *ucp.Engine
}

// ContainerName is the name of the bootstrapper's container.
func (r *Runner) ContainerName() string { return cluster.ContainerName(r.Host) }

// engines returns those that may have the bootstrapper's container: UCP, and the
// Docker host of the provider's configuration. An earlier apply may have used the
// other one.
func (r *Runner) engines(ctx context.Context) ([]*ucp.Engine, error) {
	own, err := r.Cluster.BootstrapEngine(ctx)
	if err != nil {
		return nil, err
	}
	if r.Cluster.Docker == nil {
		return []*ucp.Engine{own}, nil
	}
	through, err := r.Cluster.UCP.Engine(ctx)
	if err != nil {
		return nil, err
	}
	return []*ucp.Engine{own, through}, nil
}

// Find looks for the bootstrapper's container.
func (r *Runner) Find(ctx context.Context) (Container, bool, error) {
	return r.FindNamed(ctx, r.ContainerName())
}

// FindNamed looks for the container of a fixed name on every engine that may have
// it, and prefers one that runs. Since the name is the lock, a container that this
// provider did not create, or whose labels say what it was not made for, is an error,
// a *ForeignContainerError.
func (r *Runner) FindNamed(ctx context.Context, name string) (Container, bool, error) {
	engines, err := r.engines(ctx)
	if err != nil {
		return Container{}, false, err
	}
	var found []Container
	for _, engine := range engines {
		c, there, err := r.findOn(ctx, engine, name)
		if err != nil {
			return Container{}, false, err
		}
		if there {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return Container{}, false, nil
	}
	return found[max(0, slices.IndexFunc(found, func(c Container) bool { return c.Running() }))], true, nil
}

func (r *Runner) findOn(ctx context.Context, engine *ucp.Engine, name string) (Container, bool, error) {
	state, err := engine.Container(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return Container{}, false, nil
	case err != nil:
		return Container{}, false, fmt.Errorf("look for container %s: %w", name, err)
	case state.Labels[cluster.LabelCluster] != r.Host || !cluster.LabelsHold(state, r.Cluster.Mirror):
		return Container{}, false, &ForeignContainerError{Container: name, Image: state.Image, Status: state.Status}
	}
	return Container{state, engine}, true, nil
}

// Login returns the address, credentials and CA with which a bootstrapper connects
// to UCP.
func (r *Runner) Login(ctx context.Context) (bootstrap.UCP, error) {
	login := r.Cluster.Login
	if login.CA == "" && !login.Insecure {
		ca, err := r.Cluster.UCP.CA(ctx)
		if err != nil {
			return login, fmt.Errorf("read UCP's CA for the bootstrapper: %w", err)
		}
		login.CA = ca
	}
	return login, nil
}

// Create creates a container, without starting it, on the engine that runs the
// bootstrapper. If the name is taken, errdefs.IsConflict holds for the error.
func (r *Runner) Create(ctx context.Context, spec ucp.CreateSpec) (Container, error) {
	engine, err := r.Cluster.BootstrapEngine(ctx)
	if err != nil {
		return Container{}, err
	}
	spec.NetworkMode = r.Cluster.NetworkMode
	if r.Cluster.Docker != nil {
		spec.Node = "" // an engine outside UCP has no nodes
		spec.Labels[cluster.LabelHolds] = rand.Text()
	}
	return r.createOn(ctx, engine, spec)
}

// CreateLock creates a container in UCP that is never started: its name alone counts,
// of which UCP creates no second one. If it is taken, errdefs.IsConflict holds for the
// error.
func (r *Runner) CreateLock(ctx context.Context, name string, labels map[string]string) (Container, error) {
	engine, err := r.Cluster.UCP.Engine(ctx)
	if err != nil {
		return Container{}, err
	}
	all, err := engine.ContainersNamed(ctx, "dtr-")
	if err != nil {
		return Container{}, err
	}
	// Any image will do that is on some node for sure.
	i := slices.IndexFunc(all, func(c ucp.Container) bool {
		_, part := bootstrap.ParseContainerName(c.Name)
		return part && c.Running()
	})
	if i < 0 {
		return Container{}, errors.New("UCP shows no container of DTR that runs")
	}
	labels[cluster.LabelCommand] = cluster.CommandLock
	return r.createOn(ctx, engine, ucp.CreateSpec{Name: name, Image: all[i].Image, Node: all[i].Node, Labels: labels})
}

func (r *Runner) createOn(ctx context.Context, engine *ucp.Engine, spec ucp.CreateSpec) (Container, error) {
	spec.Labels[cluster.LabelCluster], spec.Labels[cluster.LabelProvider] = r.Host, r.ProviderVersion
	spec.Labels[cluster.LabelNonce] = rand.Text()
	if spec.LogDriver == "" {
		spec.LogDriver = readableLogDriver
	}
	id, err := engine.Create(ctx, spec)
	switch {
	case err == nil:
		made := ucp.ContainerState{ID: id, Name: spec.Name, Image: spec.Image, Args: spec.Args, Status: cluster.StateCreated, Labels: spec.Labels}
		return Container{made, engine}, nil
	case wait.IsOutage(err), errdefs.IsConflict(err):
		return r.created(ctx, engine, spec, err)
	}
	return Container{}, createError(spec, err)
}

func createError(spec ucp.CreateSpec, err error) error {
	return fmt.Errorf("create container %s from image %s: %w", spec.Name, spec.Image, err)
}

// created looks for the container of a request to create it that failed: it may have
// been carried out all the same, and only its answer been lost. The container is known
// by its nonce. If there is none, the error is that of the request.
func (r *Runner) created(ctx context.Context, engine *ucp.Engine, spec ucp.CreateSpec, failure error) (made Container, err error) {
	missing := wait.Lasting{Limit: r.Pace.Consistent}
	err = wait.Until(ctx, r.Pace, func(ctx context.Context) (bool, error) {
		state, err := engine.Container(ctx, spec.Name)
		switch {
		case errdefs.IsNotFound(err) && !missing.Seen(true):
			return false, nil
		case errdefs.IsNotFound(err) && errdefs.IsConflict(failure):
			return false, wait.Fail(&BlockedError{Container: spec.Name, Err: failure})
		case errdefs.IsNotFound(err):
			return false, wait.Fail(createError(spec, failure))
		case err != nil:
			return false, err
		case state.Labels[cluster.LabelNonce] != spec.Labels[cluster.LabelNonce]:
			return false, wait.Fail(createError(spec, errors.Join(errdefs.ErrConflict, failure)))
		}
		made = Container{state, engine}
		return true, nil
	})
	return made, err
}

// Remove removes a container that does not run. It returns false if the container
// was gone already, or runs by now.
func (r *Runner) Remove(ctx context.Context, c Container) (bool, error) {
	err := r.remove(ctx, c)
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return false, nil
	}
	return err == nil, err
}

func (r *Runner) remove(ctx context.Context, c Container) error {
	err := c.engine.Remove(ctx, c.ID)
	if err == nil || errdefs.IsNotFound(err) {
		r.letGo(ctx, c.Labels)
	}
	if err != nil {
		return fmt.Errorf("remove container %s: %w", c.Name, err)
	}
	return nil
}

// Discard kills and removes a container, also after a cancel.
func (r *Runner) Discard(ctx context.Context, c Container) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	err := c.engine.Discard(ctx, c.ID)
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // gone, or being removed
		return err
	}
	r.letGo(ctx, c.Labels)
	return nil
}

// ForeignContainerError says that the name of the bootstrapper's container is
// taken by one that this provider did not start.
type ForeignContainerError struct {
	Container string
	Image     string
	Status    string
}

func (e *ForeignContainerError) Error() string {
	return fmt.Sprintf("container %s (%s, %s) was not started by this provider", e.Container, e.Image, e.Status)
}

// BlockedError says that a container keeps a bootstrapper's from being created, and
// that nothing has changed about it for as long as UCP's answers may lag behind.
type BlockedError struct {
	Container string
	Status    string // "" if the engine says that there is no container of the name that it calls taken
	Err       error  // the engine's answer; nil if the status says it all
}

func (e *BlockedError) Error() string {
	switch {
	case e.Status == "":
		return fmt.Sprintf("the name %s is taken, and there is no container of that name: %v", e.Container, e.Err)
	case e.Err == nil:
		return fmt.Sprintf("container %s stays in state %s", e.Container, e.Status)
	}
	return fmt.Sprintf("container %s (%s) is in the way: %v", e.Container, e.Status, e.Err)
}

// NodeDownError says that a bootstrapper's container is on a node that UCP does not
// reach. It may still run there.
type NodeDownError struct {
	Container string
	Node      string
	Err       error // of the request to the container, nil if none was made
}

func (e *NodeDownError) Error() string {
	text := fmt.Sprintf("container %s is on node %s, which is down", e.Container, e.Node)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// nodeDown makes a *NodeDownError of the error of a request to a container, if UCP
// says that the container's node is down.
func (r *Runner) nodeDown(ctx context.Context, name string, err error) error {
	inventory, listErr := cluster.Inspect(ctx, r.Cluster)
	if listErr != nil {
		return err
	}
	shown := inventory.Bootstrappers
	if inventory.Elsewhere != nil {
		shown = append(shown, *inventory.Elsewhere)
	}
	for _, c := range shown {
		if c.HostDown() && cluster.BaseName(c.Name) == cluster.BaseName(name) {
			return &NodeDownError{Container: cluster.BaseName(c.Name), Node: c.Node, Err: err}
		}
	}
	return err
}

// Look reads the state of the container again.
func (c Container) Look(ctx context.Context) (Container, error) {
	now, err := c.engine.Container(ctx, c.ID)
	return Container{now, c.engine}, err
}

// Attach connects to the container's output. It is called before Start, so that no
// output is lost.
func (c Container) Attach(ctx context.Context) (*ucp.Attachment, error) {
	return c.engine.Attach(ctx, c.ID)
}

func (c Container) start(ctx context.Context) error {
	if err := c.engine.Start(ctx, c.ID); err != nil {
		return fmt.Errorf("start container %s: %w", c.Name, err)
	}
	return nil
}
