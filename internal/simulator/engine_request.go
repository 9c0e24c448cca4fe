package simulator

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// scope is the part of the cluster that an endpoint serves: all of it, as UCP shows
// it, or the engine of one node.
type scope struct{ node string }

func (s scope) cluster() bool { return s.node == "" }

// covers reports whether a node belongs to the scope. The lock must be held.
func (s scope) covers(n *node) bool { return s.cluster() && n.hidden == 0 || s.node == n.name }

// serveFunc answers a request to an endpoint of the scope's; name is what the path
// names. An error that it returns becomes the answer.
type serveFunc func(s scope, w http.ResponseWriter, r *http.Request, name string) error

// isSet reads a boolean query parameter as Docker does.
func isSet(r *http.Request, name string) bool {
	switch strings.ToLower(strings.TrimSpace(r.URL.Query().Get(name))) {
	case "", "0", "no", "false", "none":
		return false
	default:
		return true
	}
}

// filters reads the query parameter of that name: terms with their allowed values,
// in either of the two forms that Docker has ever accepted.
func filters(r *http.Request) (map[string][]string, error) {
	out := map[string][]string{}
	raw := r.URL.Query().Get("filters")
	if raw == "" {
		return out, nil
	}
	var set map[string]map[string]bool
	if err := json.Unmarshal([]byte(raw), &set); err == nil {
		for term, values := range set {
			for v := range values {
				out[term] = append(out[term], v)
			}
		}
	} else if err := json.Unmarshal([]byte(raw), &out); err != nil {
		return nil, errorf(http.StatusBadRequest, "invalid filters: %v", err)
	}
	return out, nil
}

// knownFilters is filters for lists that refuse a term that they do not know.
func knownFilters(r *http.Request, known ...string) (map[string][]string, error) {
	filter, err := filters(r)
	if err == nil {
		err = checkFilters(filter, known...)
	}
	return filter, err
}

func checkFilters(filter map[string][]string, known ...string) error {
	for term := range filter {
		if !slices.Contains(known, term) {
			return errorf(http.StatusBadRequest, "Invalid filter '%s'", term)
		}
	}
	return nil
}

var versionPrefix = regexp.MustCompile(`^/v([0-9]+\.[0-9]+)(/.*)$`)

// withoutVersion is the path without the /vX.Y that an Engine API path begins with.
func withoutVersion(path string) string {
	if m := versionPrefix.FindStringSubmatch(path); m != nil {
		return m[2]
	}
	return path
}

// passage is how a request comes to be answered that is made through UCP.
type passage int

const (
	answered passage = iota // by UCP itself, whatever it asks the engines
	passedOn                // by the engine of the container's node, with its headers
)

// engineRoute is one endpoint. A single * in the pattern stands for a name,
// which may hold slashes.
type engineRoute struct {
	method, pattern string
	serve           serveFunc
	through         passage
}

// match compares a path with the route's pattern and returns the name in it.
func (rt engineRoute) match(path string) (name string, ok bool) {
	before, after, wild := strings.Cut(rt.pattern, "*")
	if !wild {
		return "", path == rt.pattern
	}
	if len(path) <= len(before)+len(after) || !strings.HasPrefix(path, before) || !strings.HasSuffix(path, after) {
		return "", false
	}
	return path[len(before) : len(path)-len(after)], true
}
