package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
	rollout          int           // counts them: one ends when the next begins
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

// nextVersion: the whole swarm counts its changes with one number.
func (e *engine) nextVersion() uint64 {
	e.changes++
	return 10 + e.changes
}

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

// findService looks a service up by id, name, or beginning of the id. The lock
// must be held.
func (e *engine) findService(ref string) (*service, error) {
	for _, is := range []func(s *service) bool{
		func(s *service) bool { return s.id == ref },
		func(s *service) bool { return s.spec.Name == ref },
		func(s *service) bool { return strings.HasPrefix(s.id, ref) },
	} {
		if i := slices.IndexFunc(e.services, is); i >= 0 {
			return e.services[i], nil
		}
	}
	return nil, errorf(http.StatusNotFound, "service %s not found", ref)
}

// onManager makes a handler answer where swarm services are managed.
func onManager(serve func(e *engine, w http.ResponseWriter, r *http.Request, name string) error) func(*engine, scope, http.ResponseWriter, *http.Request, string) error {
	return func(e *engine, s scope, w http.ResponseWriter, r *http.Request, name string) error {
		if !s.cluster() {
			return errNotManager
		}
		return serve(e, w, r, name)
	}
}

func (e *engine) serveServices(w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := filters(r, "id", "label", "mode", "name", "runtime")
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []any{}
	for _, s := range e.services {
		if names := filter["name"]; len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(s.spec.Name, n) }) {
			list = append(list, s.describe())
		}
	}
	return writeJSON(w, http.StatusOK, list)
}

func (e *engine) serveService(w http.ResponseWriter, _ *http.Request, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.findService(name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.describe())
}

func (e *engine) serveServiceCreate(w http.ResponseWriter, r *http.Request, _ string) error {
	spec, err := decodeSpec(r)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.ContainsFunc(e.services, func(s *service) bool { return s.spec.Name == spec.Name }) {
		return errorf(http.StatusConflict, "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service %s already exists", spec.Name)
	}
	return writeJSON(w, http.StatusCreated, map[string]any{"ID": e.addService(spec).id})
}

// addService makes a service and has its tasks started. The lock must be held.
func (e *engine) addService(spec serviceSpec) *service {
	now := time.Now().UTC()
	s := &service{id: newID()[:25], version: e.nextVersion(), created: now, updated: now, spec: spec}
	e.services = append(e.services, s)
	e.rollOut(s)
	return s
}

// serveServiceUpdate takes a new spec from whoever knows the service as it is,
// and forgets how the update before ended.
func (e *engine) serveServiceUpdate(w http.ResponseWriter, r *http.Request, name string) error {
	spec, err := decodeSpec(r)
	if err != nil {
		return err
	}
	version, err := strconv.ParseUint(r.URL.Query().Get("version"), 10, 64)
	if err != nil {
		return errorf(http.StatusBadRequest, "invalid service version '%s': %v", r.URL.Query().Get("version"), err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.findService(name)
	if err != nil {
		return err
	}
	if version != s.version {
		return errorf(http.StatusInternalServerError, "rpc error: code = Unknown desc = update out of sequence")
	}
	before := s.spec
	s.previous, s.spec, s.status = &before, spec, nil
	s.version, s.updated = e.nextVersion(), time.Now().UTC()
	e.rollOut(s)
	return writeJSON(w, http.StatusOK, map[string]any{"Warnings": nil})
}

func decodeSpec(r *http.Request) (serviceSpec, error) {
	var spec serviceSpec
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		return spec, errorf(http.StatusBadRequest, "invalid JSON: %v", err)
	}
	if c := spec.TaskTemplate.ContainerSpec; c == nil || c.Image == "" {
		return spec, errorf(http.StatusBadRequest, "rpc error: code = InvalidArgument desc = ContainerSpec: image reference must be provided")
	}
	return spec, nil
}

func (e *engine) serveServiceRemove(w http.ResponseWriter, _ *http.Request, name string) error {
	err := e.change(func() error { return e.removeService(name) })
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return err
}

// removeService removes a service with its containers. The lock must be held.
func (e *engine) removeService(name string) error {
	s, err := e.findService(name)
	if err != nil {
		return err
	}
	s.rollout++
	for _, t := range s.tasks {
		e.shutDown(t)
	}
	e.services = slices.DeleteFunc(e.services, func(o *service) bool { return o == s })
	return nil
}

// serveTasks lists tasks; those that were replaced stay in the list.
func (e *engine) serveTasks(w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := filters(r, "id", "name", "service", "node", "desired-state", "label", "runtime", "up-to-date")
	if err != nil {
		return err
	}
	passes := func(term string, values ...string) bool {
		return len(filter[term]) == 0 || slices.ContainsFunc(filter[term], func(v string) bool { return slices.Contains(values, v) })
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []swarm.Task{}
	for _, s := range e.services {
		for _, t := range s.tasks {
			if passes("service", s.id, s.spec.Name) && passes("id", t.ID) && passes("desired-state", string(t.DesiredState)) {
				list = append(list, e.observed(t))
			}
		}
	}
	slices.SortFunc(list, func(a, b swarm.Task) int { return cmp.Compare(a.ID, b.ID) })
	return writeJSON(w, http.StatusOK, list)
}
