//go:build linux

package rig

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"
)

// listFilters are those that classic Swarm knows. It ignores the rest.
var listFilters = []string{"name", "id", "label", "status"}

// list merges the lists of the nodes. Of a node that does not answer, the
// containers that were known last are in the list of all.
func (f front) list(w http.ResponseWriter, c *call) error {
	filters, err := c.filters()
	if err != nil {
		return err
	}
	nodes := slices.DeleteFunc(slices.Clone(f.rig.Nodes), func(n *Node) bool { return !matchesAny(filters["node"], n.Name) })
	query := c.URL.Query()
	all := query.Get("all") != "" && query.Get("all") != "0" && query.Get("all") != "false" || filters["status"]["exited"]
	maps.DeleteFunc(filters, func(term string, _ map[string]bool) bool { return !slices.Contains(listFilters, term) })
	text, err := json.Marshal(filters)
	if err != nil {
		return err
	}
	query.Set("filters", string(text))
	var mu sync.Mutex
	merged := []container.Summary{}
	var wg sync.WaitGroup
	var refused error
	for _, n := range nodes {
		wg.Go(func() {
			var list []container.Summary
			err := c.ask(c.Context(), n, "/containers/json", query, &list)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
			case !isUnreachable(err):
				refused = err
			case all:
				list = f.lastKnown(n, filters)
			}
			for _, ct := range list {
				if !all && ct.State != container.StateRunning {
					continue // a filter by status has engines list it
				}
				for i, name := range ct.Names {
					ct.Names[i] = "/" + n.Name + name
				}
				merged = append(merged, ct)
			}
		})
	}
	wg.Wait()
	if refused != nil {
		return refused
	}
	slices.SortFunc(merged, func(a, b container.Summary) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), strings.Compare(a.Names[0], b.Names[0]))
	})
	return writeJSON(w, http.StatusOK, merged)
}

func matchesAny(patterns map[string]bool, s string) bool {
	for p := range patterns {
		if ok, err := regexp.MatchString(p, s); p == s || err == nil && ok {
			return true
		}
	}
	return len(patterns) == 0
}

// lastKnown are the containers of a node that is down, as far as the filters
// let them pass.
func (f front) lastKnown(n *Node, filters map[string]map[string]bool) []container.Summary {
	watch := f.rig.watch
	watch.mu.Lock()
	defer watch.mu.Unlock()
	var list []container.Summary
	for _, ct := range watch.lists[n.Name] {
		passes := matchesAny(filters["name"], strings.TrimPrefix(ct.Names[0], "/")) &&
			matchesAny(filters["id"], ct.ID) && matchesAny(filters["status"], string(ct.State))
		for label := range filters["label"] {
			key, value, exact := strings.Cut(label, "=")
			got, ok := ct.Labels[key]
			passes = passes && ok && (!exact || got == value)
		}
		if passes {
			ct.Names = slices.Clone(ct.Names)
			ct.Status = "Host Down"
			list = append(list, ct)
		}
	}
	return list
}

// container has the node of a container answer.
func (f front) container(w http.ResponseWriter, c *call, rest string) error {
	ref, action := rest, ""
	if c.Method != http.MethodDelete {
		i := strings.LastIndexByte(rest, '/')
		if i < 0 {
			return refuse(http.StatusNotFound, "page not found")
		}
		ref, action = rest[:i], rest[i:]
	}
	n, name, err := f.find(c, ref)
	if err != nil {
		return err
	}
	c.path = "/containers/" + name + action
	if c.Method == http.MethodGet && action == "/json" {
		return f.inspect(w, c, n)
	}
	switch {
	case c.Method == http.MethodDelete, action == "/start":
		return f.haveDone(w, c, n)
	case action == "/rename":
		if err := f.checkName(c, strings.TrimPrefix(c.URL.Query().Get("name"), "/")); err != nil {
			return err
		}
		return f.haveDone(w, c, n)
	}
	f.pass(w, c, n)
	return nil
}

