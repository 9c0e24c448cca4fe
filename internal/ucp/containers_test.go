package ucp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func TestContainersByLabel(t *testing.T) {
	// An engine that does not understand the filter lists everything.
	list := `[{"Id":"1","Labels":{"a":"1","b":"2"}},{"Id":"2","Labels":{"a":"1"}},{"Id":"3","Labels":{"a":"1","b":"22"}},{"Id":"4","Labels":{"a":"","b":"2"}},{"Id":"5"}]`
	s := serveUCP(t, "1.37", handlers{"GET /containers/json": always(200, list)})
	got, err := s.engine().Containers(t.Context(), map[string]string{"a": "1", "b": "2"})
	if err != nil || len(got) != 1 || got[0].ID != "1" {
		t.Errorf("%+v, error %v", got, err)
	}
	if len(s.asked(`GET /v1.37/containers/json?all=1&filters=%7B%22label%22%3A%7B%22a%3D1%22%3Atrue%2C%22b%3D2%22%3Atrue%7D%7D`)) != 1 {
		t.Errorf("asked %q", s.requests)
	}
}

func TestOwnName(t *testing.T) {
	for want, names := range map[string][]string{
		"":           nil,
		"db":         {"/web/alias", "/db"},
		"worker1/db": {"/worker1/web/alias", "/worker1/db", "/worker2/web/alias"},
	} {
		if got := ownName(names); got != want {
			t.Errorf("%q: %q, want %q", names, got, want)
		}
	}
}

func TestCreateBody(t *testing.T) {
	s := serveUCP(t, "1.30", engine1706())
	env := make([]string, 1, 10)
	env[0] = "UCP_PASSWORD=pa55word"
	_, err := s.engine().Create(t.Context(), CreateSpec{
		Name: "dtr-upgrade", Image: "docker/dtr:2.6.15", Args: []string{"upgrade"}, Env: env, Labels: map[string]string{"a": "b"},
		NetworkMode: "host", Node: "worker1", LogDriver: "json-file",
	})
	if err != nil {
		t.Fatal(err)
	}
	type body struct {
		Image      string
		Cmd, Env   []string
		Labels     map[string]string
		HostConfig struct {
			NetworkMode string
			LogConfig   struct{ Type string }
			AutoRemove  bool
		}
	}
	var got, want body
	if err := json.Unmarshal([]byte(s.body("POST /v1.30/containers/create")), &got); err != nil {
		t.Fatal(err)
	}
	want.Image, want.Cmd, want.Labels = "docker/dtr:2.6.15", []string{"upgrade"}, map[string]string{"a": "b"}
	want.Env = []string{"UCP_PASSWORD=pa55word", "constraint:node==worker1"}
	want.HostConfig.NetworkMode, want.HostConfig.LogConfig.Type = "host", "json-file"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if rest := env[:2]; rest[1] != "" {
		t.Errorf("the caller's array was written to: %q", rest)
	}
}

func TestCreateConflict(t *testing.T) {
	s := serveUCP(t, "1.37", handlers{"POST /containers/create": always(409, `{"message":"Conflict. The name \"/dtr-upgrade\" is already in use by container 4fa6."}`)})
	_, err := s.engine().Create(t.Context(), CreateSpec{Name: "dtr-upgrade", Image: "docker/dtr:2.6.15", Env: []string{"UCP_PASSWORD=pa55word"}})
	if !cerrdefs.IsConflict(err) || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("error %v", err)
	}
	if err := s.engine().Start(t.Context(), ""); err == nil {
		t.Error("no error")
	}
}

func TestRunning(t *testing.T) {
	for state, want := range map[string]bool{
		"running": true, "restarting": true, "paused": true,
		"created": false, "removing": false, "exited": false, "dead": false, "": false,
	} {
		if (Container{State: state}).Running() != want || (ContainerState{Status: state}).Running() != want {
			t.Errorf("%q: want %t", state, want)
		}
	}
}

func TestLogsCutShort(t *testing.T) {
	s := serveUCP(t, "1.37", handlers{
		"GET /containers/x/json": file("container.json"),
		"GET /containers/x/logs": func(w http.ResponseWriter, r *http.Request) {
			frame(w, 1, "one\n")
			_ = http.NewResponseController(w).Flush()
			lose(w, r)
		},
	})
	if got, err := readLogs(s.engine().Logs(t.Context(), "x", nil, true)); err == nil || got != "one\n" {
		t.Errorf("%q, error %v: an end that is none", got, err)
	}
}

