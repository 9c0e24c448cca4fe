package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// engineServer serves the Docker Engine API.
type engineServer struct {
	engine *engine
	routes []engineRoute
}

func newEngineServer(e *engine, w *swarmState, r *registry) *engineServer {
	return &engineServer{engine: e, routes: slices.Concat(
		systemAPI{e}.routes(), networkAPI{e}.routes(), containerAPI{e}.routes(), lifecycleAPI{e}.routes(), outputAPI{e}.routes(),
		imageAPI{e, r}.routes(), serviceAPI{e, w}.routes(),
	)}
}

// handler serves the Docker Engine API for a scope.
func (s *engineServer) handler(covered scope) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !covered.cluster() && s.isDown(covered.node) {
			resetConnection(w)
			return
		}
		path := r.URL.Path
		if m := versionPrefix.FindStringSubmatch(path); m != nil {
			path = m[2]
			if err := s.checkVersion(m[1]); err != nil {
				writeEngineError(w, err)
				return
			}
		}
		for _, rt := range s.routes {
			name, ok := rt.match(path)
			if !ok || rt.method != r.Method && !s.headOfPing(r.Method, path) {
				continue
			}
			s.writeHeaders(w)
			w.Header().Set("Date", s.date(covered, rt, name))
			if err := rt.serve(covered, w, r, name); err != nil {
				writeEngineError(w, err)
			}
			return
		}
		writeEngineError(w, errorf(http.StatusNotFound, "page not found"))
	})
}

// date is when the answer is made, by the clock of the machine that makes it.
func (s *engineServer) date(covered scope, rt engineRoute, name string) string {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	answers := s.engine.nodeByName(cmp.Or(covered.node, managerName))
	if rt.through == passedOn && covered.cluster() {
		if c, err := s.engine.reachable(covered, name); err == nil {
			answers = c.node
		}
	}
	return httpDate(answers.date(time.Now()))
}

// headOfPing accepts HEAD /_ping from API 1.40 on, which brought it.
func (s *engineServer) headOfPing(method, path string) bool {
	return method == http.MethodHead && path == "/_ping" && compareAPI(s.engine.apiVersion, "1.40") >= 0
}

func (s *engineServer) isDown(node string) bool {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return s.engine.nodeByName(node).down
}

func (s *engineServer) checkVersion(v string) error {
	if compareAPI(v, s.engine.apiVersion) > 0 {
		return errorf(http.StatusBadRequest, "client version %s is too new. Maximum supported API version is %s", v, s.engine.apiVersion)
	}
	if compareAPI(v, oldestAPI) < 0 {
		return errorf(http.StatusBadRequest, "client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", v, oldestAPI)
	}
	return nil
}

// writeHeaders sets the headers that every answer has.
func (s *engineServer) writeHeaders(w http.ResponseWriter) {
	w.Header().Set("Api-Version", s.engine.apiVersion)
	w.Header().Set("Docker-Experimental", "false")
	w.Header().Set("Ostype", "linux")
	w.Header().Set("Server", fmt.Sprintf("Docker/%s (linux)", s.engine.version))
}
