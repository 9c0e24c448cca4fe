package cluster_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Labels that DTR puts on the rethinkdb container of a replica (facts on versions).
const (
	labelVersion = "com.docker.dtr.version"
	labelProject = "com.docker.compose.project"
)

func TestInventoryVersions(t *testing.T) {
	t.Parallel()
	part := bootstrap.Parts[0] // rethinkdb carries the labels
	tests := []struct {
		name   string
		image  string
		labels map[string]string
		want   string // "" when it is not known
	}{
		{"tag", "docker/dtr-rethink:2.5.6", nil, "2.5.6"},
		{"tag behind a registry's port", "registry.example.com:5000/dtr/dtr-rethink:2.5.6", nil, "2.5.6"},
		{"tag with digest", "docker/dtr-rethink:2.5.6@sha256:00ff", nil, "2.5.6"},
		{"no tag, port only", "registry.example.com:5000/dtr/dtr-rethink", nil, ""},
		{"image id, label", "sha256:00ff", map[string]string{labelVersion: "2.5.6"}, "2.5.6"},
		{"wire form", "sha256:00ff", map[string]string{labelVersion: "2.7.0-29094adc"}, "2.7.0"},
		{"old label", "sha256:00ff", map[string]string{labelProject: "Docker Trusted Registry 2.1.3 - (Replica 00000000000a)"}, "2.1.3"},
		{"label ahead of the image", "docker/dtr-rethink:2.5.6", map[string]string{labelVersion: "2.6.15"}, "2.5.6"},
		{"label behind the image", "docker/dtr-rethink:2.6.15", map[string]string{labelVersion: "2.5.6"}, "2.5.6"},
		{"mirror's tag", "registry.example.com/dtr/dtr-rethink:2.6.14-corp1", nil, "2.6.14"},
		{"preview", "docker/dtr-rethink:2.6.0-tp9", nil, "2.6.0-tp9"},
		{"another form", "registry.example.com/dtr/dtr-rethink:corp-2.6.14", nil, ""},
		{"nothing", "sha256:00ff", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Part(1, part, "0.0.0")
			c.Image, c.Labels = tt.image, tt.labels
			inventory := cluster.NewInventory("", listing(1), []ucp.Container{c})
			got := ""
			if v := inventory.CurrentVersion(); v != nil {
				got = v.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// listing are the settings of a DTR with so many replicas.
func listing(replicas int) dtr.Settings {
	settings := dtr.Settings{Replicas: map[string]dtr.ReplicaSettings{}}
	for n := range replicas {
		settings.Replicas[clustertest.ReplicaID(n+1)] = dtr.ReplicaSettings{Node: fmt.Sprintf("worker%d", n+1)}
	}
	return settings
}

// containers are those of the n-th replica.
func containers(n int, version string) []ucp.Container {
	var list []ucp.Container
	for _, p := range bootstrap.Parts {
		list = append(list, clustertest.Part(n, p, version))
	}
	return list
}

// TestMembersAreWhatDTRLists leaves a container of a replica that is none any more.
func TestMembersAreWhatDTRLists(t *testing.T) {
	t.Parallel()
	left := clustertest.Part(2, bootstrap.Parts[5], "2.4.3")
	seen := cluster.NewInventory("", listing(1), append(containers(1, "2.5.6"), left))
	if len(seen.Replicas) != 1 || len(seen.Versions()) != 1 || !seen.At(clustertest.Version("2.5.6")) {
		t.Errorf("the cluster is not taken for one of one replica at 2.5.6: %+v", seen.Replicas)
	}
	if len(seen.Unlisted) != 1 || seen.Unlisted[0].ID != clustertest.ReplicaID(2) || seen.Unlisted[0].Node != "worker2" {
		t.Errorf("what is left over: %+v", seen.Unlisted)
	}
	if r, found := seen.Replica(clustertest.ReplicaID(2)); !found || r.Listed {
		t.Errorf("a join or a removal would not see it: %+v", r)
	}
}

// TestNodeIsUCPs has DTR call a node otherwise than UCP.
func TestNodeIsUCPs(t *testing.T) {
	t.Parallel()
	settings := listing(2)
	settings.Replicas[clustertest.ReplicaID(1)] = dtr.ReplicaSettings{Node: "worker1.example.com"}
	settings.Replicas[clustertest.ReplicaID(2)] = dtr.ReplicaSettings{Node: "worker9"} // UCP shows no container there
	seen := cluster.NewInventory("", settings, containers(1, "2.5.6"))
	if got := seen.Replicas[0].Node; got != "worker1" {
		t.Errorf("the replica is placed on %s", got)
	}
	if got := seen.Replicas[1].Node; got != "worker9" {
		t.Errorf("the replica that UCP does not show is on %s", got)
	}
	if got := seen.ReplicaNodes(); !slices.Equal(got, []string{"worker1"}) {
		t.Errorf("images would go to %v", got)
	}
}

// TestScanningStoreBefore23 has the part under the name of 2.2, and beside it in the
// middle of an upgrade.
func TestScanningStoreBefore23(t *testing.T) {
	t.Parallel()
	old := containers(1, "2.2.5")
	last := &old[len(old)-1]
	last.Name = strings.Replace(last.Name, "scanningstore", "nautilusstore", 1)
	if seen := cluster.NewInventory("", listing(1), old); !seen.At(clustertest.Version("2.2.5")) {
		t.Errorf("2.2 is not whole: %v", seen.Problems(clustertest.Version("2.2.5")))
	}
	if seen := cluster.NewInventory("", listing(1), append(containers(1, "2.3.2"), *last)); !seen.At(clustertest.Version("2.3.2")) {
		t.Errorf("what is left of 2.2 counts beside its successor: %v", seen.Problems(clustertest.Version("2.3.2")))
	}
}

// TestADeadNodeRunsNothing shows the last state that UCP knew.
func TestADeadNodeRunsNothing(t *testing.T) {
	t.Parallel()
	phase2 := ucp.Container{ID: "2", Name: "worker1/dtr-phase2", Node: "worker1", State: "running", Status: "Host Down"}
	list := append(containers(1, "2.5.6"), phase2)
	for i := range list {
		list[i].Status = "Host Down"
	}
	seen := cluster.NewInventory("", listing(1), list)
	if n := len(seen.Replicas[0].NotRunning()); n != len(bootstrap.Parts) {
		t.Errorf("%d containers do not run, want all", n)
	}
	if len(seen.Foreign(false)) > 0 || len(seen.Lost()) != 1 {
		t.Errorf("at work: %v, lost: %v", seen.Foreign(false), seen.Lost())
	}
}

func TestInventoryProblems(t *testing.T) {
	t.Parallel()
	seen := clustertest.Snapshot("2.6.15", "2.6.15")
	if problems := seen.Problems(clustertest.Version("2.6.15")); len(problems) > 0 {
		t.Errorf("a whole cluster has problems: %v", problems)
	}
	c := seen.Replicas[1].Containers["nginx"]
	c.Version = clustertest.Version("2.5.6")
	seen.Replicas[1].Containers["nginx"] = c
	delete(seen.Replicas[0].Containers, "registry")
	want := "dtr-registry-000000000001 is missing; dtr-nginx-000000000002 runs 2.5.6"
	if got := cluster.ProblemsText(seen.Problems(clustertest.Version("2.6.15"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if (&cluster.Inventory{}).At(clustertest.Version("2.6.15")) {
		t.Error("a cluster without replicas counts as upgraded")
	}
}

// TestForgedLabels has containers with the labels of this provider's join, and nothing
// else of it.
func TestForgedLabels(t *testing.T) {
	t.Parallel()
	joined := ucp.Container{
		ID: "1", Name: "worker1/" + cluster.ContainerName(clustertest.Host), Node: "worker1", Image: "docker/dtr:2.5.6", State: "running",
		Command: "/bin/dtr join --replica-id " + clustertest.ReplicaID(1) + " --ucp-node worker1", Created: clustertest.Epoch.Add(-time.Minute),
		Labels: map[string]string{
			cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: cluster.CommandJoin, cluster.LabelTo: "2.5.6",
			cluster.LabelReplica: clustertest.ReplicaID(1), cluster.LabelNode: "worker1",
		},
	}
	for name, tt := range map[string]struct {
		change func(*ucp.Container)
		ours   bool
	}{
		"a real one": {func(*ucp.Container) {}, true},
		"set aside": {func(c *ucp.Container) {
			c.Name = "worker1/" + cluster.RecordName(clustertest.Host, clustertest.ReplicaID(1))
		}, true},
		"clocks apart":        {func(c *ucp.Container) { c.Created = clustertest.Epoch.Add(time.Minute) }, true},
		"another name":        {func(c *ucp.Container) { c.Name = "worker1/eager_turing" }, false},
		"of another replica":  {func(c *ucp.Container) { c.Name += "-" + clustertest.ReplicaID(2) }, false},
		"another image":       {func(c *ucp.Container) { c.Image = "docker/dtr-nginx:2.5.6" }, false},
		"another version":     {func(c *ucp.Container) { c.Image = "docker/dtr:2.5.5" }, false},
		"no arguments":        {func(c *ucp.Container) { c.Command = "/bin/dtr" }, false},
		"other arguments":     {func(c *ucp.Container) { c.Command = "/bin/dtr join --replica-id 0123456789ab --ucp-node worker1" }, false},
		"another command":     {func(c *ucp.Container) { c.Command = "/bin/dtr backup" }, false},
		"a node without DTR":  {func(c *ucp.Container) { c.Node, c.Name = "worker9", "worker9/"+cluster.ContainerName(clustertest.Host) }, false},
		"beside a left-over":  {func(c *ucp.Container) { c.Node, c.Name = "worker2", "worker2/"+cluster.ContainerName(clustertest.Host) }, true},
		"after the replica":   {func(c *ucp.Container) { c.Created = clustertest.Epoch.Add(time.Hour) }, false},
		"of another cluster":  {func(c *ucp.Container) { c.Labels[cluster.LabelCluster] = "other.example.com" }, false},
		"as of another order": {func(c *ucp.Container) { c.Labels[cluster.LabelCommand] = cluster.CommandRemove }, false},
	} {
		c := joined
		c.Labels = maps.Clone(joined.Labels)
		tt.change(&c)
		seen := cluster.NewInventory(clustertest.Host, listing(1), slices.Concat(containers(1, "2.5.6"), containers(2, "2.5.6"), []ucp.Container{c}))
		if _, ours := seen.MembershipChange(); name != "set aside" && ours != tt.ours {
			t.Errorf("%s: taken for this provider's: %t", name, ours)
		}
		if seen.Disowned(c.ID) == tt.ours {
			t.Errorf("%s: disowned: %t", name, !tt.ours)
		}
	}
}

// TestEarlierUpgrade has containers with the name of an upgrade's that made room for another one.
func TestEarlierUpgrade(t *testing.T) {
	t.Parallel()
	for command, upgrade := range map[string]bool{"": true, cluster.CommandBackup: false} {
		earlier := clustertest.UpgradeContainer("2.5.6", "2.5.6", "exited")
		earlier.Name = "worker1/" + cluster.EarlierName(clustertest.Host)
		earlier.Command = "/bin/dtr " + cmp.Or(command, "upgrade")
		earlier.Labels[cluster.LabelCommand] = command
		seen := cluster.NewInventory(clustertest.Host, listing(1), append(containers(1, "2.5.6"), earlier))
		if seen.Disowned(earlier.ID) {
			t.Errorf("%q: disowned", command)
		}
		if _, found := seen.UpgradeContainer(); found != upgrade {
			t.Errorf("%q: taken for an upgrade: %t", command, found)
		}
	}
}

// TestForeignSecondPhase has a second phase at work, which has no label that tells whose it is.
func TestForeignSecondPhase(t *testing.T) {
	t.Parallel()
	phase2 := ucp.Container{ID: "2", Name: "worker1/" + cluster.Phase2Name, Node: "worker1", Image: "docker/dtr:2.6.15", State: "running", Status: "Up 2 minutes"}
	other := ucp.Container{ID: "3", Name: "worker1/eager_turing", Node: "worker1", Image: "docker/dtr:2.6.15", Command: "/bin/dtr upgrade", State: "running", Status: "Up 2 minutes"}
	seen := cluster.NewInventory(clustertest.Host, listing(1), append(containers(1, "2.5.6"), phase2, other))
	for ours, want := range map[bool]int{false: 2, true: 1} {
		if got := seen.Foreign(ours); len(got) != want || got[len(got)-1].ID != other.ID {
			t.Errorf("ours: %t, foreign: %v", ours, got)
		}
	}
}

// TestLockIsNeverStarted holds that a container which runs, or has run, is no lock.
func TestLockIsNeverStarted(t *testing.T) {
	t.Parallel()
	for _, status := range []string{cluster.StateCreated, cluster.StateRunning, "exited"} {
		lock := ucp.ContainerState{Image: "docker/dtr-nginx:2.5.6", Status: status, Labels: map[string]string{cluster.LabelCommand: cluster.CommandLock}}
		if holds := cluster.LabelsHold(lock, ""); holds != (status == cluster.StateCreated) {
			t.Errorf("%s: %t", status, holds)
		}
	}
}

// TestPredates has clocks differ by less than they may, and by more.
func TestPredates(t *testing.T) {
	t.Parallel()
	seen := cluster.NewInventory("", listing(1), containers(1, "2.5.6"))
	for after, want := range map[time.Duration]bool{-time.Hour: true, time.Minute: true, time.Hour: false} {
		if got := seen.Predates(clustertest.Epoch.Add(after)); got != want {
			t.Errorf("%s after the newest: %t", after, got)
		}
	}
}

// TestLeftOverOnAnotherNode has a part twice, on two nodes: the lower version is not
// hidden, whatever UCP lists first.
func TestLeftOverOnAnotherNode(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.5.6", ""} {
		left := clustertest.Part(1, bootstrap.Parts[3], version)
		left.Node, left.Name = "worker2", strings.Replace(left.Name, "worker1/", "worker2/", 1)
		for name, list := range map[string][]ucp.Container{
			"first": append([]ucp.Container{left}, containers(1, "2.6.15")...),
			"last":  append(containers(1, "2.6.15"), left),
		} {
			problems := cluster.NewInventory("", listing(1), list).Problems(clustertest.Version("2.6.15"))
			if len(problems) != 1 || problems[0].Container != cluster.BaseName(left.Name) {
				t.Errorf("%s, at %q: %v", name, version, problems)
			}
		}
	}
}