// TestLogIsReadOn reads a log whose stream ends early and late, the last time with
// lines of the same time.
func TestLogIsReadOn(t *testing.T) {
	lines := []string{
		"2020-01-02T03:04:05.000000001Z one\n", "2020-01-02T03:04:05.000000002Z two\n",
		"2020-01-02T03:04:05.000000002Z three\n", "2020-01-02T03:04:06Z four of them\n",
	}
	upTo := 2
	s := serveUCP(t, "1.37", handlers{
		"GET /containers/x/json": file("container.json"),
		"GET /containers/x/logs": func(w http.ResponseWriter, r *http.Request) {
			for _, line := range lines[:upTo] {
				if since := r.URL.Query().Get("since"); since == "" || "2020-01-02T03:04:05.000000002Z" <= line {
					frame(w, 1, line)
				}
			}
		},
	})
	var mark LogMark
	for i, want := range []string{"one\ntwo\n", "three\n", "four of them\n", ""} {
		if got, err := readLogs(s.engine().Logs(t.Context(), "x", &mark, false)); got != want || err != nil {
			t.Errorf("the %d. time: %q, error %v, want %q", i+1, got, err, want)
		}
		upTo = min(upTo+1, len(lines))
	}
	if asked := s.asked("GET /v1.37/containers/x/logs?since=1577934245.000000002"); len(asked) != 2 {
		t.Errorf("asked %v", s.asked("GET /v1.37/containers/x/logs"))
	}
}

func TestFollowEnds(t *testing.T) {
	for name, end := range map[string]func(io.Closer, context.CancelFunc){
		"with Close":       func(r io.Closer, _ context.CancelFunc) { _ = r.Close() },
		"with the context": func(_ io.Closer, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{})
			s := serveUCP(t, "1.37", handlers{
				"GET /containers/x/json": file("container.json"),
				"GET /containers/x/logs": func(w http.ResponseWriter, r *http.Request) {
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
					close(gone)
				},
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := s.engine().Logs(ctx, "x", nil, true)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			read := make(chan error)
			go func() {
				_, err := r.Read(make([]byte, 10))
				read <- err
			}()
			end(r, cancel)
			if err := <-read; err == nil {
				t.Error("no error")
			}
			<-gone // the engine is not asked any more either
		})
	}
}

func TestContainersNamed(t *testing.T) {
	// UCP looks for the text in the name without the node; one that does not understand the filter lists everything.
	list := `[{"Id":"1","Names":["/worker1/dtr-api-0"]},{"Id":"2","Names":["/dtr-node/web"]},{"Id":"3","Names":["/worker1/web/dtr-x","/worker1/web"]},{"Id":"4","Names":["/my-dtr-x"]},{"Id":"5"}]`
	s := serveUCP(t, "1.37", handlers{"GET /containers/json": always(200, list)})
	got, err := s.engine().ContainersNamed(t.Context(), "dtr-")
	if err != nil || len(got) != 2 || got[0].ID != "1" || got[1].ID != "4" {
		t.Errorf("%+v, error %v", got, err)
	}
	if len(s.asked(`GET /v1.37/containers/json?all=1&filters=%7B%22name%22%3A%7B%22dtr-%22%3Atrue%7D%7D`)) != 1 {
		t.Errorf("asked %q", s.requests)
	}
	if _, err := s.engine().ContainersNamed(t.Context(), "a.b"); err != nil || len(s.asked(`GET /v1.37/containers/json?all=1&filters=%7B%22name%22%3A%7B%22a%5C%5C.b%22%3Atrue%7D%7D`)) != 1 {
		t.Errorf("error %v, asked %q", err, s.requests)
	}
}

// TestSelectContainers holds that no container is passed over for the way in which its texts are written, and that what is no container is an error.
func TestSelectContainers(t *testing.T) {
	patterns := []*regexp.Regexp{regexp.MustCompile("none of them"), regexp.MustCompile(`ker/dtr:2\.[0-9]`)}
	dtrs := func(c Container) bool {
		return patterns[1].MatchString(c.Name + c.Image + c.Command + c.Labels["note"])
	}
	for name, c := range map[string]struct{ entry, want string }{
		"name":                  {`{"Id":"1","Names":["/worker1/docker/dtr:2.5"]}`, "1"},
		"image":                 {`{"Id":"1","Image":"docker/dtr:2.5.6"}`, "1"},
		"command":               {`{"Id":"1","Command":"run docker/dtr:2.5.6"}`, "1"},
		"label":                 {`{"Id":"1","Labels":{"note":"docker/dtr:2.5"}}`, "1"},
		"escaped letter":        {`{"Id":"1","Image":"docker/\u0064tr:2.5"}`, "1"},
		"escaped digit":         {`{"Id":"1","Image":"docker/dtr:\u00322.5","Command":"docker/dtr:\u0032.5"}`, "1"},
		"escaped colon":         {`{"Id":"1","Image":"docker/dtr\u003A2.5"}`, "1"},
		"escaped dot":           {`{"Id":"1","Image":"docker/dtr:2\u002e5"}`, "1"},
		"escaped slash":         {`{"Id":"1","Image":"docker\/dtr:2.5"}`, "1"},
		"escaped slash as well": {`{"Id":"1","Image":"docker\u002Fdtr:2.5"}`, "1"},
		"given twice":           {`{"Id":"1","Image":"web","Image":"docker/dtr:2.5"}`, "1"},
		"other spelling":        {`{"id":"1","IMAGE":"docker/dtr:2.5"}`, "1"},
		"not UTF-8":             {`{"Id":"1","Image":"docker/dtr:2.5","Command":"` + "\xff" + `"}`, "1"},
		"another's":             {`{"Id":"1","Names":["/worker1/web"],"Image":"web","Command":"echo \"\\dt\""}`, ""},
		"another's, not read":   {`{"Id":1,"Command":"sh -c 'a \u0026\u0026 b \u003e c'"}`, ""},
		"bad":                   {`{"Id":1,"Image":"docker/dtr:2.5"}`, "error"},
		"no object":             {`1`, "error"},
		"no JSON":               {`{"Image":"web"`, "error"},
		"null":                  {`null`, ""},
	} {
		s := serveUCP(t, "1.37", handlers{"GET /containers/json": always(200, `[{"Id":"0","Image":"web"},`+c.entry+`]`)})
		containers, err := s.engine().SelectContainers(t.Context(), patterns, dtrs)
		got := ""
		if err != nil {
			got = "error"
		} else if len(containers) > 0 {
			got = containers[0].ID
		}
		if got != c.want {
			t.Errorf("%s: %q, error %v, want %q", name, got, err, c.want)
		}
	}
}

