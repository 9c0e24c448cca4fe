package ucp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

const digest = "sha256:92c7f9c92844bbbb5d0a101b22f7c2a7949e40f8ea90c8b3bc396879d95e899a"

// engine1706 answers every call as an Engine 17.06 behind UCP does.
func engine1706() handlers {
	return handlers{
		"GET /containers/json":      file("containers.json"),
		"GET /containers/x/json":    file("container.json"),
		"POST /containers/create":   always(201, `{"Id":"x","Warnings":null}`),
		"POST /containers/x/start":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"POST /containers/x/wait":   always(200, `{"StatusCode":0}`),
		"DELETE /containers/x":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"GET /containers/x/logs":    func(w http.ResponseWriter, _ *http.Request) { frame(w, 1, "one\n"); frame(w, 2, "two\n") },
		"GET /nodes":                file("nodes.json"),
		"GET /info":                 file("info.json"),
		"GET /version":              file("version.json"),
		"GET /images/json":          file("images.json"),
		"GET /images/a/b:1/json":    file("image.json"),
		"GET /distribution/a/json":  file("distribution.json"),
		"POST /images/create":       always(200, `{"status":"Pulling from docker/dtr","id":"2.6.15"}`),
		"POST /images/load":         always(200, `{"stream":"Loaded image: docker/dtr:2.6.15\n"}`),
		"POST /containers/x/attach": hijack,
		"POST /containers/x/rename": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"POST /containers/x/stop":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },

		"GET /services/dtr-cache_cache":                   file("service.json"),
		"POST /services/" + serviceFixture.ID + "/update": always(200, `{"Warnings":null}`),
		"DELETE /containers/y":                            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"GET /tasks":                                      file("tasks.json"),
	}
}

var serviceFixture = Service{
	ID: "ozfsuj7dblzwjo4ewftavhcdy", Name: "dtr-cache_cache",
	version: 1043, raw: json.RawMessage(`{"Spec":{"TaskTemplate":{"ContainerSpec":{"Image":"a:1"}}}}`),
}

