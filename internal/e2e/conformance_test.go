//go:build e2e && linux

package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// behaviour is something about engines that the provider relies on, as it looks
// from outside.
type behaviour struct {
	name    string
	observe func(t *testing.T, s *subject) any
}

// TestSimulatedEnginesBehaveAsRealOnes holds the simulation, which all other
// tests rest on, against real engines: nothing is expected but that both behave
// the same.
func TestSimulatedEnginesBehaveAsRealOnes(t *testing.T) {
	repository, _, err := engines.Publish(t.Context(), "conformance/dtr", "2.6.8")
	if err != nil {
		t.Fatal(err)
	}
	actual := cluster(t, "2.6.8")
	simulated, err := simulator.Start(simulator.Options{Version: "2.6.8", Speed: 2000, APIVersion: "1.41"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(simulated.Close)
	simulated.AddMirror(repository)

	tellImage := func(f simulator.BootstrapperFaults) []string {
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return []string{standin.EnvFaults + "=" + string(text)}
	}
	tellCluster := func(f simulator.BootstrapperFaults) []string {
		simulated.SetBootstrapper(f)
		return nil
	}
	for _, way := range []struct {
		name            string
		simulated, real *subject
		behaviours      []behaviour
	}{
		{"through UCP", through(t, simulated, repository), through(t, actual, repository), slices.Concat(imageBehaviours, containerBehaviours, ucpBehaviours, serviceBehaviours)},
		{
			"directly", at(t, strings.TrimPrefix(simulated.DockerHost(), "unix://"), repository), at(t, engines.Node("worker2").Socket(), repository),
			slices.Concat(imageBehaviours, containerBehaviours, engineBehaviours),
		},
	} {
		way.simulated.fail, way.real.fail = tellCluster, tellImage
		t.Run(way.name, func(t *testing.T) {
			for _, b := range way.behaviours {
				t.Run(b.name, func(t *testing.T) {
					if diff := gocmp.Diff(b.observe(t, way.real), b.observe(t, way.simulated), cmpopts.IgnoreUnexported(answer{})); diff != "" {
						t.Errorf("the simulated engines (+) do not behave as the real ones (-):\n%s", diff)
					}
				})
			}
		})
	}
}

var containerBehaviours = []behaviour{
	{"a container without an image", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.post(t, "/containers/create?name=compared", object{"Image": s.repository + ":2.6.99"})
	}},
	{"a container without anything", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.post(t, "/containers/create?name=compared", object{})
	}},
	{"a name that is not one", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		return s.post(t, "/containers/create?name=not%20a%20name", object{"Image": s.image("-api")})
	}},
	{"a name that is taken", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		s.create(t, "compared", object{"Image": s.image("-api")})
		return s.post(t, "/containers/create?name=compared", object{"Image": s.image("-api")})
	}},
	{"a name that many want at once", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		const many = 5
		answers := make([]answer, many)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = s.post(t, "/containers/create?name=compared", object{"Image": s.image("-api")}) })
		}
		all.Wait()
		statuses := make([]int, many)
		for i, a := range answers {
			statuses[i] = a.Status
			if a.Status == http.StatusCreated {
				s.do(t, http.MethodDelete, "/containers/"+a.object(t)["Id"].(string), nil)
			}
		}
		slices.Sort(statuses)
		return statuses
	}},
	{"the life of a container", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		id := s.create(t, "compared", object{"Image": s.image("-api"), "Labels": object{"a": "b"}})
		var seen []any
		see := func(step string, a answer) {
			state := s.state(t, id)
			if strings.HasPrefix(step, "stopped") {
				delete(state, "ExitCode") // is up to the program
			}
			seen = append(seen, object{"step": step, "answer": a, "state": state})
		}
		see("created", s.get(t, "/containers/"+id+"/json"))
		see("waited for before it was started", s.post(t, "/containers/"+id+"/wait", nil))
		see("stopped before it was started", s.post(t, "/containers/"+id+"/stop", nil))
		see("killed before it was started", s.post(t, "/containers/"+id+"/kill", nil))
		see("started", s.post(t, "/containers/"+id+"/start", nil))
		see("started again", s.post(t, "/containers/"+id+"/start", nil))
		see("removed while it runs", s.do(t, http.MethodDelete, "/containers/"+id, nil))
		see("killed", s.post(t, "/containers/"+id+"/kill", nil))
		s.post(t, "/containers/"+id+"/wait", nil)
		see("gone", s.get(t, "/containers/"+id+"/json"))
		see("killed again", s.post(t, "/containers/"+id+"/kill", nil))
		see("started anew", s.post(t, "/containers/"+id+"/start", nil))
		see("stopped", s.post(t, "/containers/"+id+"/stop", nil))
		see("stopped again", s.post(t, "/containers/"+id+"/stop", nil))
		for i := range 2 {
			seen = append(seen, object{fmt.Sprint("removed ", i): s.do(t, http.MethodDelete, "/containers/"+id+"?v=1", nil)})
		}
		return append(seen,
			s.get(t, "/containers/"+id+"/json"), s.get(t, "/containers/"+id+"/logs?stdout=1"),
			s.post(t, "/containers/"+id+"/start", nil), s.post(t, "/containers/"+id+"/wait", nil))
	}},
	{"an exit status", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		id := s.run(t, "compared", object{"Image": s.image(""), "Cmd": []string{"nonsense"}})
		return []any{s.state(t, id), s.post(t, "/containers/"+id+"/wait", nil).object(t)["StatusCode"]}
	}},
	{"a container in the list", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		var seen []any
		id := s.create(t, "compared", object{"Image": s.image("-api"), "Labels": object{"compared": "yes"}})
		see := func(query string) {
			for _, o := range s.get(t, "/containers/json?"+query).list(t) {
				if o["Id"] != id {
					continue
				}
				name := o["Names"].([]any)[0].(string)
				seen = append(seen, object{
					"query": query, "name": name[strings.LastIndexByte(name, '/'):], "node": strings.Count(name, "/"),
					"image": s.normal(o["Image"].(string)), "image id": s.normal(o["ImageID"].(string)),
					"status": s.normal(o["Status"].(string)), "state": o["State"], "labels": o["Labels"],
					"network": o["HostConfig"].(object)["NetworkMode"],
				})
			}
		}
		labelled := url.QueryEscape(`{"label":{"compared=yes":true}}`)
		for _, action := range []string{"start", "kill"} {
			see("")
			see("all=1")
			see("all=1&filters=" + labelled)
			see("all=1&filters=" + url.QueryEscape(`{"label":["compared"]}`))
			see("all=1&filters=" + url.QueryEscape(`{"label":{"compared=no":true}}`))
			see("filters=" + url.QueryEscape(`{"status":{"exited":true,"created":true}}`))
			s.post(t, "/containers/"+id+"/"+action, nil)
		}
		s.post(t, "/containers/"+id+"/wait", nil)
		see("")
		see("all=1")
		return append(seen, s.get(t, "/containers/json?filters="+url.QueryEscape(`{"nonsense":{"x":true}}`)).Status)
	}},
	{"a container by part of its id", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		id := s.create(t, "compared", object{"Image": s.image("-api")})
		return []any{
			s.get(t, "/containers/"+id[:12]+"/json").Status, s.get(t, "/containers/compared/json").Status,
			s.get(t, "/containers/comp/json"),
		}
	}},
	{"a log", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		id := s.run(t, "compared", object{"Image": s.image(""), "Cmd": []string{"images"}})
		return []any{
			s.normal(s.logs(t, id, "stdout=1&stderr=1")), s.normal(s.logs(t, id, "stdout=1&follow=1")), s.logs(t, id, "stderr=1"),
			s.normal(s.logs(t, id, "stdout=1&tail=2")), s.logs(t, id, "stdout=1&since=99999999999"),
			s.get(t, "/containers/"+id+"/logs"), s.get(t, "/containers/"+id+"/logs?stdout=1&since=yesterday").Status,
		}
	}},
	{"the log of a container that was not started", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		return s.logs(t, s.create(t, "compared", object{"Image": s.image("")}), "stdout=1&follow=1")
	}},
	{"no log", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		id := s.run(t, "compared", object{"Image": s.image(""), "Cmd": []string{"images"}, "HostConfig": object{"LogConfig": object{"Type": "none"}}})
		return s.get(t, "/containers/"+id+"/logs?stdout=1")
	}},
	{"what a container without a log writes to those who are attached", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		var seen []any
		for i, query := range []string{"stream=1&stdout=1&stderr=1", "stream=1&stdout=1", "stream=1&stderr=1"} {
			for j, command := range []string{"images", "backup"} { // one to standard output, and a complaint to the other
				id := s.create(t, fmt.Sprintf("compared-%d-%d", i, j), object{
					"Image": s.image(""), "Cmd": []string{command}, "HostConfig": object{"LogConfig": object{"Type": "none"}},
				})
				a, stdout, stderr := s.attach(t, id, query, true)
				seen = append(seen, query, a, s.normal(stdout), strings.Contains(stderr, "are required"), s.state(t, id))
			}
		}
		return seen
	}},
	{"attached without taking the connection over", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		id := s.create(t, "compared", object{"Image": s.image(""), "Cmd": []string{"images"}})
		a, stdout, stderr := s.attach(t, id, "stream=1&stdout=1&stderr=1", false)
		return []any{a, s.normal(stdout), stderr, s.normal(s.logs(t, id, "stdout=1"))}
	}},
	{"attached to nothing", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.post(t, "/containers/nonsense/attach?stream=1&stdout=1", nil)
	}},
	{"a container that is removed while somebody is attached", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		id := s.create(t, "compared", object{"Image": s.image("-api")})
		response, err := s.send(t.Context(), http.MethodPost, "/containers/"+id+"/attach?stream=1&stdout=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		s.post(t, "/containers/"+id+"/start", nil)
		removed := s.do(t, http.MethodDelete, "/containers/"+id+"?force=1&v=1", nil)
		text, err := io.ReadAll(response.Body)
		return []any{removed, string(text), err != nil, s.get(t, "/containers/"+id+"/json").Status}
	}},
	{"a long line, and one without an end", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		env := s.fail(simulator.BootstrapperFaults{LongLine: 100_000, Unfinished: true})
		id := s.create(t, "compared", object{"Image": s.image(""), "Cmd": []string{"upgrade"}, "Env": env})
		s.post(t, "/containers/"+id+"/start", nil)
		followed := s.logs(t, id, "stdout=1&stderr=1&follow=1")
		s.post(t, "/containers/"+id+"/wait", nil)
		whole := s.logs(t, id, "stdout=1&stderr=1")
		look := func(log string) object {
			lines := strings.Split(log, "\n")
			longest := slices.MaxFunc(lines, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
			return object{"lines": len(lines), "x": strings.Count(longest, "x"), "last": lines[len(lines)-1]}
		}
		if s.direct && !strings.HasPrefix(whole, followed) {
			t.Errorf("what was followed is no beginning of the whole: %d and %d bytes", len(followed), len(whole))
		}
		// Docker loses the last line now and then when the log is followed.
		return look(whole)
	}},
	{"an API version that is not spoken", func(t *testing.T, s *subject) any {
		t.Helper()
		var seen []any
		other := *s
		other.base = strings.Replace(s.base, "v1.41", "v1.99", 1)
		return append(seen, other.get(t, "/containers/json"))
	}},
	{"old API versions", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		var seen []any
		for _, version := range []string{"1.30", "1.37", "1.39", "1.40"} {
			other := *s
			other.base = strings.Replace(s.base, "v1.41", "v"+version, 1)
			t.Run(version, func(t *testing.T) {
				id := other.create(t, "compared-"+version, object{"Image": s.image("-api")})
				seen = append(seen, version, other.post(t, "/containers/"+id+"/start", nil), other.state(t, id), other.do(t, http.MethodDelete, "/containers/"+id, nil))
			})
		}
		return seen
	}},
	{"a path that is not one", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.get(t, "/nonsense")
	}},
	{"networks", func(t *testing.T, s *subject) any {
		t.Helper()
		return []any{s.get(t, "/networks/nonsense")}
	}},
	{"a version", func(t *testing.T, s *subject) any {
		t.Helper()
		return pick(s.get(t, "/version").object(t), "ApiVersion", "MinAPIVersion", "Os")
	}},
	{"a ping", func(t *testing.T, s *subject) any {
		t.Helper()
		response, err := s.send(t.Context(), http.MethodGet, "/_ping", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return []any{response.StatusCode, response.Header.Get("Api-Version")}
	}},
}

