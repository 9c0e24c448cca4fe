package simulator_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const newcomer = "0123456789ab"

// joinOn is a bootstrapper that has a replica join on a node.
func joinOn(c *simulator.Cluster, node string, flags ...string) bootstrapperContainer {
	b := upgradeTo(c, "docker/dtr:2.6.8")
	b.args = append([]string{"join", "--existing-replica-id", c.ReplicaIDs()[0], "--ucp-node", node, "--replica-id", newcomer}, flags...)
	return b
}

// remove is a bootstrapper that removes a replica through another one.
func remove(c *simulator.Cluster, existing, ids string, flags ...string) bootstrapperContainer {
	b := upgradeTo(c, "docker/dtr:2.6.8")
	b.args = append([]string{"remove", "--existing-replica-id", existing, "--replica-ids", ids}, flags...)
	return b
}

type member struct {
	HTTPPort, HTTPSPort int
	Node                string `json:"node"`
}

func members(t *testing.T, c *simulator.Cluster) map[string]member {
	t.Helper()
	var settings struct {
		Replicas map[string]member `json:"replicaSettings"`
	}
	newAPI(t, c).get("/api/v0/meta/settings", &settings)
	return settings.Replicas
}

func TestReplicaJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Workers: 4})
	old := c.ReplicaIDs()
	seen := 0
	c.At(simulator.JoinStarted, func() { seen = len(members(t, c)) })
	if status, output := joinOn(c, "worker4", "--replica-http-port", "8080", "--replica-https-port", "8443").run(t, c); status != 0 {
		t.Fatalf("exit status %d\n%s", status, output)
	}
	if got, want := members(t, c)[newcomer], (member{8080, 8443, "worker4"}); seen != 3 || got != want {
		t.Errorf("%d replicas when it started; the new one is %+v", seen, got)
	}
	if diff := cmp.Diff(map[string]int{"2.6.8": 4 * 9}, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
	eventually(t, "every replica is healthy", func() bool { return allHealthy(newAPI(t, c)) })

	// The ports outlast an upgrade, and the new replica is upgraded with the others.
	if status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c); status != 0 {
		t.Fatalf("exit status %d\n%s", status, output)
	}
	if got, want := members(t, c)[newcomer], (member{8080, 8443, "worker4"}); got != want {
		t.Errorf("after an upgrade the new one is %+v", got)
	}

	for _, id := range old {
		b := remove(c, newcomer, id)
		b.image = "docker/dtr:2.6.9"
		if status, output := b.run(t, c); status != 0 {
			t.Fatalf("exit status %d\n%s", status, output)
		}
	}
	if diff := cmp.Diff([]string{newcomer}, c.ReplicaIDs()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"2.6.9": 9}, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
	if c.Runs("join") != 1 || c.Runs("remove") != 3 || c.BootstrapperRuns() != 1 {
		t.Errorf("%d joins, %d removals, %d upgrades", c.Runs("join"), c.Runs("remove"), c.BootstrapperRuns())
	}
}

func TestJoinAndRemoveRefuse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		run  func(c *simulator.Cluster, ids []string) bootstrapperContainer
		says string
	}{
		"a node with a replica": {func(c *simulator.Cluster, _ []string) bootstrapperContainer { return joinOn(c, "worker1") }, "already in use on node worker1"},
		"no such node":          {func(c *simulator.Cluster, _ []string) bootstrapperContainer { return joinOn(c, "worker9") }, "Node worker9 is not available"},
		"another version": {func(c *simulator.Cluster, _ []string) bootstrapperContainer {
			b := joinOn(c, "worker4")
			b.image = "docker/dtr:2.6.9"
			return b
		}, "cannot be joined with 2.6.9"},
		"an id that is taken": {func(c *simulator.Cluster, ids []string) bootstrapperContainer {
			return joinOn(c, "worker4", "--replica-id", ids[1])
		}, "already exists"},
		"a flag of upgrade": {func(c *simulator.Cluster, _ []string) bootstrapperContainer {
			return joinOn(c, "worker4", "--no-image-check")
		}, "flag provided but not defined"},
		"join beside one that is ill": {func(c *simulator.Cluster, ids []string) bootstrapperContainer {
			c.KillContainer("dtr-api-" + ids[2])
			return joinOn(c, "worker4")
		}, "Replica IDS2 is not healthy"},
		"two at a time": {func(c *simulator.Cluster, ids []string) bootstrapperContainer {
			return remove(c, ids[0], ids[1]+","+ids[2])
		}, "Only one replica"},
		"the one it goes through": {func(c *simulator.Cluster, ids []string) bootstrapperContainer { return remove(c, ids[0], ids[0]) }, "through itself"},
		"one that does not exist": {func(c *simulator.Cluster, ids []string) bootstrapperContainer { return remove(c, ids[0], newcomer) }, "does not exist"},
		"force before 2.6.13": {func(c *simulator.Cluster, ids []string) bootstrapperContainer {
			return remove(c, ids[0], ids[1], "--force")
		}, "flag provided but not defined"},
		"remove beside one that is ill": {func(c *simulator.Cluster, ids []string) bootstrapperContainer {
			c.KillContainer("dtr-api-" + ids[2])
			return remove(c, ids[0], ids[1])
		}, "Replica IDS2 is not healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Workers: 4})
			ids := c.ReplicaIDs()
			b := tc.run(c, ids)
			before := c.Containers()
			status, output := b.run(t, c)
			if status != 1 || !strings.Contains(output, strings.ReplaceAll(tc.says, "IDS2", ids[2])) {
				t.Errorf("exit status %d\n%s", status, output)
			}
			if diff := cmp.Diff(before, c.Containers()); diff != "" {
				t.Error("containers changed", diff)
			}
		})
	}
}

// A bootstrapper that dies leaves a replica that is no member yet, or still one.
func TestJoinAndRemoveDie(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Workers: 4})
	ids := c.ReplicaIDs()
	c.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 1})
	if status, _ := joinOn(c, "worker4").run(t, c); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if n := len(c.Versions()[newcomer]); n != 4 || len(members(t, c)) != 3 {
		t.Errorf("%d containers of the new replica, and %d members", n, len(members(t, c)))
	}
	if status, _ := remove(c, ids[0], newcomer).run(t, c); status != 0 {
		t.Errorf("what was half made cannot be removed: exit status %d", status)
	}
	if status, _ := remove(c, ids[0], ids[2]).run(t, c); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if n := len(c.Versions()[ids[2]]); n != 5 || !slices.Contains(c.ReplicaIDs(), ids[2]) {
		t.Errorf("%d containers of the leaving replica; members %v", n, c.ReplicaIDs())
	}
	c.SetBootstrapper(simulator.BootstrapperFaults{ClaimSuccess: true, SkipReplica: 1})
	if status, _ := remove(c, ids[0], ids[2]).run(t, c); status != 0 || !slices.Contains(c.ReplicaIDs(), ids[2]) {
		t.Errorf("exit status %d, members %v", status, c.ReplicaIDs())
	}
	c.SetBootstrapper(simulator.BootstrapperFaults{})
	if status, _ := remove(c, ids[0], ids[2]).run(t, c); status != 0 || slices.Contains(c.ReplicaIDs(), ids[2]) {
		t.Errorf("exit status %d, members %v", status, c.ReplicaIDs())
	}
	if got := newAPI(t, c).get("/_ping", nil); got.status != http.StatusOK {
		t.Errorf("_ping: %d", got.status)
	}
}