// calls are all methods of an engine, with the request that each one makes.
var calls = map[string]struct {
	request string
	call    func(context.Context, *Engine) (any, error)
	want    any
}{
	"containers": {
		"GET /containers/json?all=1",
		func(ctx context.Context, e *Engine) (any, error) { return e.Containers(ctx, nil) },
		[]Container{
			{
				ID: "4fa6e0f0c6786287e131c3852c58a2e01cc697a68231826813597e4994f1d6e2", Name: "worker1/dtr-api-0123456789ab", Node: "worker1",
				Image: "docker/dtr-api:2.5.6", Command: "/bin/api",
				State: "running", Status: "Up 3 hours", Created: time.Unix(1530000000, 0),
				Labels: map[string]string{"com.docker.dtr.replica": "0123456789ab", "com.docker.dtr.version": "2.5.6"},
			},
			{
				ID: "9cd87474be90c9edfca67a5ce8e1c7d6cf4c65e22b1f59c81ba3f9f18b1dc9b0", Name: "worker2/dtr-api-ba9876543210", Node: "worker2",
				Image: "docker/dtr-api:2.5.6", Command: "/bin/api",
				State: "exited", Status: "Exited (0) 2 minutes ago", Created: time.Unix(1530000000, 0), Labels: map[string]string{},
			},
		},
	},
	"container": {
		"GET /containers/x/json",
		func(ctx context.Context, e *Engine) (any, error) { return e.Container(ctx, "x") },
		ContainerState{
			ID: "4fa6e0f0c6786287e131c3852c58a2e01cc697a68231826813597e4994f1d6e2", Name: "dtr-upgrade", Status: "exited", ExitCode: 3, ImageID: cacheImageID,
			Labels: map[string]string{"com.example.hop": "2.5.6-2.6.15"}, Env: []string{"UCP_URL=https://ucp.example.com", "constraint:node==worker1"},
			Image:   "docker/dtr:2.6.15",
			Args:    []string{"upgrade"},
			Created: time.Date(2018, 6, 26, 8, 0, 0, 123456789, time.UTC), StartedAt: time.Date(2018, 6, 26, 8, 0, 1, 5e8, time.UTC), FinishedAt: time.Date(2018, 6, 26, 8, 10, 1, 5e8, time.UTC),
		},
	},
	"create": {
		"POST /containers/create?name=dtr-upgrade",
		func(ctx context.Context, e *Engine) (any, error) {
			return e.Create(ctx, CreateSpec{Name: "dtr-upgrade", Image: "docker/dtr:2.6.15", Node: "worker1"})
		}, "x",
	},
	"start": {"POST /containers/x/start", func(ctx context.Context, e *Engine) (any, error) { return nil, e.Start(ctx, "x") }, nil},
	"remove": {
		"DELETE /containers/x?v=1",
		func(ctx context.Context, e *Engine) (any, error) { return nil, e.Remove(ctx, "x") }, nil,
	},
	"rename": {
		"POST /containers/x/rename?name=old",
		func(ctx context.Context, e *Engine) (any, error) { return nil, e.Rename(ctx, "x", "old") }, nil,
	},
	"stop": {"POST /containers/x/stop", func(ctx context.Context, e *Engine) (any, error) { return nil, e.Stop(ctx, "x") }, nil},
	"remove, keeping volumes": {
		"DELETE /containers/y", func(ctx context.Context, e *Engine) (any, error) { return nil, e.RemoveKeepingVolumes(ctx, "y") }, nil,
	},
	"service": {
		"GET /services/dtr-cache_cache",
		func(ctx context.Context, e *Engine) (any, error) {
			s, err := e.Services().Inspect(ctx, "dtr-cache_cache")
			return []any{s.ID, s.Name, s.Image, s.Replicas, s.UpdateState, s.UpdateMessage}, err
		},
		[]any{
			serviceFixture.ID, "dtr-cache_cache", "docker/dtr-content-cache:2.5.6@" + digest, 2,
			UpdatePaused, "update paused due to failure or early termination of task 0kxk",
		},
	},
	"set the image of a service": {
		"POST /services/" + serviceFixture.ID + "/update?version=1043",
		func(ctx context.Context, e *Engine) (any, error) {
			return nil, e.Services().SetImage(ctx, serviceFixture, "a:2")
		}, nil,
	},
	"tasks": {
		"GET /tasks?filters=%7B%22service%22%3A%7B%22" + serviceFixture.ID + "%22%3Atrue%7D%7D",
		func(ctx context.Context, e *Engine) (any, error) { return e.Services().Tasks(ctx, serviceFixture) },
		[]Task{{
			ID: "0kxk7j5skr1g5h4xmd2ofn1ce", Image: "docker/dtr-content-cache:2.6.15", Desired: "shutdown", State: "rejected",
			Error: "No such image: docker/dtr-content-cache:2.6.15", NodeID: "24ifsmvkjbyhk",
		}},
	},
	"discard": {
		"DELETE /containers/x?force=1&v=1",
		func(ctx context.Context, e *Engine) (any, error) { return nil, e.Discard(ctx, "x") }, nil,
	},
	"logs": {
		"GET /containers/x/logs?since=1530000000.000000005&stderr=1&stdout=1&timestamps=1",
		func(ctx context.Context, e *Engine) (any, error) {
			return readLogs(e.Logs(ctx, "x", &LogMark{at: time.Unix(1530000000, 5)}, false))
		}, "one\ntwo\n",
	},
	"follow logs": {
		"GET /containers/x/logs?follow=1&stderr=1&stdout=1&timestamps=1",
		func(ctx context.Context, e *Engine) (any, error) {
			return readLogs(e.Logs(ctx, "x", nil, true))
		}, "one\ntwo\n",
	},
	"nodes": {
		"GET /nodes", func(ctx context.Context, e *Engine) (any, error) { return e.Nodes(ctx) },
		[]Node{{
			ID: "24ifsmvkjbyhk", Hostname: "worker1", Addr: "10.0.0.4", State: "ready", Availability: "active", Role: "worker", OS: "linux",
			EngineVersion: "17.06.2-ee-16", MemoryBytes: 16777216000,
		}},
	},
	"memory": {
		"GET /info", func(ctx context.Context, e *Engine) (any, error) { return e.Memory(ctx) }, int64(16777216000),
	}, "version": {
		"GET /version", func(ctx context.Context, e *Engine) (any, error) { return e.Version(ctx) },
		Version{Engine: "17.06.2-ee-16"},
	},
	"images": {
		"GET /images/json", func(ctx context.Context, e *Engine) (any, error) { return e.Images(ctx, "") },
		map[string]bool{"docker/dtr:2.5.6": true, "docker/dtr@" + digest: true},
	},
	"images of a node": {
		"GET /images/json?filters=%7B%22node%22%3A%7B%22worker1%22%3Atrue%7D%7D",
		func(ctx context.Context, e *Engine) (any, error) { return e.Images(ctx, "worker1") },
		map[string]bool{"docker/dtr:2.5.6": true, "docker/dtr@" + digest: true},
	},
	"image": {
		"GET /images/a/b:1/json",
		func(ctx context.Context, e *Engine) (any, error) { return e.ImageDigests(ctx, "a/b:1", "") },
		[]string{"docker/dtr@" + digest},
	},
	"image on a node": {
		"GET /images/json?filters=%7B%22node%22%3A%7B%22worker1%22%3Atrue%7D%7D",
		func(ctx context.Context, e *Engine) (any, error) {
			return e.ImageDigests(ctx, "docker/dtr:2.5.6", "worker1")
		},
		[]string{"docker/dtr@" + digest},
	},
	"remote image": {
		"GET /distribution/a/json",
		func(ctx context.Context, e *Engine) (any, error) { return e.RemoteImage(ctx, "a") }, digest,
	},
	"pull": {
		"POST /images/create?fromImage=docker.io%2Fdocker%2Fdtr&tag=2.6.15",
		func(ctx context.Context, e *Engine) (any, error) { return nil, e.Pull(ctx, "docker/dtr:2.6.15", nil) }, nil,
	},
	"load": {
		"POST /images/load?quiet=0",
		func(ctx context.Context, e *Engine) (any, error) {
			return nil, e.Load(ctx, strings.NewReader("tar"), nil)
		}, nil,
	},
}

func readLogs(r io.ReadCloser, err error) (any, error) {
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}