// haveDone asks a node to do what the call is for, instead of passing the call on:
// the status of a refusal is lost.
func (f front) haveDone(w http.ResponseWriter, c *call, n *Node) error {
	answer, err := c.send(c.Context(), n, c.Method, c.path, c.URL.Query(), c.Body)
	if err != nil {
		return unreachable(n, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return refusePlainly(http.StatusInternalServerError, "Error response from daemon: %s", refusalOf(answer))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// find says on which node a container is, by id, name, or node and name.
func (f front) find(c *call, ref string) (n *Node, name string, err error) {
	name = strings.TrimPrefix(ref, "/")
	if node, after, qualified := strings.Cut(name, "/"); qualified {
		if n = f.rig.Node(node); n == nil {
			return nil, "", noSuchContainer(ref)
		}
		name = after
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var found, silent []*Node
	for _, candidate := range f.rig.Nodes {
		if n != nil && candidate != n {
			continue
		}
		wg.Go(func() {
			var state container.InspectResponse
			err := c.ask(c.Context(), candidate, "/containers/"+name+"/json", nil, &state)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				found = append(found, candidate)
			} else if isUnreachable(err) {
				silent = append(silent, candidate)
			}
		})
	}
	wg.Wait()
	switch len(found) {
	case 0:
	case 1:
		return found[0], name, nil
	default: // the name of several, or the beginning of their ids
		return nil, "", noSuchContainer(ref)
	}
	f.rig.watch.mu.Lock()
	defer f.rig.watch.mu.Unlock()
	for _, n := range silent {
		for _, ct := range f.rig.watch.lists[n.Name] {
			if strings.HasPrefix(ct.ID, name) || ct.Names[0] == "/"+name {
				return nil, "", refusePlainly(http.StatusInternalServerError, "Container %s running on unhealthy node %s", ref, n.Name)
			}
		}
	}
	return nil, "", noSuchContainer(ref)
}

// inspect adds the node to the engine's answer, as classic Swarm did.
func (f front) inspect(w http.ResponseWriter, c *call, n *Node) error {
	var state map[string]any
	if err := c.ask(c.Context(), n, c.path, c.URL.Query(), &state); err != nil {
		return err
	}
	state["Node"] = map[string]string{"ID": n.Name, "IP": n.Address, "Addr": strings.TrimPrefix(n.Host(), "tcp://"), "Name": n.Name}
	return writeJSON(w, http.StatusOK, state)
}

const constraintsLabel = "com.docker.swarm.constraints"

// create makes a container on the node that its constraints name, else on one
// that has the image. A name is taken when it is so on any node.
func (f front) create(w http.ResponseWriter, c *call) error {
	body, err := io.ReadAll(c.Body)
	if err != nil {
		return err
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return refuse(http.StatusBadRequest, "invalid JSON: %v", err)
	}
	var known struct {
		Image  string
		Env    []string
		Labels map[string]string
	}
	if err := json.Unmarshal(body, &known); err != nil {
		return refuse(http.StatusBadRequest, "invalid JSON: %v", err)
	}
	// No two that want the same name, wherever they are to run.
	f.rig.creating.Lock()
	defer f.rig.creating.Unlock()
	if err := f.checkName(c, c.URL.Query().Get("name")); err != nil {
		return err
	}
	var constraints []string
	_ = json.Unmarshal([]byte(known.Labels[constraintsLabel]), &constraints)
	known.Env = slices.DeleteFunc(known.Env, func(kv string) bool {
		constraint, ok := strings.CutPrefix(kv, "constraint:")
		if ok {
			constraints = append(constraints, constraint)
		}
		return ok
	})
	if len(constraints) > 0 {
		label, _ := json.Marshal(constraints)
		labels := map[string]string{constraintsLabel: string(label)}
		maps.Copy(labels, known.Labels)
		whole["Labels"], _ = json.Marshal(labels)
		whole["Env"], _ = json.Marshal(known.Env)
		if body, err = json.Marshal(whole); err != nil {
			return err
		}
	}
	n, err := f.place(c, constraints, known.Image)
	if err != nil {
		return err
	}
	answer, err := c.send(c.Context(), n, c.Method, c.path, c.URL.Query(), bytes.NewReader(body))
	if err != nil {
		return unreachable(n, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		err := refusalOf(answer)
		if answer.StatusCode != http.StatusNotFound { // no such image
			err = refusePlainly(http.StatusInternalServerError, "Error response from daemon: %s", err)
		}
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.StatusCode)
	_, err = io.Copy(w, answer.Body)
	return err
}

func (f front) checkName(c *call, name string) error {
	if name == "" {
		return nil
	}
	for _, n := range f.rig.Nodes {
		var list []container.Summary
		filter, _ := json.Marshal(map[string][]string{"name": {"^/?" + name + "$"}})
		query := url.Values{"all": {"1"}, "filters": {string(filter)}}
		if err := c.ask(c.Context(), n, "/containers/json", query, &list); err != nil {
			f.rig.watch.mu.Lock()
			list = slices.Clone(f.rig.watch.lists[n.Name])
			f.rig.watch.mu.Unlock()
			list = slices.DeleteFunc(list, func(ct container.Summary) bool { return ct.Names[0] != "/"+name })
		}
		if len(list) > 0 {
			return refusePlainly(http.StatusConflict, "Conflict: The name %s is already assigned. You have to delete (or rename) that container to be able to assign %s to a container again.", name, name)
		}
	}
	return nil
}

func (f front) place(c *call, constraints []string, image string) (*Node, error) {
	var fits []*Node
	for _, n := range f.up() {
		ok := true
		for _, constraint := range constraints {
			if name, is := strings.CutPrefix(constraint, "node=="); is && name != n.Name {
				ok = false
			}
			if name, is := strings.CutPrefix(constraint, "node!="); is && name == n.Name {
				ok = false
			}
		}
		if ok {
			fits = append(fits, n)
		}
	}
	if len(fits) == 0 {
		return nil, refusePlainly(http.StatusInternalServerError, "could not find any nodes on which the container could be created")
	}
	for _, n := range fits {
		var found json.RawMessage
		if len(fits) == 1 || c.ask(c.Context(), n, "/images/"+image+"/json", nil, &found) == nil {
			return n, nil
		}
	}
	return fits[0], nil
}
