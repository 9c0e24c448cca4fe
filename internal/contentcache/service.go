package contentcache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// updateAttempts bounds how often an update is sent that the engine has not taken:
// another client was faster, or its answer was lost.
const updateAttempts = 5

// serviceView is a service with its tasks. What is on a node that is down is told by
// none of them: such a task stays as it was last seen, until the node is back or gone.
type serviceView struct {
	ucp.Service
	tasks []ucp.Task // without those on nodes that are down
	lost  int        // tasks that are to run, and are on such nodes
	down  []string   // the nodes that are down
}

// observeService says what a service runs.
func (r *run) observeService(ctx context.Context) (Workload, error) {
	engine, err := r.cluster.UCP.Engine(ctx)
	if err != nil {
		return Workload{}, err
	}
	s, err := r.service(ctx, engine)
	if err != nil {
		return Workload{}, err
	}
	w := Workload{Version: s.runningVersion()}
	if r.o.Version != nil {
		want := r.image(s.Image)
		over := s.UpdateState == "" || s.UpdateState == ucp.UpdateCompleted || s.UpdateState == ucp.RollbackCompleted
		w.Settled = over && sameImage(s.Image, want) && len(s.problems(want)) == 0
	}
	return w, nil
}

func (r *run) service(ctx context.Context, engine *ucp.Engine) (serviceView, error) {
	s, err := engine.Services().Inspect(ctx, r.o.Service)
	if errdefs.IsNotFound(err) {
		return serviceView{}, r.missing(KindService, r.o.Service)
	}
	if err != nil {
		return serviceView{}, err
	}
	tasks, err := engine.Services().Tasks(ctx, s)
	if err != nil {
		return serviceView{}, err
	}
	nodes, err := engine.Nodes(ctx)
	if err != nil { // not every user may ask
		log.Debug(ctx, "The nodes could not be listed", map[string]any{"error": err.Error()})
	}
	return viewOf(s, tasks, nodes), nil
}

func viewOf(s ucp.Service, tasks []ucp.Task, nodes []ucp.Node) serviceView {
	v := serviceView{Service: s}
	down := map[string]bool{}
	for _, n := range nodes {
		if n.State == "down" {
			down[n.ID] = true
			v.down = append(v.down, n.Hostname)
		}
	}
	slices.Sort(v.down)
	for _, t := range tasks {
		switch {
		case !down[t.NodeID]:
			v.tasks = append(v.tasks, t)
		case t.Desired == ucp.TaskRunning:
			v.lost++
		}
	}
	return v
}

// runningVersion is the lowest version of the tasks that run; nil when one of them
// has no known version, or when none runs of those that should.
func (s serviceView) runningVersion() *semver.Version {
	var lowest *semver.Version
	wanted := 0
	for _, t := range s.tasks {
		if t.Desired != ucp.TaskRunning {
			continue
		}
		wanted++
		if t.State != ucp.TaskRunning {
			continue
		}
		v := imageVersion(t.Image)
		if v == nil {
			return nil
		}
		if lowest == nil || v.LessThan(lowest) {
			lowest = v
		}
	}
	if wanted == 0 && s.Replicas == 0 {
		return imageVersion(s.Image)
	}
	return lowest
}

// problems is what keeps the tasks of a service from being all there with the image.
func (s serviceView) problems(image string) []string {
	var problems []string
	wanted := 0
	for _, t := range s.tasks {
		if t.Desired != ucp.TaskRunning {
			continue
		}
		wanted++
		switch {
		case !sameImage(t.Image, image):
			problems = append(problems, fmt.Sprintf("task %s has image %s", t.ID, t.Image))
		case t.State != ucp.TaskRunning:
			problems = append(problems, withError(fmt.Sprintf("task %s is %s", t.ID, t.State), t.Error))
		}
	}
	switch {
	case wanted+s.lost < s.Replicas, wanted+s.lost == 0 && s.Replicas != 0:
		problems = append(problems, fmt.Sprintf("%d tasks, where %d are wanted", wanted+s.lost, max(s.Replicas, 1)))
	case wanted == 0 && s.lost > 0:
		problems = append(problems, "all its tasks are on nodes that are down")
	}
	if len(problems) > 0 {
		for _, node := range s.down {
			problems = append(problems, "node "+node+" is down")
		}
	}
	return problems
}