// TestListOfNone holds that null is an empty list.
func TestListOfNone(t *testing.T) {
	for _, list := range []string{"null", " null\n", "[]", " [ ] "} {
		s := serveUCP(t, "1.37", handlers{"GET /containers/json": always(200, list)})
		if got, err := s.engine().Containers(t.Context(), nil); err != nil || got == nil || len(got) > 0 {
			t.Errorf("%s: %v, error %v", list, got, err)
		}
	}
}

// TestListCutShort holds that the beginning of a list that broke off is not shown beside the whole one.
func TestListCutShort(t *testing.T) {
	whole := `[{"Id":"1","Names":["/a"]},{"Id":"2","Names":["/b"]}]`
	for name, first := range map[string]string{
		"between two": `[{"Id":"1","Names":["/a"]}`, "within one": `[{"Id":"1","Names":["/a"]},{"Id":"2"`,
		"more after it": whole + "1", "no list": `{"Id":"1"}`, "nothing": "",
	} {
		s := serveUCP(t, "1.37", handlers{"GET /containers/json": inTurn(always(200, first), always(200, whole))})
		got, err := s.engine().Containers(t.Context(), nil)
		if err != nil || len(got) != 2 || len(s.asked("GET /v1.37/containers/json")) != 2 {
			t.Errorf("%s: %+v, error %v, asked %q", name, got, err, s.requests)
		}
	}
}

// others writes a list of so many containers, as a large UCP shows them.
func others(n int, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		out := bufio.NewWriterSize(w, 1<<16)
		defer out.Flush()
		_, _ = out.WriteString("[")
		for i := range n {
			if i > 0 {
				_, _ = out.WriteString(",")
			}
			_, err := fmt.Fprintf(out, `{"Id":"%064x","Names":["/worker%d/%s-%d"],"Image":"example/web:1.2","Command":"web --port 80","Created":1577934245,`+
				`"Ports":[{"PrivatePort":80,"Type":"tcp"}],"Labels":{"com.docker.stack.namespace":"web","com.docker.swarm.node.id":"%025x","com.docker.swarm.task":"","com.example.note":"%0400d"},`+
				`"State":"running","Status":"Up 3 hours","HostConfig":{"NetworkMode":"web"},"NetworkSettings":{"Networks":{"web":{"IPAddress":"10.0.0.1"}}},"Mounts":[]}`, i, i%40, name, i, i, i)
			if err != nil {
				return
			}
		}
		_, _ = out.WriteString("]")
	}
}

// TestAllocationsOfAContainer is a gate: what one container of others' costs does not grow unseen, be it looked at or passed over.
//
//nolint:paralleltest // it counts allocations
func TestAllocationsOfAContainer(t *testing.T) {
	const n = 1000
	w := httptest.NewRecorder()
	others(n, "web")(w, nil)
	text := w.Body.String()
	all := list[listed]{begin: func() {}, take: func(l listed) int { _ = l.container(); return 0 }}
	patterns := []*regexp.Regexp{regexp.MustCompile("dtr")}
	passingOver := all
	passingOver.skip = func(text []byte) bool { return !mayMatch(text, patterns) }
	// Of the 28, 5 are encoding/json's own. One that is passed over takes none; under the race detector, regexp's pool forgets some of what it keeps.
	for most, l := range map[float64]list[listed]{28.1: all, 4: passingOver} {
		got := testing.AllocsPerRun(5, func() {
			if err := l.decode(strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}) / n
		if got > most {
			t.Errorf("%.2f allocations, more than %.1f", got, most)
		}
		t.Logf("%.2f allocations", got)
	}
}