var ucpBehaviours = []behaviour{
	{"a container on a node", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		id := s.create(t, "compared", object{"Image": s.image("-api"), "Env": []string{"A=B", "constraint:node==worker3"}})
		o := s.get(t, "/containers/"+id+"/json").object(t)
		var env []string
		for _, kv := range o["Config"].(object)["Env"].([]any) {
			if kv == "A=B" || strings.HasPrefix(kv.(string), "constraint") {
				env = append(env, kv.(string))
			}
		}
		return []any{
			env, o["Name"], o["Node"].(object)["Name"], o["Config"].(object)["Labels"].(object)["com.docker.swarm.constraints"],
			s.get(t, "/containers/worker3/compared/json").Status, s.get(t, "/containers/worker2/compared/json"),
		}
	}},
	{"a name that is taken on another node", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image("-api"))
		s.create(t, "compared", object{"Image": s.image("-api"), "Env": []string{"constraint:node==worker3"}})
		return s.post(t, "/containers/create?name=compared", object{"Image": s.image("-api"), "Env": []string{"constraint:node==worker2"}})
	}},
	{"a container on no node", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.post(t, "/containers/create?name=compared", object{"Image": s.image("-api"), "Env": []string{"constraint:node==nowhere"}})
	}},
	{"images of a node", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		var seen []any
		for _, node := range []string{"worker1", "nowhere"} {
			found := false
			for _, o := range s.get(t, "/images/json?filters="+url.QueryEscape(fmt.Sprintf(`{"node":{%q:true}}`, node))).list(t) {
				found = found || hasTag(o, s.image(""))
			}
			seen = append(seen, node, found)
		}
		return seen
	}},
	{"nodes", func(t *testing.T, s *subject) any {
		t.Helper()
		var seen []any
		for _, o := range s.get(t, "/nodes").list(t) {
			description := o["Description"].(object)
			if description["Hostname"] == "manager1" {
				continue // the real cluster has no more nodes than replicas
			}
			memory, _ := description["Resources"].(object)["MemoryBytes"].(float64)
			seen = append(seen, object{
				"name": description["Hostname"], "memory": memory > 0, "engine": description["Engine"].(object)["EngineVersion"] != "",
				"state": o["Status"].(object)["State"], "availability": o["Spec"].(object)["Availability"],
			})
		}
		slices.SortFunc(seen, func(a, b any) int {
			return strings.Compare(a.(object)["name"].(string), b.(object)["name"].(string))
		})
		return seen
	}},
	{"the overlay network", func(t *testing.T, s *subject) any {
		t.Helper()
		return pick(s.get(t, "/networks/dtr-ol").object(t), "Name", "Driver", "Scope", "Attachable")
	}},
	{"no token", func(t *testing.T, s *subject) any {
		t.Helper()
		other := *s
		other.token = ""
		return other.get(t, "/containers/json")
	}},
}

var engineBehaviours = []behaviour{
	{"nodes, of a worker", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.get(t, "/nodes")
	}},
	{"services, of a worker", func(t *testing.T, s *subject) any {
		t.Helper()
		return []any{s.get(t, "/services"), s.get(t, "/services/compared"), s.get(t, "/tasks")}
	}},
	{"memory", func(t *testing.T, s *subject) any {
		t.Helper()
		memory, _ := s.get(t, "/info").object(t)["MemTotal"].(float64)
		return memory > 0
	}},
}
