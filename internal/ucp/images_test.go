package ucp

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

// A registry that is down is the engine's answer, not a fault of the engine.
func TestRegistryIsDown(t *testing.T) {
	s := serveUCP(t, "1.37", handlers{"GET /distribution/docker/dtr:2.6.15/json": always(500, `{"message":"received unexpected HTTP status: 503 Service Unavailable"}`)})
	_, err := s.engine().RemoteImage(t.Context(), "docker/dtr:2.6.15")
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Errorf("error %v", err)
	}
	if asked := s.asked("GET /v1.37/distribution"); len(asked) != 2 {
		t.Errorf("asked %d times, want 2: %v", len(asked), asked)
	}
}

func TestPull(t *testing.T) {
	tests := map[string]struct {
		stream   string
		progress []string
		err      string // part of the error, empty for none
		is       func(error) bool
	}{
		"one engine": {
			`{"status":"Pulling from docker/dtr","id":"2.6.15"}
			 {"status":"Pulling fs layer","progressDetail":{},"id":"31603596830f"}
			 {"status":"Downloading","progressDetail":{"current":1,"total":9},"progress":"[=>  ]","id":"31603596830f"}
			 {"status":"Downloading","progressDetail":{"current":8,"total":9},"progress":"[==> ]","id":"31603596830f"}
			 {"status":"Download complete","progressDetail":{},"id":"31603596830f"}
			 {"status":"Digest: sha256:92c7"}
			 {"status":"Status: Downloaded newer image for docker/dtr:2.6.15"}`,
			[]string{
				"2.6.15: Pulling from docker/dtr", "31603596830f: Pulling fs layer", "31603596830f: Download complete",
				"Digest: sha256:92c7", "Status: Downloaded newer image for docker/dtr:2.6.15",
			},
			"", nil,
		},
		"a cluster": {
			`{"id":"worker1","status":"Pulling docker/dtr:2.6.15..."}
			 {"id":"worker1","status":"Pulling docker/dtr:2.6.15..."}
			 {"id":"worker1","status":"Pulling docker/dtr:2.6.15... : downloaded"}`,
			[]string{"worker1: Pulling docker/dtr:2.6.15...", "worker1: Pulling docker/dtr:2.6.15... : downloaded"},
			"", nil,
		},
		"an error on the way": {
			`{"id":"worker1","status":"Pulling docker/dtr:2.6.15..."}
			 {"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}`,
			[]string{"worker1: Pulling docker/dtr:2.6.15..."},
			"manifest unknown", nil,
		},
		"an error with a code": {`{"errorDetail":{"code":404,"message":"manifest unknown"}}`, nil, "manifest unknown", cerrdefs.IsNotFound},
		"half of it":           {`{"id":"worker1","status":"Pulling`, nil, "unexpected EOF", nil},
		"nothing":              {``, nil, "", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serveUCP(t, "1.37", handlers{"POST /images/create": always(200, tt.stream)})
			var lines []string
			err := s.engine().Pull(t.Context(), "docker/dtr:2.6.15", func(l string) { lines = append(lines, l) })
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || tt.is != nil && !tt.is(err) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tt.progress, lines); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	t.Run("by digest", func(t *testing.T) {
		s := serveUCP(t, "1.37", handlers{"POST /images/create": always(200, "")})
		if err := s.engine().Pull(t.Context(), "reg.example.com/dtr/dtr@"+digest, nil); err != nil {
			t.Fatal(err)
		}
		if len(s.asked("POST /v1.37/images/create?fromImage=reg.example.com%2Fdtr%2Fdtr&tag=sha256%3A92c7")) != 1 {
			t.Errorf("asked %q", s.requests)
		}
	})
	t.Run("not a reference", func(t *testing.T) {
		s := serveUCP(t, "1.37", handlers{})
		if err := s.engine().Pull(t.Context(), "Not A Reference", nil); err == nil || len(s.asked("POST /v1.37")) > 0 {
			t.Errorf("error %v", err)
		}
	})
}

func TestLoad(t *testing.T) {
	var got string
	load := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		answer(w, 200, `{"stream":"Loaded image: docker/dtr:2.6.15\n"}`)
	}
	archive := filepath.Join(t.TempDir(), "dtr_images_2.6.15.tar.gz")
	if err := os.WriteFile(archive, []byte("the whole archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := serveUCP(t, "1.37", handlers{"POST /images/load": load})
	e := s.engine()
	s.expire()
	if err := e.Load(t.Context(), f, nil); err != nil || got != "the whole archive" || s.logins != 2 {
		t.Errorf("%q, error %v", got, err)
	}
	if _, err := f.Stat(); err != nil {
		t.Errorf("the caller's file was closed: %v", err)
	}
	s = serveUCP(t, "1.37", handlers{"POST /images/load": always(200, `{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`)})
	if err := s.engine().Load(t.Context(), strings.NewReader("tar"), nil); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v", err)
	}
}

func TestVersions(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want Version
	}{
		"UCP": {
			`{"Version":"ucp/3.1.4","ApiVersion":"1.30","Components":[{"Name":"Universal Control Plane","Version":"3.1.4"},{"Name":"Kubernetes","Version":"1.11"}]}`,
			Version{UCP: "3.1.4"},
		},
		"UCP as a component": {
			`{"Version":"18.09.2","ApiVersion":"1.39","Components":[{"Name":"Universal Control Plane","Version":"3.1.4"}]}`,
			Version{Engine: "18.09.2", UCP: "3.1.4"},
		},
		"UCP of few words": {`{"Version":"ucp/3.0.0","ApiVersion":"1.30"}`, Version{UCP: "3.0.0"}},
		"engine": {
			`{"Version":"19.03.5","ApiVersion":"1.40","Components":[{"Name":"Engine","Version":"19.03.5"},{"Name":"containerd","Version":"1.2"}]}`,
			Version{Engine: "19.03.5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveUCP(t, "1.37", handlers{"GET /version": always(200, tt.body)})
			if got, err := s.engine().Version(t.Context()); err != nil || got != tt.want {
				t.Errorf("%+v, error %v", got, err)
			}
		})
	}
}
