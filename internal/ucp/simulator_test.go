package ucp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

var quick = endpoint.Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond}

func connect(t *testing.T, sim *simulator.Cluster) *ucp.Client {
	t.Helper()
	c, err := ucp.New(ucp.Config{URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func engine(t *testing.T, sim *simulator.Cluster) *ucp.Engine {
	t.Helper()
	e, err := connect(t, sim).Engine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// count is how many requests of ours the cluster got, by service, method and path without a version.
func count(sim *simulator.Cluster, service, method, suffix string) (n int) {
	for _, r := range sim.Requests() {
		if !r.Bootstrapper() && r.Service == service && r.Method == method && strings.HasSuffix(r.Path, suffix) {
			n++
		}
	}
	return n
}

const name, image = "dtr-upgrade-test", "docker/dtr:2.6.14"

func upgrade(sim *simulator.Cluster) ucp.CreateSpec {
	return ucp.CreateSpec{
		Name: name, Image: image, Args: []string{"upgrade", "--existing-replica-id", sim.ReplicaIDs()[0]},
		Env: []string{
			"UCP_URL=" + sim.UCPURL(), "UCP_USERNAME=" + sim.Username(), "UCP_PASSWORD=" + sim.Password(), "UCP_CA=" + sim.CACert(),
		},
		Labels: map[string]string{"com.example.hop": "2.5.6-2.6.14"},
	}
}

// exitStatus waits until a container has ended.
func exitStatus(t *testing.T, e *ucp.Engine, id string) int {
	t.Helper()
	for {
		s, err := e.Container(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if s.Status == "exited" {
			return s.ExitCode
		}
	}
}

func TestReadsAtEachAPIVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.30", "1.37", "1.39", "1.40", "1.41", "1.56"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6", APIVersion: version})
			ctx, c, e := t.Context(), connect(t, sim), engine(t, sim)
			if ca, err := c.CA(ctx); err != nil || ca != sim.CACert() {
				t.Errorf("CA %q, error %v", ca, err)
			}
			sim.SetContentTrust(true)
			if required, err := c.RequireContentTrust(ctx); err != nil || !required {
				t.Errorf("content trust %t, error %v", required, err)
			}
			all, err := e.Containers(ctx, nil)
			if err != nil || len(all) < 27 {
				t.Errorf("%d containers, error %v", len(all), err)
			}
			for _, c := range all {
				if c.Node == "" || !strings.HasPrefix(c.Name, c.Node+"/") || c.State != "running" || c.Image == "" {
					t.Errorf("%+v", c)
				}
			}
			replica := sim.ReplicaIDs()[0]
			labelled, err := e.Containers(ctx, map[string]string{"com.docker.dtr.replica": replica})
			if err != nil || len(labelled) == 0 || len(labelled) == len(all) {
				t.Errorf("%d containers, error %v", len(labelled), err)
			}
			if s, err := e.Container(ctx, all[0].ID); err != nil || s.Status != "running" || s.StartedAt.IsZero() || !s.FinishedAt.IsZero() {
				t.Errorf("%+v, error %v", s, err)
			}
			if _, err := e.Container(ctx, all[0].Name); err != nil {
				t.Error(err)
			}
			if nodes, err := e.Nodes(ctx); err != nil || len(nodes) != 4 || nodes[0].MemoryBytes == 0 || nodes[0].State != "ready" {
				t.Errorf("%+v, error %v", nodes, err)
			}
			if memory, err := e.Memory(ctx); err != nil || memory == 0 {
				t.Errorf("%d bytes, error %v", memory, err)
			}
			if v, err := e.Version(ctx); err != nil || v.UCP == "" {
				t.Errorf("%+v, error %v", v, err)
			}
			for _, r := range sim.Requests() {
				if r.Service == simulator.ServiceEngine && !strings.HasPrefix(r.Path, "/v"+version+"/") {
					t.Errorf("asked %s", r.Path)
				}
				if r.Method != http.MethodGet && r.Path != "/auth/login" {
					t.Errorf("%s %s was sent", r.Method, r.Path)
				}
			}
		})
	}
}

