package simulator_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// create makes a container that runs nothing of its own.
func create(t *testing.T, d *client.Client, name string, env ...string) (string, error) {
	t.Helper()
	created, err := d.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: name, Config: &container.Config{Image: "docker/dtr-api:2.6.8", Env: env, Labels: map[string]string{"who": name}},
	})
	return created.ID, err
}

func names(t *testing.T, d *client.Client, o client.ContainerListOptions) []string {
	t.Helper()
	list, err := d.ContainerList(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range list.Items {
		all = append(all, c.Names...)
	}
	slices.Sort(all)
	return all
}

func inspect(t *testing.T, d *client.Client, id string) container.InspectResponse {
	t.Helper()
	got, err := d.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Container
}

func TestContainerLifeAtEveryAPIVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.30", "1.37", "1.39", "1.40", "1.41", "1.44"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", APIVersion: version})
			d, ctx := docker(t, c), t.Context()
			id, err := create(t, d, "life", "constraint:node==worker2", "A=b")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := create(t, d, "life"); !cerrdefs.IsConflict(err) {
				t.Errorf("the same name again: %v", err)
			}
			if got := inspect(t, d, id); got.State.Status != container.StateCreated || !slices.Equal(got.Config.Env, []string{"A=b"}) || got.Name != "/life" {
				t.Errorf("created: %+v", got)
			}
			listed := names(t, d, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "who=life")})
			if diff := cmp.Diff([]string{"/worker2/life"}, listed); diff != "" {
				t.Error(diff)
			}
			if running := names(t, d, client.ContainerListOptions{Filters: client.Filters{}.Add("label", "who")}); len(running) != 0 {
				t.Errorf("running before the start: %v", running)
			}
			for range 2 { // the second time, an engine answers 304 and UCP 204
				if _, err := d.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := d.ContainerRemove(ctx, id, client.ContainerRemoveOptions{}); !cerrdefs.IsInternal(err) || !strings.Contains(err.Error(), "You cannot remove a running container") {
				t.Errorf("removing a running container: %v", err)
			}
			if _, err := d.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: "renamed"}); err != nil {
				t.Error(err)
			}
			waiting := d.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
			if _, err := d.ContainerKill(ctx, "worker2/renamed", client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
				t.Error(err)
			}
			select {
			case got := <-waiting.Result:
				if got.StatusCode != 137 {
					t.Errorf("waited for %d", got.StatusCode)
				}
			case err := <-waiting.Error:
				t.Error(err)
			}
			if _, err := d.ContainerKill(ctx, id, client.ContainerKillOptions{}); !cerrdefs.IsConflict(err) {
				t.Errorf("killing a dead container: %v", err)
			}
			if got := inspect(t, d, id).State; got.Status != container.StateExited || got.ExitCode != 137 || got.FinishedAt == "0001-01-01T00:00:00Z" {
				t.Errorf("killed: %+v", got)
			}
			if _, err := d.ContainerStop(ctx, id, client.ContainerStopOptions{}); err != nil {
				t.Errorf("stopping a dead container: %v", err)
			}
			if _, err := d.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true}); err != nil {
				t.Error(err)
			}
			if _, err := d.ContainerInspect(ctx, id, client.ContainerInspectOptions{}); !cerrdefs.IsNotFound(err) {
				t.Errorf("inspecting what is gone: %v", err)
			}
		})
	}
}

func TestAPIVersionIsChecked(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	h := httpClient(t, c)
	token := login(t, c, h)
	for version, want := range map[string]int{"v1.39": 200, "v1.30": 200, "v1.40": 400, "v1.9": 400} {
		got := do(t, h, request{url: c.UCPURL() + "/" + version + "/info", bearer: token})
		var message struct{ Message string }
		got.decode(t, &message)
		if got.status != want || (want == 400) != strings.HasPrefix(message.Message, "client version") {
			t.Errorf("%s: %d %s", version, got.status, got.body)
		}
	}
	if got := do(t, h, request{method: http.MethodHead, url: c.UCPURL() + "/v1.39/_ping", bearer: token}); got.status != http.StatusNotFound {
		t.Errorf("HEAD before API 1.40: %d", got.status)
	}
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := docker(t, c)
	if _, err := create(t, d, "nowhere", "constraint:node==worker9"); err == nil || !strings.Contains(err.Error(), "could not find any nodes") {
		t.Errorf("on a node that is not there: %v", err)
	}
	if _, err := create(t, d, "without-image", "constraint:node==manager1"); !cerrdefs.IsNotFound(err) {
		t.Errorf("on a node without the image: %v", err)
	}
	created, err := d.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "by-label", Config: &container.Config{
		Image: "docker/dtr-api:2.6.8", Labels: map[string]string{"com.docker.swarm.constraints": `["node==worker3"]`},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create(t, d, "anywhere"); err != nil {
		t.Fatal(err)
	}
	where := map[string]string{}
	for _, ct := range c.Containers() {
		where[ct.Name] = ct.Node
	}
	if where["by-label"] != "worker3" || where["anywhere"] != "worker1" || created.ID == "" {
		t.Errorf("by label on %s, without constraint on %s", where["by-label"], where["anywhere"])
	}
}

func TestDirectEngineIsOneNode(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := directDocker(t, c, "1.39")
	all := names(t, d, client.ContainerListOptions{All: true})
	if len(all) != 9 || all[0] != "/dtr-api-"+c.ReplicaIDs()[0] {
		t.Errorf("containers of worker1: %v", all)
	}
	if _, err := d.NodeList(t.Context(), client.NodeListOptions{}); err == nil || !strings.Contains(err.Error(), "not a swarm manager") {
		t.Errorf("nodes of a worker: %v", err)
	}
	if _, err := create(t, d, "here", "constraint:node==worker2"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, docker(t, c), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("name", "here")}); !slices.Equal(got, []string{"/worker1/here"}) {
		t.Errorf("seen through UCP: %v", got)
	}
}

