package ucp

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

// posted are the bodies of the POSTs to a path, decoded.
func (s *server) posted(path string) (bodies []map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.requests {
		if strings.HasPrefix(r, "POST /v"+s.api+path) {
			var body map[string]any
			if err := json.Unmarshal([]byte(s.bodies[i]), &body); err != nil {
				s.t.Errorf("%s: %v in %s", r, err, s.bodies[i])
			}
			bodies = append(bodies, body)
		}
	}
	return bodies
}

const cacheImageID = "sha256:d74508fb6632491cea586a1fd7d748dfc5274cd6fdfedee309ecdcbc2bf5cb82"

// aCache answers what a copy of a cache's container is made of; change changes the
// container's text.
func aCache(change ...string) handlers {
	return handlers{
		"GET /containers/x/json": func(w http.ResponseWriter, _ *http.Request) {
			text := recorded("cache.json")
			for i := 0; i < len(change); i += 2 {
				if !strings.Contains(text, change[i]) {
					panic("nothing to change: " + change[i])
				}
				text = strings.Replace(text, change[i], change[i+1], 1)
			}
			answer(w, 200, text)
		},
		"GET /images/" + cacheImageID + "/json": file("cache-image.json"),
		"POST /containers/create":               always(201, `{"Id":"new","Warnings":null}`),
		"POST /networks/8fb3/connect":           always(200, ``),
	}
}

var copySpec = CopySpec{Name: "dtr-cache", Image: "mirantis/dtr-content-cache:2.6.15", Node: "worker1", Labels: map[string]string{"replaces": "x"}}

func TestCopyKeepsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := serveUCP(t, "1.30", aCache())
	id, err := s.engine().Copy(t.Context(), "x", copySpec)
	if err != nil || id != "new" {
		t.Fatalf("id %q, error %v", id, err)
	}
	if len(s.asked("POST /v1.30/containers/create?name=dtr-cache")) != 1 {
		t.Errorf("%q", s.requests)
	}
	var was struct{ HostConfig map[string]any }
	if err := json.Unmarshal([]byte(recorded("cache.json")), &was); err != nil {
		t.Fatal(err)
	}
	host := maps.Clone(was.HostConfig)
	host["Binds"] = []any{
		"/etc/cache/config.yml:/config.yml:ro", "dtr-cache-data:/data", // and the volume without a name:
		"9cd87474be90c9edfca67a5ce8e1c7d6cf4c65e22b1f59c81ba3f9f18b1dc9b0:/scratch",
	}
	want := map[string]any{
		"Image": "mirantis/dtr-content-cache:2.6.15", "Domainname": "", "User": "cache", "Tty": false, "ArgsEscaped": true,
		"ExposedPorts": map[string]any{"80/tcp": map[string]any{}}, "Volumes": map[string]any{"/mine": map[string]any{}},
		"Env":              []any{"LEVEL=debug", "constraint:node==worker1"},
		"Labels":           map[string]any{"mine": "yes", "com.docker.ucp.access.label": "/ops", "replaces": "x"},
		"HostConfig":       host,
		"NetworkingConfig": map[string]any{"EndpointsConfig": map[string]any{"dtr-ol": map[string]any{"IPAMConfig": map[string]any{"IPv4Address": "10.1.0.9"}, "Aliases": []any{"cache"}}}},
	}
	if diff := cmp.Diff([]map[string]any{want}, s.posted("/containers/create")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	connect := []map[string]any{{"Container": "new", "EndpointConfig": map[string]any{"IPAMConfig": map[string]any{}, "Aliases": []any{"edge"}}}}
	if diff := cmp.Diff(connect, s.posted("/networks/8fb3/connect")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCopyOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change []string
		want   map[string]any // members of the body; nil is a member that is not there
	}{
		"an entry point of its own keeps the command": {
			[]string{`"Entrypoint": ["/bin/cache"], "OnBuild"`, `"Entrypoint": ["/bin/mine"], "OnBuild"`},
			map[string]any{"Entrypoint": []any{"/bin/mine"}, "Cmd": []any{"/config.yml"}},
		},
		"a command of its own": {
			[]string{`"Cmd": ["/config.yml"]`, `"Cmd": ["/other.yml"]`}, map[string]any{"Entrypoint": nil, "Cmd": nil},
		},
		"a host name of its own": {[]string{`"Hostname": "4fa6e0f0c678"`, `"Hostname": "cache"`}, map[string]any{"Hostname": "cache"}},
		"the node's network": {
			[]string{`"NetworkMode": "dtr-ol"`, `"NetworkMode": "host"`, `"Hostname": "4fa6e0f0c678"`, `"Hostname": "worker1"`, `"dtr-ol":`, `"host":`, `"IPAMConfig": {"IPv4Address": "10.1.0.9"}, "Links": null, "Aliases": ["cache", "4fa6e0f0c678"]`, `"IPAMConfig": null, "Links": null, "Aliases": null`},
			map[string]any{"Hostname": nil, "NetworkingConfig": map[string]any{"EndpointsConfig": map[string]any{}}},
		},
		"placed already": {
			[]string{`"com.docker.swarm.id": "2f1e"`, `"com.docker.swarm.constraints": "[\"node==worker1\"]"`},
			map[string]any{"Env": []any{"LEVEL=debug"}},
		},
		"a health check of its own": {[]string{`"Test": ["CMD", "/bin/check"]`, `"Test": ["NONE"]`}, map[string]any{"Healthcheck": map[string]any{"Test": []any{"NONE"}, "Interval": 30000000000.0}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveUCP(t, "1.30", aCache(c.change...))
			if _, err := s.engine().Copy(t.Context(), "x", copySpec); err != nil {
				t.Fatal(err)
			}
			body := s.posted("/containers/create")[0]
			if name == "a command of its own" {
				c.want = map[string]any{"Entrypoint": nil, "Cmd": []any{"/other.yml"}}
			}
			for key, want := range c.want {
				got, there := body[key]
				if diff := cmp.Diff(want, got); diff != "" || (want == nil) == there {
					t.Errorf("%s (-want +got)\n%s", key, diff)
				}
			}
		})
	}
}

