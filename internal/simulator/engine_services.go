package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/swarm"
)

// serviceAPI is the part of the Engine API about swarm services.
type serviceAPI struct {
	engine *engine
	swarm  *swarmState
}

func (a serviceAPI) routes() []engineRoute {
	return []engineRoute{
		{"GET", "/services", onManager(a.list), answered},
		{"POST", "/services/create", onManager(a.create), answered},
		{"GET", "/services/*", onManager(a.inspect), answered},
		{"POST", "/services/*/update", onManager(a.update), answered},
		{"DELETE", "/services/*", onManager(a.remove), answered},
		{"GET", "/tasks", onManager(a.tasks), answered},
	}
}

// onManager wraps a handler that answers only where swarm services are managed.
func onManager(serve func(w http.ResponseWriter, r *http.Request, name string) error) serveFunc {
	return func(s scope, w http.ResponseWriter, r *http.Request, name string) error {
		if !s.cluster() {
			return errNotManager
		}
		return serve(w, r, name)
	}
}

func (a serviceAPI) list(w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := knownFilters(r, "id", "label", "mode", "name", "runtime")
	if err != nil {
		return err
	}
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	list := []any{}
	for _, s := range a.swarm.services {
		if names := filter["name"]; len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(s.spec.Name, n) }) {
			list = append(list, s.describe())
		}
	}
	return writeJSON(w, http.StatusOK, list)
}

func (a serviceAPI) inspect(w http.ResponseWriter, _ *http.Request, name string) error {
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	s, err := a.swarm.findService(name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.describe())
}

func (a serviceAPI) create(w http.ResponseWriter, r *http.Request, _ string) error {
	spec, err := decodeSpec(r)
	if err != nil {
		return err
	}
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	if slices.ContainsFunc(a.swarm.services, func(s *service) bool { return s.spec.Name == spec.Name }) {
		return errorf(http.StatusConflict, "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service %s already exists", spec.Name)
	}
	return writeJSON(w, http.StatusCreated, map[string]any{"ID": addService(a.swarm, spec).id})
}

// update changes a service's spec if the client knows its current version, and
// clears how the update before ended.
func (a serviceAPI) update(w http.ResponseWriter, r *http.Request, name string) error {
	spec, err := decodeSpec(r)
	if err != nil {
		return err
	}
	version, err := strconv.ParseUint(r.URL.Query().Get("version"), 10, 64)
	if err != nil {
		return errorf(http.StatusBadRequest, "invalid service version '%s': %v", r.URL.Query().Get("version"), err)
	}
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	s, err := a.swarm.findService(name)
	if err != nil {
		return err
	}
	if version != s.version {
		return errorf(http.StatusInternalServerError, "rpc error: code = Unknown desc = update out of sequence")
	}
	before := s.spec
	s.previous, s.spec, s.status = &before, spec, nil
	s.version, s.updated = a.swarm.nextVersion(), a.engine.now()
	rollOut(a.swarm, s)
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

func (a serviceAPI) remove(w http.ResponseWriter, _ *http.Request, name string) error {
	err := a.engine.change(func() error { return a.swarm.removeService(name) })
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return err
}

// tasks lists tasks; those that were replaced stay in the list.
func (a serviceAPI) tasks(w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := knownFilters(r, "id", "name", "service", "node", "desired-state", "label", "runtime", "up-to-date")
	if err != nil {
		return err
	}
	passes := func(term string, values ...string) bool {
		return len(filter[term]) == 0 || slices.ContainsFunc(filter[term], func(v string) bool { return slices.Contains(values, v) })
	}
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	list := []swarm.Task{}
	for _, s := range a.swarm.services {
		for _, t := range s.tasks {
			if passes("service", s.id, s.spec.Name) && passes("id", t.ID) && passes("desired-state", string(t.DesiredState)) {
				list = append(list, a.swarm.observed(t))
			}
		}
	}
	slices.SortFunc(list, func(a, b swarm.Task) int { return cmp.Compare(a.ID, b.ID) })
	return writeJSON(w, http.StatusOK, list)
}