func TestNodesAndInfo(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Nodes: map[string]simulator.NodeOptions{
		"worker2": {MemoryBytes: 8 << 30, EngineVersion: "18.03.1-ee-7"},
	}})
	d := docker(t, c)
	list, err := d.NodeList(t.Context(), client.NodeListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, n := range list.Items {
		got[n.Description.Hostname] = string(n.Spec.Role) + " " + n.Description.Engine.EngineVersion + " " + string(n.Status.State)
		if n.Description.Hostname == "worker2" && n.Description.Resources.MemoryBytes != 8<<30 {
			t.Errorf("memory %d", n.Description.Resources.MemoryBytes)
		}
	}
	want := map[string]string{
		"manager1": "manager 18.09.8 ready", "worker1": "worker 18.09.8 ready",
		"worker2": "worker 18.03.1-ee-7 ready", "worker3": "worker 18.09.8 ready",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	info, err := d.Info(t.Context(), client.InfoOptions{})
	if err != nil || info.Info.Containers != 28 || info.Info.MemTotal != 3*(32<<30)+8<<30 {
		t.Errorf("%v: %d containers, %d bytes", err, info.Info.Containers, info.Info.MemTotal)
	}
	if _, err := d.NetworkInspect(t.Context(), "dtr-ol", client.NetworkInspectOptions{}); err != nil {
		t.Error(err)
	}
	volumes, err := d.VolumeList(t.Context(), client.VolumeListOptions{})
	if err != nil || len(volumes.Items) != 15 {
		t.Errorf("%v: %d volumes", err, len(volumes.Items))
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	c.AddImage("docker/dtr:2.6.8")
	d, ctx := docker(t, c), t.Context()
	read := func(id string, o client.ContainerLogsOptions) string {
		t.Helper()
		o.ShowStdout = true
		logs, err := d.ContainerLogs(ctx, id, o)
		if err != nil {
			t.Fatal(err)
		}
		defer logs.Close()
		var out bytes.Buffer
		if _, err := stdcopy.StdCopy(&out, io.Discard, logs); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	id := bootstrapperContainer{image: "docker/dtr:2.6.8", args: []string{"images"}}.start(t, d)
	all := read(id, client.ContainerLogsOptions{Follow: true})
	if strings.Count(all, "\n") != 11 || !strings.HasPrefix(all, "docker/dtr:2.6.8\n") {
		t.Errorf("%s", all)
	}
	if got := read(id, client.ContainerLogsOptions{Tail: "2"}); got != "docker/dtr-notary-signer:2.6.8\ndocker/dtr-postgres:2.6.8\n" {
		t.Errorf("the last two lines: %s", got)
	}
	if got := read(id, client.ContainerLogsOptions{Since: time.Now().Add(time.Minute).Format(time.RFC3339)}); got != "" {
		t.Errorf("since a minute from now: %s", got)
	}
	if got := read(id, client.ContainerLogsOptions{Since: time.Now().Add(-time.Minute).Format(time.RFC3339), Timestamps: true}); !strings.HasPrefix(got, "20") {
		t.Errorf("since a minute ago with timestamps: %s", got)
	}

	quiet, err := d.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config:     &container.Config{Image: "docker/dtr:2.6.8", Cmd: []string{"images"}},
		HostConfig: &container.HostConfig{LogConfig: container.LogConfig{Type: "none"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ContainerLogs(ctx, quiet.ID, client.ContainerLogsOptions{ShowStdout: true}); !cerrdefs.IsNotImplemented(err) {
		t.Errorf("log driver none: %v", err)
	}

	// Ending a request that follows does not disturb the container.
	limited, cancel := context.WithCancel(ctx)
	release := c.Hold(simulator.BootstrapperStarted)
	defer release()
	held := upgradeTo(c, "docker/dtr:2.6.8").start(t, d)
	logs, err := d.ContainerLogs(limited, held, client.ContainerLogsOptions{ShowStdout: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, _ = io.Copy(io.Discard, logs) // returns, one way or another
	if !inspect(t, d, held).State.Running {
		t.Error("the container ended with the request")
	}
}

func TestNginxHealthCheck(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Speed: 1, Replicas: 1})
	d := docker(t, c)
	nginx := "dtr-nginx-" + c.ReplicaIDs()[0]
	text := func() string {
		list, err := d.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("name", nginx)})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items[0].Status
	}
	if got := text(); got != "Up 90 days (healthy)" {
		t.Error(got)
	}
	c.KillContainer(nginx)
	if got := text(); got != "Exited (137) Less than a second ago" {
		t.Error(got)
	}
	if _, err := d.ContainerStart(t.Context(), nginx, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := text(); !strings.HasSuffix(got, " (health: starting)") {
		t.Error(got)
	}
	if got := inspect(t, d, nginx).State.Health; got == nil || got.Status != container.Starting {
		t.Errorf("%+v", got)
	}
}