// TestCopyFails holds that nothing is created where the original is not understood,
// and that what was created is told when it cannot be connected.
func TestCopyFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil   func(handlers)
		id      string
		created int
		want    func(error) bool
	}{
		"removes itself":  {func(h handlers) { maps.Copy(h, aCache(`"AutoRemove": false`, `"AutoRemove": true`)) }, "", 0, func(err error) bool { return strings.Contains(err.Error(), "could not be put back") }},
		"no container":    {func(h handlers) { delete(h, "GET /containers/x/json") }, "", 0, cerrdefs.IsNotFound},
		"no image":        {func(h handlers) { delete(h, "GET /images/"+cacheImageID+"/json") }, "", 0, cerrdefs.IsNotFound},
		"name taken":      {func(h handlers) { h["POST /containers/create"] = always(409, `{"message":"Conflict"}`) }, "", 1, cerrdefs.IsConflict},
		"no such network": {func(h handlers) { delete(h, "POST /networks/8fb3/connect") }, "new", 1, cerrdefs.IsNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := aCache()
			c.spoil(h)
			s := serveUCP(t, "1.30", h)
			id, err := s.engine().Copy(t.Context(), "x", copySpec)
			if err == nil || !c.want(err) || id != c.id {
				t.Errorf("id %q, error %v", id, err)
			}
			if n := len(s.posted("/containers/create")); n != c.created {
				t.Errorf("%d were created", n)
			}
		})
	}
}

