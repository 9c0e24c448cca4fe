//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
)

// aService is the spec of a service as the API takes it.
func aService(image, failureAction, order string) object {
	return object{
		"Name":         "compared",
		"TaskTemplate": object{"ContainerSpec": object{"Image": image, "Env": []string{"A=B"}}},
		"Mode":         object{"Replicated": object{"Replicas": 1}},
		"UpdateConfig": object{"Parallelism": 1, "FailureAction": failureAction, "Monitor": 1_000_000_000, "Order": order},
	}
}

// serve makes a service that is removed at the end, and waits until it runs.
func (s *subject) serve(t *testing.T, spec object) (id string) {
	t.Helper()
	a := s.post(t, "/services/create", spec)
	if a.Status != http.StatusCreated {
		t.Fatalf("create a service: %d %s", a.Status, a.Message)
	}
	id = a.object(t)["ID"].(string)
	t.Cleanup(func() {
		if response, err := s.send(context.WithoutCancel(t.Context()), http.MethodDelete, "/services/"+id, nil); err == nil {
			_ = response.Body.Close()
		}
	})
	waitUntil(t, "the service runs", func() bool { return len(s.running(t, id)) == 1 })
	return id
}

// change sends a service's own spec with another image, and answers as the engine
// does.
func (s *subject) change(t *testing.T, id, image string, version float64) answer {
	t.Helper()
	service := s.get(t, "/services/"+id).object(t)
	if version == 0 {
		version = service["Version"].(object)["Index"].(float64)
	}
	spec := service["Spec"].(object)
	spec["TaskTemplate"].(object)["ContainerSpec"].(object)["Image"] = image
	return s.post(t, fmt.Sprintf("/services/%s/update?version=%.0f", id, version), spec)
}

// tasks lists the tasks of a service.
func (s *subject) tasks(t *testing.T, id string) []object {
	t.Helper()
	return s.get(t, "/tasks?filters="+url.QueryEscape(fmt.Sprintf(`{"service":{%q:true}}`, id))).list(t)
}

// running lists the images of the tasks that run and are to.
func (s *subject) running(t *testing.T, id string) (images []string) {
	t.Helper()
	for _, task := range s.tasks(t, id) {
		if task["DesiredState"] == "running" && task["Status"].(object)["State"] == "running" {
			images = append(images, s.normal(task["Spec"].(object)["ContainerSpec"].(object)["Image"].(string)))
		}
	}
	return images
}

// outcome waits for the end of an update, and tells how it ended.
func (s *subject) outcome(t *testing.T, id string) object {
	t.Helper()
	var service, status object
	waitUntil(t, "the update ends", func() bool {
		service = s.get(t, "/services/"+id).object(t)
		status, _ = service["UpdateStatus"].(object)
		return status["State"] != nil && status["State"] != "updating" && status["State"] != "rollback_started"
	})
	var failures []string
	for _, task := range s.tasks(t, id) {
		if text, ok := task["Status"].(object)["Err"].(string); ok {
			failures = append(failures, fmt.Sprint(task["Status"].(object)["State"], ": ", s.normal(text)))
		}
	}
	slices.Sort(failures)
	return object{
		"state": status["State"], "message": s.normal(status["Message"].(string)), "keys": keys(status), "running": s.running(t, id),
		"image":    s.normal(service["Spec"].(object)["TaskTemplate"].(object)["ContainerSpec"].(object)["Image"].(string)),
		"failures": slices.Compact(failures),
	}
}

var serviceBehaviours = []behaviour{
	{"a service that is not there", func(t *testing.T, s *subject) any {
		t.Helper()
		return []any{
			s.get(t, "/services/nobody"), s.post(t, "/services/nobody/update?version=1", aService(s.image("-api"), "pause", "stop-first")),
			s.do(t, http.MethodDelete, "/services/nobody", nil),
		}
	}},
	{"a service", func(t *testing.T, s *subject) any {
		t.Helper()
		id := s.serve(t, aService(s.image("-api"), "pause", "stop-first"))
		service := s.get(t, "/services/compared").object(t)
		task := s.tasks(t, id)[0]
		return []any{
			service["ID"] == id, service["UpdateStatus"], service["Spec"].(object)["Name"], s.get(t, "/services/"+id[:10]).Status,
			s.normal(service["Spec"].(object)["TaskTemplate"].(object)["ContainerSpec"].(object)["Image"].(string)),
			pick(task, "DesiredState", "Slot"), task["ServiceID"] == id, s.running(t, id), s.running(t, "compared"),
			s.post(t, "/services/create", aService(s.image("-api"), "pause", "stop-first")),
		}
	}},
	{"an update", func(t *testing.T, s *subject) any {
		t.Helper()
		var seen []any
		for _, order := range []string{"stop-first", "start-first"} {
			t.Run(order, func(t *testing.T) {
				id := s.serve(t, aService(s.image("-api"), "pause", order))
				seen = append(seen, s.change(t, id, s.image("-nginx"), 0), s.outcome(t, id))
			})
		}
		return seen
	}},
	{"an update that changes nothing", func(t *testing.T, s *subject) any {
		t.Helper()
		id := s.serve(t, aService(s.image("-api"), "pause", "stop-first"))
		before := s.tasks(t, id)[0]["ID"]
		a := s.change(t, id, s.image("-api"), 0)
		return []any{a, len(s.tasks(t, id)), s.tasks(t, id)[0]["ID"] == before}
	}},
	{"an update out of sequence", func(t *testing.T, s *subject) any {
		t.Helper()
		id := s.serve(t, aService(s.image("-api"), "pause", "stop-first"))
		version := s.get(t, "/services/"+id).object(t)["Version"].(object)["Index"].(float64)
		a := s.change(t, id, s.image("-nginx"), 0)
		return []any{a, s.change(t, id, s.image("-garant"), version), s.outcome(t, id)}
	}},
	{"an update without an image", func(t *testing.T, s *subject) any {
		t.Helper()
		var seen []any
		for _, way := range [][2]string{{"pause", "stop-first"}, {"pause", "start-first"}, {"rollback", "stop-first"}, {"rollback", "start-first"}} {
			t.Run(way[0]+" "+way[1], func(t *testing.T) {
				id := s.serve(t, aService(s.image("-api"), way[0], way[1]))
				s.change(t, id, s.repository+"-api:2.6.99", 0)
				outcome := s.outcome(t, id)
				// Whether its task runs again already when a rollback is over is a matter of luck.
				delete(outcome, "running")
				seen = append(seen, outcome)
				if outcome["state"] == "paused" { // its own spec takes it up again
					seen = append(seen, s.change(t, id, s.image("-nginx"), 0), s.outcome(t, id)["state"])
				}
			})
		}
		return seen
	}},
}
