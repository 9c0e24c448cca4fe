package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// What is here is how the Engine API of the cluster differs from that of an engine:
// behind UCP it is classic Swarm's, which keeps a list of what the engines told it,
// passes some requests on, and answers the rest itself.

// swarmErrorf is an answer of classic Swarm's own that is no success: plain text,
// where an engine writes JSON.
func swarmErrorf(status int, format string, args ...any) error {
	return &engineError{status: status, message: fmt.Sprintf(format, args...), plain: true}
}

// refused is an engine's refusal of what classic Swarm asks it to do, instead of
// passing the request on: the status is lost.
func (s scope) refused(err error) error {
	known, ok := errors.AsType[*engineError](err)
	if !s.cluster() || !ok || known.plain {
		return err
	}
	return swarmErrorf(http.StatusInternalServerError, "Error response from daemon: %s", known.message)
}

// noSuchContainer is the answer for a container that the scope does not know.
func (s scope) noSuchContainer(ref string) error {
	if s.cluster() {
		return swarmErrorf(http.StatusNotFound, "No such container: %s", ref)
	}
	return errorf(http.StatusNotFound, "No such container: %s", ref)
}

// findInSwarm is find as classic Swarm does it: a name that containers of several
// nodes have means none of them, and so does the beginning of several ids. The lock
// must be held.
func (e *engine) findInSwarm(ref string) (*ctr, error) {
	name := strings.TrimPrefix(ref, "/")
	for _, is := range []func(c *ctr) bool{
		func(c *ctr) bool { return c.id == ref },
		func(c *ctr) bool { return c.name == name || c.node.name+"/"+c.name == name },
		func(c *ctr) bool { return strings.HasPrefix(c.id, ref) },
	} {
		var found []*ctr
		for _, c := range e.containers {
			if (scope{}).covers(c.node) && is(c) {
				found = append(found, c)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return nil, scope{}.noSuchContainer(ref)
		}
	}
	return nil, scope{}.noSuchContainer(ref)
}

// nameTaken is the conflict of a name with that of another container. The lock must
// be held.
func (e *engine) nameTaken(s scope, name string) error {
	if s.cluster() && e.ghosts[name] > 0 {
		return nameConflict(name)
	}
	for _, c := range e.containers {
		switch {
		case !s.covers(c.node) || c.name != name:
		case s.cluster():
			return nameConflict(name)
		default:
			return errorf(http.StatusConflict, "Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+name, c.id)
		}
	}
	return nil
}

func nameConflict(name string) error {
	return swarmErrorf(http.StatusConflict, "Conflict: The name %s is already assigned. You have to delete (or rename) that container to be able to assign %s to a container again.", name, name)
}

// listed reports whether classic Swarm has the container in its list. It knows fewer
// filters than an engine and ignores the rest; its filters are regular expressions,
// but for labels.
func (c *ctr) listed(filter map[string][]string, all bool) bool {
	if !all && !slices.Contains(filter["status"], string(container.StateExited)) && (!c.runs() || c.node.down) {
		return false
	}
	return c.hasLabels(filter["label"]) &&
		matchesAny(filter["name"], c.name) && matchesAny(filter["id"], c.id) &&
		matchesAny(filter["status"], string(c.shown())) && matchesAny(filter["node"], c.node.name)
}

// matchesAny reports whether one of the patterns matches, or there is none.
func matchesAny(patterns []string, s string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := regexp.MatchString(p, s)
		return p == s || err == nil && ok
	})
}