// TestServiceImageAlone holds that an update sends the service's own spec, down to
// what this client does not know.
func TestServiceImageAlone(t *testing.T) {
	t.Parallel()
	s := serveUCP(t, "1.30", engine1706())
	e := s.engine()
	service, err := e.Services().Inspect(t.Context(), "dtr-cache_cache")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Services().SetImage(t.Context(), service, `mirantis/dtr-content-cache:2.6.15`); err != nil {
		t.Fatal(err)
	}
	var was struct{ Spec map[string]any }
	if err := json.Unmarshal([]byte(recorded("service.json")), &was); err != nil {
		t.Fatal(err)
	}
	was.Spec["TaskTemplate"].(map[string]any)["ContainerSpec"].(map[string]any)["Image"] = "mirantis/dtr-content-cache:2.6.15"
	if diff := cmp.Diff([]map[string]any{was.Spec}, s.posted("/services/ozfsuj7dblzwjo4ewftavhcdy/update?version=1043")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, r := range s.requests {
		if strings.Contains(r, "rollback") || strings.Contains(r, "registryAuthFrom") {
			t.Error(r)
		}
	}
}

func TestServiceByItsWholeName(t *testing.T) {
	t.Parallel()
	h := engine1706()
	h["GET /services/ozfs"] = h["GET /services/dtr-cache_cache"] // the beginning of its id
	h["GET /services/ozfsuj7dblzwjo4ewftavhcdy"] = h["GET /services/dtr-cache_cache"]
	h["GET /services/plugin"] = always(200, `{"ID":"1","Version":{"Index":1},"Spec":{"Name":"plugin","TaskTemplate":{"PluginSpec":{"Name":"p"}},"Mode":{"Global":{}}}}`)
	s := serveUCP(t, "1.30", h)
	e := s.engine()
	for name, found := range map[string]bool{"ozfs": false, "nobody": false, "ozfsuj7dblzwjo4ewftavhcdy": true, "dtr-cache_cache": true} {
		if _, err := e.Services().Inspect(t.Context(), name); (err == nil) != found || err != nil && !cerrdefs.IsNotFound(err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	plugin, err := e.Services().Inspect(t.Context(), "plugin")
	if err != nil || plugin.Image != "" || plugin.Replicas != -1 {
		t.Errorf("%+v, error %v", plugin, err)
	}
	if err := e.Services().SetImage(t.Context(), plugin, "a:1"); err == nil || slices.ContainsFunc(s.requests, func(r string) bool { return strings.HasPrefix(r, "POST") && strings.Contains(r, "services") }) {
		t.Errorf("a service without a container: error %v, %q", err, s.requests)
	}
}

func TestCopyOfWhatIsNotDescribed(t *testing.T) {
	t.Parallel()
	for _, description := range []string{
		`{"Id":"x","Image":"` + cacheImageID + `","HostConfig":{}}`,
		`{"Id":"x","Image":"` + cacheImageID + `","Config":{}}`,
		`{"Id":"x","Image":"` + cacheImageID + `","Config":null,"HostConfig":null}`,
	} {
		h := aCache()
		h["GET /containers/x/json"] = always(200, description)
		s := serveUCP(t, "1.30", h)
		if _, err := s.engine().Copy(t.Context(), "x", copySpec); err == nil || !strings.Contains(err.Error(), "no Config or no HostConfig") {
			t.Errorf("%s: error %v", description, err)
		}
		if len(s.posted("/containers/create")) != 0 {
			t.Errorf("%s: a container was created", description)
		}
	}
}

func FuzzCopy(f *testing.F) {
	f.Add([]byte(recorded("cache.json")), []byte(`{"Env":["PATH=/bin"],"Labels":{"a":"b"},"Volumes":{"/data":{}}}`))
	f.Add([]byte(`{"ID":"abc","Image":"i"}`), []byte(`{}`))
	f.Add([]byte(`{"Config":{"Labels":null,"Env":3,"Volumes":[]},"HostConfig":{"Binds":["a"],"Mounts":{}},"NetworkSettings":{"Networks":{"x":null}}}`), []byte(`null`))
	f.Fuzz(func(t *testing.T, container, image []byte) {
		var o original
		var config object
		if json.Unmarshal(container, &o) != nil || json.Unmarshal(image, &config) != nil {
			return
		}
		body, others, err := o.request(config, copySpec)
		if err != nil {
			return
		}
		for _, o := range others {
			if !json.Valid(o.json()) {
				t.Errorf("not JSON: %s", o.json())
			}
		}
		var created struct{ Image string }
		if err := json.Unmarshal(body, &created); err != nil || created.Image != copySpec.Image {
			t.Errorf("image %q, error %v", created.Image, err)
		}
	})
}