// taskErrors are why tasks with the image failed.
func taskErrors(tasks []ucp.Task, image string) []string {
	var texts []string
	for _, t := range tasks {
		if sameImage(t.Image, image) && t.Error != "" {
			texts = append(texts, fmt.Sprintf("task %s is %s: %s", t.ID, t.State, t.Error))
		}
	}
	return texts
}

func withError(text, err string) string {
	if err == "" {
		return text
	}
	return text + ": " + err
}

// updateService gives the service the image, unless it has it, and waits for its
// tasks. How they are replaced, and what happens when one fails, is up to the
// service's own settings.
func (r *run) updateService(ctx context.Context, engine *ucp.Engine) error {
	sent := 0
	var image string
	var waiting []string
	err := r.until(ctx, func() []string { return waiting }, func(ctx context.Context) (bool, error) {
		s, err := r.service(ctx, engine)
		if missing := (*MissingError)(nil); errors.As(err, &missing) {
			return false, wait.Fail(err)
		}
		if err != nil {
			return false, err
		}
		image, waiting = r.image(s.Image), nil
		has, state := sameImage(s.Image, image), s.UpdateState
		paused := state == ucp.UpdatePaused || state == ucp.RollbackPaused
		back := state == ucp.RollbackStarted || state == ucp.RollbackCompleted || state == ucp.RollbackPaused
		switch {
		case has && !paused, sent > 0 && (has || back):
			return true, nil
		case state == ucp.RollbackStarted: // of an update before this run
			waiting = []string{"service " + s.Name + " is being rolled back"}
			return false, nil
		}
		log.Info(ctx, "Service "+s.Name+" is being updated to "+image, map[string]any{"service": s.Name, "image": image, "image_before": s.Image})
		if err = engine.Services().SetImage(ctx, s.Service, image); err == nil {
			return true, nil
		}
		if sent++; !answerLost(err) || sent == updateAttempts {
			return false, wait.Fail(err)
		}
		// Also how the engine reports that another client was faster.
		log.Info(ctx, "The service's update was not confirmed; it is looked at again", map[string]any{"service": s.Name, "error": err.Error()})
		return false, nil
	})
	if err != nil {
		return err
	}
	return r.awaitService(ctx, engine, image)
}

// answerLost reports whether an engine may have done what it did not confirm.
func answerLost(err error) bool {
	api, ok := errors.AsType[*ucp.APIError](err)
	return !ok || api.StatusCode >= 500
}

// awaitService waits until all tasks of the service run the image.
func (r *run) awaitService(ctx context.Context, engine *ucp.Engine, image string) error {
	var problems []string
	var notThere since
	return r.until(ctx, func() []string { return problems }, func(ctx context.Context) (bool, error) {
		s, err := r.service(ctx, engine)
		if _, missing := errors.AsType[*MissingError](err); missing {
			return false, wait.Fail(err)
		}
		if err != nil {
			return false, err
		}
		problems = s.problems(image)
		failed := func(state string, problems []string) (bool, error) {
			return false, wait.Fail(&UpdateError{Kind: KindService, Name: s.Name, Image: image, State: state, Message: s.UpdateMessage, Problems: problems})
		}
		has := sameImage(s.Image, image)
		switch s.UpdateState {
		case ucp.Updating, ucp.RollbackStarted:
			notThere = since{}
			return false, nil
		case ucp.UpdatePaused, ucp.RollbackPaused:
			return failed(string(s.UpdateState), taskErrors(s.tasks, image))
		case ucp.RollbackCompleted:
			if !has {
				return failed(string(s.UpdateState), taskErrors(s.tasks, image))
			}
		case "", ucp.UpdateCompleted:
			if !has {
				return failed("it was changed to "+s.Image+" by another client", nil)
			}
		default:
			return failed(fmt.Sprintf("unknown state %q", s.UpdateState), nil)
		}
		if notThere.longer(r.pace.Healthy, len(problems) > 0) {
			return failed("its tasks do not all run", append(problems, taskErrors(s.tasks, image)...))
		}
		return len(problems) == 0, nil
	})
}
