package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// oldestAPI is the oldest Engine API version that the engines still speak.
const oldestAPI = "1.12"

// engineRoute is one endpoint. A single * in the pattern stands for a name,
// which may hold slashes.
type engineRoute struct {
	method, pattern string
	serve           func(e *engine, s scope, w http.ResponseWriter, r *http.Request, name string) error
}

var engineRoutes = []engineRoute{
	{"GET", "/_ping", (*engine).servePing},
	{"GET", "/version", (*engine).serveVersion},
	{"GET", "/info", (*engine).serveInfo},
	{"GET", "/nodes", (*engine).serveNodes},
	{"GET", "/services", onManager((*engine).serveServices)},
	{"POST", "/services/create", onManager((*engine).serveServiceCreate)},
	{"GET", "/services/*", onManager((*engine).serveService)},
	{"POST", "/services/*/update", onManager((*engine).serveServiceUpdate)},
	{"DELETE", "/services/*", onManager((*engine).serveServiceRemove)},
	{"GET", "/tasks", onManager((*engine).serveTasks)},
	{"GET", "/networks", (*engine).serveNetworks},
	{"GET", "/networks/*", (*engine).serveNetwork},
	{"POST", "/networks/*/connect", (*engine).serveConnect},
	{"GET", "/volumes", (*engine).serveVolumes},
	{"GET", "/containers/json", (*engine).serveList},
	{"POST", "/containers/create", (*engine).serveCreate},
	{"GET", "/containers/*/json", (*engine).serveInspect},
	{"GET", "/containers/*/logs", (*engine).serveLogs},
	{"GET", "/containers/*/stats", (*engine).serveStats},
	{"POST", "/containers/*/attach", (*engine).serveAttach},
	{"POST", "/containers/*/start", (*engine).serveStart},
	{"POST", "/containers/*/stop", (*engine).serveStop},
	{"POST", "/containers/*/kill", (*engine).serveKill},
	{"POST", "/containers/*/wait", (*engine).serveWait},
	{"POST", "/containers/*/rename", (*engine).serveRename},
	{"DELETE", "/containers/*", (*engine).serveRemove},
	{"GET", "/images/json", (*engine).serveImages},
	{"GET", "/images/*/json", (*engine).serveImage},
	{"POST", "/images/create", (*engine).servePull},
	{"POST", "/images/load", (*engine).serveLoad},
	{"GET", "/distribution/*/json", (*engine).serveDistribution},
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

// handler serves the Docker Engine API for a scope.
func (e *engine) handler(s scope) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.cluster() && e.isDown(s.node) {
			resetConnection(w)
			return
		}
		path := r.URL.Path
		if m := versionPrefix.FindStringSubmatch(path); m != nil {
			path = m[2]
			if err := e.checkVersion(m[1]); err != nil {
				writeEngineError(w, err)
				return
			}
		}
		for _, rt := range engineRoutes {
			name, ok := rt.match(path)
			if !ok || rt.method != r.Method && !e.headOfPing(r.Method, path) {
				continue
			}
			e.writeHeaders(w)
			if err := rt.serve(e, s, w, r, name); err != nil {
				writeEngineError(w, err)
			}
			return
		}
		writeEngineError(w, errorf(http.StatusNotFound, "page not found"))
	})
}

// headOfPing: HEAD /_ping came with API 1.40.
func (e *engine) headOfPing(method, path string) bool {
	return method == http.MethodHead && path == "/_ping" && compareAPI(e.apiVersion, "1.40") >= 0
}

func (e *engine) isDown(node string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nodeByName(node).down
}

func (e *engine) checkVersion(v string) error {
	if compareAPI(v, e.apiVersion) > 0 {
		return errorf(http.StatusBadRequest, "client version %s is too new. Maximum supported API version is %s", v, e.apiVersion)
	}
	if compareAPI(v, oldestAPI) < 0 {
		return errorf(http.StatusBadRequest, "client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", v, oldestAPI)
	}
	return nil
}

// compareAPI compares two Engine API versions, 1.9 before 1.30.
func compareAPI(a, b string) int {
	number := func(v string) int {
		major, minor, _ := strings.Cut(v, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		return x*1000 + y
	}
	return number(a) - number(b)
}

func (e *engine) writeHeaders(w http.ResponseWriter) {
	w.Header().Set("Api-Version", e.apiVersion)
	w.Header().Set("Docker-Experimental", "false")
	w.Header().Set("Ostype", "linux")
	w.Header().Set("Server", fmt.Sprintf("Docker/%s (linux)", e.version))
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client went away: nobody to tell
	return nil
}

func writeEngineError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if known, ok := errors.AsType[*engineError](err); ok {
		status = known.status
	}
	if status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	_ = writeJSON(w, status, map[string]string{"message": err.Error()})
}

// isSet reads a boolean query parameter as Docker does.
func isSet(r *http.Request, name string) bool {
	switch strings.ToLower(strings.TrimSpace(r.URL.Query().Get(name))) {
	case "", "0", "no", "false", "none":
		return false
	default:
		return true
	}
}

// filters is the query parameter of that name: terms with the values allowed.
// Both forms that Docker ever took are understood.
func filters(r *http.Request, known ...string) (map[string][]string, error) {
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
	for term := range out {
		if !slices.Contains(known, term) {
			return nil, errorf(http.StatusBadRequest, "Invalid filter '%s'", term)
		}
	}
	return out, nil
}