func TestContainerFromBeginningToEnd(t *testing.T) {
	t.Parallel()
	for _, access := range []string{"through UCP", "directly"} {
		t.Run(access, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6", APIVersion: "1.30"})
			ctx, e := t.Context(), engine(t, sim)
			if access == "directly" {
				var err error
				if e, err = ucp.NewEngine(ctx, ucp.DockerConfig{Host: sim.DockerHost(), Retry: quick}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := e.ImageDigests(ctx, image, ""); !cerrdefs.IsNotFound(err) {
				t.Errorf("an image that is not there: error %v", err)
			}
			digest, err := e.RemoteImage(ctx, image)
			if err != nil || !strings.HasPrefix(digest, "sha256:") {
				t.Errorf("digest %q, error %v", digest, err)
			}
			if _, err := e.RemoteImage(ctx, "docker/dtr:9.9.9"); !cerrdefs.IsNotFound(err) {
				t.Errorf("an image that is not in the registry: error %v", err)
			}
			if err := e.Pull(ctx, "docker/dtr:9.9.9", nil); err == nil {
				t.Error("an image that is not in the registry was pulled")
			}
			var progress []string
			if err := e.Pull(ctx, image, func(l string) { progress = append(progress, l) }); err != nil || len(progress) == 0 {
				t.Errorf("%q, error %v", progress, err)
			}
			digests, err := e.ImageDigests(ctx, image, "")
			if err != nil || !slices.Contains(digests, "docker/dtr@"+digest) {
				t.Errorf("digests %q, error %v", digests, err)
			}
			if images, err := e.Images(ctx, ""); err != nil || !images[image] {
				t.Errorf("images %v, error %v", images, err)
			}

			id, err := e.Create(ctx, upgrade(sim))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Create(ctx, upgrade(sim)); !cerrdefs.IsConflict(err) {
				t.Errorf("the same name again: error %v", err)
			}
			if s, err := e.Container(ctx, id); err != nil || s.Status != "created" || s.Labels["com.example.hop"] == "" || s.Image != image {
				t.Errorf("%+v, error %v", s, err)
			}
			if err := e.Start(ctx, id); err != nil {
				t.Fatal(err)
			}
			log, err := e.Logs(ctx, id, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(log)
			n := 0
			for lines.Scan() {
				if !strings.HasPrefix(lines.Text(), "time=") {
					t.Errorf("line %q", lines.Text())
				}
				n++
			}
			if lines.Err() != nil || n == 0 {
				t.Errorf("%d lines, error %v", n, lines.Err())
			}
			_ = log.Close()
			if status := exitStatus(t, e, id); status != 0 {
				t.Errorf("status %d", status)
			}
			found, err := e.Containers(ctx, map[string]string{"com.example.hop": "2.5.6-2.6.14"})
			if err != nil || len(found) != 1 || found[0].State != "exited" || !strings.HasSuffix(found[0].Name, name) {
				t.Errorf("%+v, error %v", found, err)
			}
			if err := e.Remove(ctx, id); err != nil {
				t.Error(err)
			}
			if _, err := e.Container(ctx, name); !cerrdefs.IsNotFound(err) {
				t.Errorf("error %v", err)
			}
			if err := e.Remove(ctx, id); !cerrdefs.IsNotFound(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	e := engine(t, sim)
	sim.AddImage(image)
	spec := upgrade(sim)
	spec.Node = "worker2"
	id, err := e.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	all, err := e.Containers(t.Context(), spec.Labels)
	if err != nil || len(all) != 1 || all[0].ID != id || all[0].Node != "worker2" {
		t.Errorf("%+v, error %v", all, err)
	}
	sim.RemoveImage("docker/dtr-api:2.5.6")
	if images, err := e.Images(t.Context(), "worker1"); err != nil || images["docker/dtr-api:2.5.6"] || !images["docker/dtr-nginx:2.5.6"] {
		t.Errorf("images %v, error %v", images, err)
	}
	if err := e.Remove(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestRunningContainerIsNotRemoved(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	e := engine(t, sim)
	sim.AddImage(image)
	release := sim.Hold(simulator.BootstrapperStarted)
	defer release()
	id, err := e.Create(t.Context(), upgrade(sim))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := e.Remove(t.Context(), id); !cerrdefs.IsInternal(err) { // as UCP answers where an engine says 409
		t.Errorf("error %v", err)
	}
}

func TestExpiredTokens(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	e := engine(t, sim)
	sim.ExpireTokens()
	sim.ResetRequests()
	var g errgroup.Group
	for range 8 {
		g.Go(func() error { _, err := e.Containers(t.Context(), nil); return err })
		g.Go(func() error { _, err := e.Nodes(t.Context()); return err })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if n := count(sim, simulator.ServiceUCP, "POST", "/auth/login"); n != 1 {
		t.Errorf("%d logins", n)
	}
	sim.SetPassword("changed")
	sim.ExpireTokens()
	_, err := e.Nodes(t.Context())
	var api *ucp.APIError
	if !errors.As(err, &api) || !api.LoginRefused() || !cerrdefs.IsUnauthorized(err) {
		t.Errorf("error %v", err)
	}
}

func TestCreateIsSentOnce(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	e := engine(t, sim)
	sim.AddImage(image)
	for fault, f := range map[string]simulator.Fault{
		"reset":   {Reset: true},
		"lost":    {AfterEffect: true},
		"busy":    {Status: 503, Body: `{"message":"busy"}`},
		"garbage": {AfterEffect: true, Garbage: true},
	} {
		f.Service, f.Method, f.Path, f.Times = simulator.ServiceEngine, "POST", "/containers/create", 1
		sim.Inject(f)
		sim.ResetRequests()
		if _, err := e.Create(t.Context(), upgrade(sim)); err == nil {
			t.Errorf("%s: no error", fault)
		}
		if n := count(sim, simulator.ServiceEngine, "POST", "/containers/create"); n != 1 {
			t.Errorf("%s: %d requests", fault, n)
		}
		if f.AfterEffect { // it is there, under its name
			s, err := e.Container(t.Context(), name)
			if err != nil {
				t.Fatalf("%s: %v", fault, err)
			}
			if err := e.Remove(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestContainerIsGoneOnlyIfNobodyShowsIt(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	e := engine(t, sim)
	sim.AddImage(image)
	id, err := e.Create(t.Context(), upgrade(sim))
	if err != nil {
		t.Fatal(err)
	}
	sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: "DELETE", Path: "/containers/*", Status: 404, Body: `{"message":"no such container"}`, Times: 1})
	if err := e.Remove(t.Context(), id); cerrdefs.IsNotFound(err) || !cerrdefs.IsUnavailable(err) {
		t.Errorf("it is there, and the error is %v", err)
	}
	if err := e.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := e.Remove(t.Context(), id); !cerrdefs.IsNotFound(err) {
		t.Errorf("it is gone, and the error is %v", err)
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	e := engine(t, sim)
	for fault, f := range map[string]simulator.Fault{
		"reset": {Reset: true}, "busy": {Status: 503}, "garbage": {Garbage: true}, "cut": {Truncate: true},
	} {
		f.Service, f.Path, f.Times = simulator.ServiceEngine, "/containers/json", 3
		remove := sim.Inject(f)
		if all, err := e.Containers(t.Context(), nil); err != nil || len(all) == 0 {
			t.Errorf("%s, short: %v", fault, err)
		}
		remove()
		f.Times = 0
		remove = sim.Inject(f)
		all, err := e.Containers(t.Context(), nil)
		if err == nil || len(all) > 0 {
			t.Errorf("%s, long: %d containers", fault, len(all))
		}
		if _, ok := errors.AsType[*endpoint.UnreachableError](err); ok != (fault == "reset") {
			t.Errorf("%s: %v", fault, err)
		}
		if _, ok := errors.AsType[*endpoint.ResponseError](err); ok != (fault == "garbage" || fault == "cut") {
			t.Errorf("%s: %v", fault, err)
		}
		if ok := cerrdefs.IsUnavailable(err); ok != (fault == "busy") {
			t.Errorf("%s: %v", fault, err)
		}
		remove()
	}
	sim.StopEngine("worker1")
	direct := ucp.DockerConfig{Host: sim.DockerHost(), Retry: quick}
	if _, err := ucp.NewEngine(t.Context(), direct); err == nil {
		t.Error("an engine that is gone was reached")
	}
}

func TestDetachFromALog(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	e := engine(t, sim)
	sim.AddImage(image)
	release := sim.Hold(simulator.ReplicaStarted(1))
	defer release()
	id, err := e.Create(t.Context(), upgrade(sim))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log, err := e.Logs(ctx, id, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	<-sim.Reached(simulator.ReplicaStarted(1))
	cancel()
	if _, err := io.ReadAll(log); err == nil {
		t.Error("a log that was left looks complete")
	}
	if s, err := e.Container(t.Context(), id); err != nil || s.Status != "running" {
		t.Errorf("%+v, error %v: the container must go on", s, err)
	}
	release()
	if status := exitStatus(t, e, id); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestVolumesCreated asks for the age of a replica's volume, which is older than the containers that have it by now.
func TestVolumesCreated(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.6.14", Replicas: 3})
	id := sim.ReplicaIDs()[1]
	sim.SetReplicaVersion(id, "2.6.14")
	e := engine(t, sim)
	for name, want := range map[string]int{"dtr-rethink-" + id: 1, "rethink-" + id: 0, "dtr-rethink-0123456789ab": 0} {
		created, err := e.VolumesCreated(t.Context(), name)
		if err != nil || len(created) != want || want > 0 && time.Since(created[0]) < 24*time.Hour {
			t.Errorf("%s: %v, %v", name, created, err)
		}
	}
}
