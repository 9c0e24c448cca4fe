package simulator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestHiddenNodes(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := docker(t, c)
	all := func() int { return len(names(t, d, client.ContainerListOptions{All: true})) }
	if _, err := create(t, d, "hidden", "constraint:node==worker2"); err != nil {
		t.Fatal(err)
	}
	before := all()
	show := c.HideNodes("worker2", "worker3")
	if got := all(); got != before-19 {
		t.Errorf("%d containers of %d are listed", got, before)
	}
	if _, err := d.ContainerInspect(t.Context(), "hidden", client.ContainerInspectOptions{}); !cerrdefs.IsNotFound(err) {
		t.Errorf("inspected: %v", err)
	}
	if _, err := create(t, d, "other", "constraint:node==worker2"); err == nil || !strings.Contains(err.Error(), "could not find any nodes") {
		t.Errorf("created there: %v", err)
	}
	if _, err := create(t, d, "hidden", "constraint:node==worker1"); err != nil {
		t.Errorf("its name is taken: %v", err)
	}
	if list, err := d.NodeList(t.Context(), client.NodeListOptions{}); err != nil || len(list.Items) != 4 {
		t.Errorf("%v: %d nodes", err, len(list.Items))
	}
	if got := newAPI(t, c).status().Health; len(got) != 3 || got[c.ReplicaIDs()[1]] != "OK" {
		t.Errorf("DTR's own view: %v", got)
	}
	show()
	show()
	if got := all(); got != before+1 {
		t.Errorf("%d containers afterwards, not %d", got, before+1)
	}
}

