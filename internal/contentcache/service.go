package contentcache

import (
	"context"
	"errors"
	"fmt"

	"github.com/Masterminds/semver/v3"
	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// updateAttempts bounds how often an update is sent that the engine has not taken:
// another client was faster, or its answer was lost.
const updateAttempts = 5

// observeService says what a service runs.
func (r *run) observeService(ctx context.Context) (Workload, error) {
	engine, err := r.cluster.UCP.Engine(ctx)
	if err != nil {
		return Workload{}, err
	}
	s, tasks, err := r.service(ctx, engine)
	if err != nil {
		return Workload{}, err
	}
	w := Workload{Version: runningVersion(s, tasks)}
	if r.o.Version != nil {
		want := r.image(s.Image)
		over := s.UpdateState == "" || s.UpdateState == ucp.UpdateCompleted || s.UpdateState == ucp.RollbackCompleted
		w.Settled = over && sameImage(s.Image, want) && len(taskProblems(s, tasks, want)) == 0
	}
	return w, nil
}

func (r *run) service(ctx context.Context, engine *ucp.Engine) (ucp.Service, []ucp.Task, error) {
	s, err := engine.Services().Inspect(ctx, r.o.Service)
	if errdefs.IsNotFound(err) {
		return s, nil, r.missing(KindService, r.o.Service)
	}
	if err != nil {
		return s, nil, err
	}
	tasks, err := engine.Services().Tasks(ctx, s)
	return s, tasks, err
}

// runningVersion is the lowest version of the tasks that run; nil when one of them
// has no known version, or when none runs of those that should.
func runningVersion(s ucp.Service, tasks []ucp.Task) *semver.Version {
	var lowest *semver.Version
	wanted := 0
	for _, t := range tasks {
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

// taskProblems is what keeps the tasks of a service from being all there with the
// image.
func taskProblems(s ucp.Service, tasks []ucp.Task, image string) []string {
	var problems []string
	wanted := 0
	for _, t := range tasks {
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
	if wanted < s.Replicas || wanted == 0 && s.Replicas != 0 {
		problems = append(problems, fmt.Sprintf("%d tasks, where %d are wanted", wanted, max(s.Replicas, 1)))
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
	sent := false
	pause := wait.NewPause(r.pace.Poll)
	var lost error
	for attempt := 0; attempt < updateAttempts; {
		s, _, err := r.service(ctx, engine)
		if err != nil {
			return err
		}
		image := r.image(s.Image)
		has, state := sameImage(s.Image, image), s.UpdateState
		paused := state == ucp.UpdatePaused || state == ucp.RollbackPaused
		back := state == ucp.RollbackStarted || state == ucp.RollbackCompleted || state == ucp.RollbackPaused
		switch {
		case has && !paused, sent && (has || back):
			return r.awaitService(ctx, engine, image)
		case state == ucp.RollbackStarted: // of an update before this run
		default:
			tflog.Info(ctx, "Service is being updated", map[string]any{"service": s.Name, "image": image, "image_before": s.Image})
			err := engine.Services().SetImage(ctx, s, image)
			if err == nil {
				return r.awaitService(ctx, engine, image)
			}
			if ctx.Err() != nil || !answerLost(err) {
				return err
			}
			// Also how the engine reports that another client was faster.
			tflog.Info(ctx, "The service's update was not confirmed; it is looked at again", map[string]any{"service": s.Name, "error": err.Error()})
			sent, lost = true, err
			attempt++
		}
		if err := pause.Wait(ctx); err != nil {
			return err
		}
	}
	return lost
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
		s, tasks, err := r.service(ctx, engine)
		if _, missing := errors.AsType[*MissingError](err); missing {
			return false, wait.Fail(err)
		}
		if err != nil {
			return false, err
		}
		problems = taskProblems(s, tasks, image)
		failed := func(state string, problems []string) (bool, error) {
			return false, wait.Fail(&UpdateError{Kind: KindService, Name: s.Name, Image: image, State: state, Message: s.UpdateMessage, Problems: problems})
		}
		has := sameImage(s.Image, image)
		switch s.UpdateState {
		case ucp.Updating, ucp.RollbackStarted:
			notThere = since{}
			return false, nil
		case ucp.UpdatePaused, ucp.RollbackPaused:
			return failed(string(s.UpdateState), taskErrors(tasks, image))
		case ucp.RollbackCompleted:
			if !has {
				return failed(string(s.UpdateState), taskErrors(tasks, image))
			}
		case "", ucp.UpdateCompleted:
			if !has {
				return failed("it was changed to "+s.Image+" by another client", nil)
			}
		default:
			return failed(fmt.Sprintf("unknown state %q", s.UpdateState), nil)
		}
		if notThere.longer(r.pace.Healthy, len(problems) > 0) {
			return failed("its tasks do not all run", append(problems, taskErrors(tasks, image)...))
		}
		return len(problems) == 0, nil
	})
}