func TestTakenName(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := docker(t, c)
	release := c.TakeName("ghost")
	if _, err := create(t, d, "ghost"); !cerrdefs.IsConflict(err) || !strings.Contains(err.Error(), "The name ghost is already assigned") {
		t.Errorf("created: %v", err)
	}
	if _, err := d.ContainerInspect(t.Context(), "ghost", client.ContainerInspectOptions{}); !cerrdefs.IsNotFound(err) {
		t.Errorf("inspected: %v", err)
	}
	release()
	if _, err := create(t, d, "ghost"); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestStuckInRemoval(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	through, direct := docker(t, c), directDocker(t, c, "1.39")
	if _, err := create(t, through, "stuck", "constraint:node==worker1"); err != nil {
		t.Fatal(err)
	}
	finish := c.StickInRemoval("stuck")
	if got := inspect(t, through, "stuck").State; got.Status != container.StateRemoving || got.Running {
		t.Errorf("%+v", got)
	}
	list, err := through.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("name", "^stuck$")})
	if err != nil || len(list.Items) != 1 || list.Items[0].State != container.StateRemoving || list.Items[0].Status != "Removal In Progress" {
		t.Errorf("%v, %+v", err, list.Items)
	}
	for _, tt := range []struct {
		d  *client.Client
		is func(error) bool
	}{{through, cerrdefs.IsInternal}, {direct, cerrdefs.IsConflict}} {
		if _, err := tt.d.ContainerStart(t.Context(), "stuck", client.ContainerStartOptions{}); !tt.is(err) {
			t.Errorf("started: %v", err)
		}
		if _, err := tt.d.ContainerRemove(t.Context(), "stuck", client.ContainerRemoveOptions{Force: true}); !tt.is(err) {
			t.Errorf("removed: %v", err)
		}
	}
	if _, err := create(t, through, "stuck"); !cerrdefs.IsConflict(err) {
		t.Errorf("its name is free: %v", err)
	}
	finish()
	if _, err := create(t, through, "stuck"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPartThatKeepsRestarting(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
	d := docker(t, c)
	name := "dtr-notary-server-" + c.ReplicaIDs()[0]
	first := inspect(t, d, name)
	stop := c.KeepRestarting(name, 5*time.Millisecond, 5*time.Millisecond)
	restarting := false
	for {
		got := inspect(t, d, name)
		if got.State.Status == container.StateRestarting && got.State.Running && got.State.Restarting {
			restarting = true
		}
		if restarting && got.RestartCount > 2 && got.State.StartedAt != first.State.StartedAt {
			break
		}
		if health := newAPI(t, c).status().Health[c.ReplicaIDs()[0]]; health != "OK" {
			t.Fatalf("DTR notices: %s", health)
		}
		if t.Context().Err() != nil {
			t.Fatal("not seen to restart")
		}
	}
	stop()
	if _, err := d.ContainerStop(t.Context(), name, client.ContainerStopOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := d.ContainerStart(t.Context(), name, client.ContainerStartOptions{}); err != nil {
		t.Error(err)
	}
	if got := inspect(t, d, name).RestartCount; got != 0 {
		t.Errorf("after a start by hand, the engine counts %d restarts", got)
	}
}

// DTR knows nothing of such a replica, and an upgrade leaves it as it is.
func TestUnlistedReplica(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{
		Version: "2.5.6", Unlisted: []simulator.UnlistedReplica{{ID: "0123456789ab", Node: "worker2", Version: "2.4.3", Parts: []string{"nginx", "rethinkdb"}}},
		Nodes: map[string]simulator.NodeOptions{"worker1": {DTRName: "dtr1.example.com"}},
	})
	c.AddUnlisted(simulator.UnlistedReplica{ID: "fedcba987654", Node: "worker3", Version: "2.7.4", Running: true})
	d := docker(t, c)
	listed := func() []string {
		return names(t, d, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("name", "0123456789ab|fedcba987654")})
	}
	before := listed()
	if len(before) != 11 || !slices.Contains(before, "/worker2/dtr-nginx-0123456789ab") || !slices.Contains(before, "/worker3/dtr-api-fedcba987654") {
		t.Errorf("%v", before)
	}
	if got := inspect(t, d, "dtr-nginx-0123456789ab").State.Status; got != container.StateExited {
		t.Errorf("the one left over: %s", got)
	}
	if got := inspect(t, d, "dtr-api-fedcba987654").State.Status; got != container.StateRunning {
		t.Errorf("that of another DTR: %s", got)
	}
	a := newAPI(t, c)
	var settings struct {
		Replicas map[string]struct{ Node string } `json:"replicaSettings"`
	}
	a.get("/api/v0/meta/settings", &settings)
	nodes := map[string]string{}
	for id, r := range settings.Replicas {
		nodes[id] = r.Node
	}
	ids := c.ReplicaIDs()
	if diff := cmp.Diff(map[string]string{ids[0]: "dtr1.example.com", ids[1]: "worker2", ids[2]: "worker3"}, nodes); diff != "" {
		t.Error(diff)
	}
	if got := len(a.status().Health); got != 3 {
		t.Errorf("%d replicas are listed", got)
	}
	if status, out := upgradeTo(c, "docker/dtr:2.5.17").run(t, c); status != 0 {
		t.Errorf("%d: %s", status, out)
	}
	if diff := cmp.Diff(map[string]int{"2.5.17": 27}, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, listed()); diff != "" {
		t.Error(diff)
	}
}

func TestLogDriverOfEngine(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", LogDriver: "syslog"})
	d := docker(t, c)
	for driver, ok := range map[string]bool{"": false, "json-file": true, "none": false} {
		created, err := d.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Config:     &container.Config{Image: "docker/dtr-api:2.6.8"},
			HostConfig: &container.HostConfig{LogConfig: container.LogConfig{Type: driver}},
		})
		if err != nil {
			t.Fatal(err)
		}
		logs, err := d.ContainerLogs(t.Context(), created.ID, client.ContainerLogsOptions{ShowStdout: true})
		if (err == nil) != ok || err != nil && !cerrdefs.IsNotImplemented(err) {
			t.Errorf("%q: %v", driver, err)
		}
		if err == nil {
			_ = logs.Close()
		}
	}
}

func TestMoreWorkers(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{
		Version: "2.6.8", Replicas: 1, Nodes: map[string]simulator.NodeOptions{"gone": {Down: true}, "win": {OS: "windows"}},
	})
	list, err := docker(t, c).NodeList(t.Context(), client.NodeListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range list.Items {
		got = append(got, n.Description.Hostname+" "+n.Description.Platform.OS+" "+string(n.Status.State))
	}
	if diff := cmp.Diff([]string{"manager1 linux ready", "worker1 linux ready", "gone linux down", "win windows ready"}, got); diff != "" {
		t.Error(diff)
	}
}
