package provider

import (
	"context"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// remove destroys without a plan before it, as an apply does of a plan that is
// older than what the cluster has come to.
func (p *protocol) remove(prior values) applied {
	p.t.Helper()
	typ := p.schema.ValueType()
	null := p.dynamic(tftypes.NewValue(typ, nil))
	resp, err := p.server.ApplyResourceChange(p.ctx, &tfprotov6.ApplyResourceChangeRequest{
		TypeName: p.name, PriorState: p.dynamic(value(p.t, typ, prior)), PlannedState: null, Config: null,
	})
	p.ok(err, nil)
	return applied{diags: p.linked(resp.Diagnostics), state: p.fields(resp.NewState), raw: resp.NewState}
}

func TestReplicaLife(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	p := planner(t, cluster, brief()).of("dtr_replica")
	config := values{"node": "worker4", "replica_https_port": 8443}
	joined := p.apply(nil, config)
	expect(t, joined.diags, "")
	id := joined.text("id")
	for name, want := range map[string]string{"node": "worker4", "cluster": host, "version": "2.6.8", "health": "OK"} {
		if got := joined.text(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if !slices.Contains(cluster.ReplicaIDs(), id) {
		t.Errorf("%s is not among %v", id, cluster.ReplicaIDs())
	}
	steady(t, p, joined, config)

	imported := p.importState(id)
	expect(t, imported.diags, "")
	steady(t, p, imported, config)
	for name, v := range joined.state {
		if !imported.state[name].Equal(v) {
			t.Errorf("%s is %s after the import, and was %s", name, imported.state[name], v)
		}
	}

	expect(t, p.remove(joined.values()).diags, "")
	if n := len(cluster.ReplicaIDs()); n != 3 {
		t.Errorf("%d replicas", n)
	}
	gone := p.read(joined.values())
	expect(t, gone.diags, "Warning: Replica "+id+" is no longer part of the cluster\n")
	if gone.state != nil {
		t.Error("it is still in the state")
	}
	expect(t, p.remove(joined.values()).diags, "") // proved to be gone
	runs(t, cluster, "2.6.8")
}

// TestReplicaIsKept holds that nothing short of proof takes a replica out of the
// state.
func TestReplicaIsKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*simulator.Cluster)
		want   string // "" is no error
		health string
	}{
		"its node is down":         {func(s *simulator.Cluster) { s.StopEngine("worker1") }, "", ""},
		"its containers are ended": {func(s *simulator.Cluster) { s.KillContainer("dtr-api-" + s.ReplicaIDs()[0]) }, "", ""},
		"it is ill":                {func(s *simulator.Cluster) { s.SetReplicaHealth(s.ReplicaIDs()[0], "out of disk") }, "", "out of disk"},
		"DTR does not answer":      {func(s *simulator.Cluster) { s.Inject(simulator.Fault{Service: simulator.ServiceDTR, Status: 500}) }, "Error: DTR answers with an error\n", ""},
		"DTR lists nothing": {func(s *simulator.Cluster) {
			s.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/api/v0/meta/settings", Status: 200, Body: `{"dtrHost":"` + host + `","replicaSettings":{}}`})
		}, "Error: UCP shows no replica of DTR\n", ""},
		"UCP shows nothing": {func(s *simulator.Cluster) {
			s.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/json", Status: 200, Body: `[]`})
		}, "Error: UCP shows no replica of DTR\n", ""},
		"there is no DTR": {func(s *simulator.Cluster) { s.Inject(simulator.Fault{Service: simulator.ServiceDTR, Status: 404}) }, "Error: There is no DTR at the configured address\n", ""},
		"DTR does not list it, and UCP shows it": {func(s *simulator.Cluster) {
			ids := s.ReplicaIDs()
			s.Inject(simulator.Fault{
				Service: simulator.ServiceDTR, Path: "/api/v0/meta/settings", Status: 200,
				Body: `{"dtrHost":"` + host + `","replicaSettings":{"` + ids[1] + `":{"node":"worker2"}}}`,
			})
		}, "", "DTR does not list it among its replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := roomy(t, 3)
			prior := member(cluster, 1)
			c.change(cluster)
			got := planner(t, cluster).of("dtr_replica").read(prior)
			expect(t, got.diags, c.want)
			if got.state == nil {
				t.Fatal("it is gone from the state")
			}
			if c.health != "" && got.text("health") != c.health {
				t.Errorf("health is %s", got.text("health"))
			}
			if got.text("version") != "2.6.8" || got.text("node") != "worker1" {
				t.Errorf("version %s, node %s", got.text("version"), got.text("node"))
			}
		})
	}
}

// TestReplicaImportRefuses holds that only replicas that there are can be imported.
func TestReplicaImportRefuses(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	p := planner(t, cluster, brief()).of("dtr_replica")
	expect(t, p.importState(host).diags, "Error: Not the id of a replica\n")
	expect(t, p.importState("0123456789ab").diags, "lists these replicas: "+strings.Join(cluster.ReplicaIDs(), ", "))
}

// TestReplicaFailures holds for the ways of failing that a create saves no state,
// that a removal keeps it, and that the next apply ends well.
func TestReplicaFailures(t *testing.T) {
	t.Parallel()
	short := pace
	short.Consistent = 300 * time.Millisecond
	for name, c := range map[string]struct {
		fault  simulator.BootstrapperFaults
		joined string // what is said of the join
		left   string // and of the removal
	}{
		"dies at once":       {simulator.BootstrapperFaults{DieAtReplica: -1}, "Error: The DTR bootstrapper failed\n", "Error: The DTR bootstrapper failed\n"},
		"dies in the middle": {simulator.BootstrapperFaults{DieAtReplica: 1}, "Error: The DTR bootstrapper failed\n", "Error: The DTR bootstrapper failed\n"},
		"lies": {
			simulator.BootstrapperFaults{SkipReplica: 1},
			"Error: The cluster is not complete with the replica on node worker4\n",
			"Error: The cluster is not complete without replica ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := roomy(t, 3)
			root := newProtocol(t, append(quick(), WithPace(short))...)
			root.ok(nil, root.configure(connected(cluster)))
			p := root.of("dtr_replica")
			cluster.SetBootstrapper(c.fault)
			failed := p.apply(nil, values{"node": "worker4"})
			expect(t, failed.diags, c.joined)
			if failed.state != nil {
				t.Error("a create that failed saved a state")
			}
			cluster.SetBootstrapper(simulator.BootstrapperFaults{})
			joined := p.apply(nil, values{"node": "worker4"})
			expect(t, joined.diags, "")

			cluster.SetBootstrapper(c.fault)
			kept := p.remove(joined.values())
			expect(t, kept.diags, c.left)
			if kept.state == nil {
				t.Error("a removal that failed took it out of the state")
			}
			cluster.SetBootstrapper(simulator.BootstrapperFaults{})
			expect(t, p.remove(joined.values()).diags, "")
			if n := len(cluster.ReplicaIDs()); n != 3 || len(cluster.Versions()) != 3 {
				t.Errorf("%d replicas, containers of %d", n, len(cluster.Versions()))
			}
		})
	}
}

// TestReplicaStopsWaiting holds that an apply that is interrupted leaves what it
// started alone, and that the next one adopts it.
func TestReplicaStopsWaiting(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	p := planner(t, cluster).of("dtr_replica")
	interrupted := func(point string, work func(*protocol) applied, want string) {
		t.Helper()
		q := *p
		ctx, cancel := context.WithCancel(p.ctx)
		defer cancel()
		q.ctx = ctx
		release := cluster.Hold(point)
		go func() {
			<-cluster.Reached(point)
			cancel()
		}()
		stopped := work(&q)
		expect(t, stopped.diags, want+"\n\nStep: ")
		expect(t, stopped.diags, "The bootstrapper continues by itself")
		release()
	}
	config := values{"node": "worker4", "replica_https_port": 8443}
	interrupted(simulator.JoinStarted, func(p *protocol) applied { return p.apply(nil, config) },
		"Error: Terraform stopped waiting for a replica to join on node worker4")
	other := in(config, values{"replica_https_port": 9443})
	joined := p.apply(nil, other)
	expect(t, joined.diags, "Warning: The replica has another port than the one configured\n  at replica_https_port\n")
	joined = p.read(joined.values())
	expect(t, p.plan(joined.values(), other).diags, "Error: The ports of a replica are set when it joins\n")
	steady(t, p, joined, config)
	interrupted(simulator.RemoveStarted, func(p *protocol) applied { return p.remove(joined.values()) },
		"Error: Terraform stopped waiting for the removal of replica "+joined.text("id"))
	expect(t, p.remove(joined.values()).diags, "")
	wantMemberRuns(t, cluster, 1, 1)
}

// TestReplicasTakeTurns plans and applies three joins side by side, as Terraform
// does: the plan that is made again at the apply must not mind the others.
func TestReplicasTakeTurns(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	p := planner(t, cluster, brief()).of("dtr_replica")
	var wg sync.WaitGroup
	results := make([]applied, 3)
	for i, node := range []string{"worker4", "worker5", "worker6"} {
		wg.Go(func() { results[i] = p.apply(nil, values{"node": node}) })
	}
	wg.Wait()
	for _, r := range results {
		expect(t, r.diags, "")
	}
	if n := len(cluster.ReplicaIDs()); n != 6 || cluster.Runs("join") != 3 {
		t.Errorf("%d replicas after %d joins", n, cluster.Runs("join"))
	}
	removed, state := make([]applied, 6), member(cluster, 1)
	ids := cluster.ReplicaIDs()
	for i, id := range ids {
		wg.Go(func() { removed[i] = p.remove(in(state, values{"id": id})) })
	}
	wg.Wait()
	refused := 0
	for _, r := range removed {
		if hasErrors(r.diags) {
			refused++
			expect(t, r.diags, "is the last one\n")
		}
	}
	if n := len(cluster.ReplicaIDs()); refused != 1 || n != 1 {
		t.Errorf("%d refused, %d replicas left", refused, n)
	}
}

// TestReplicaRefusesWhatHasChanged holds that an apply looks again.
func TestReplicaRefusesWhatHasChanged(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	p := planner(t, cluster, brief()).of("dtr_replica")
	cluster.SetReplicaHealth(cluster.ReplicaIDs()[1], "ill")
	got := p.remove(member(cluster, 1))
	expect(t, got.diags, "is not healthy\n")
	if got.state == nil {
		t.Error("it is gone from the state")
	}
	onlyReads(t, cluster)
}

// TestReplicaOfALostNode removes a replica whose node is lost, and does what the error
// says, with nothing but its text. Then another replica takes its place.
func TestReplicaOfALostNode(t *testing.T) {
	t.Parallel()
	for version, forced := range map[string]bool{"2.6.8": false, "2.6.15": true} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: version, Host: host, Replicas: 3, Workers: 6}))
			cluster.AddBundle(version) // nothing is to be pulled
			id, prior := cluster.ReplicaIDs()[2], member(cluster, 3)
			cluster.StopEngine("worker3")
			p := planner(t, cluster, brief()).of("dtr_replica")
			text := render(p.remove(prior).diags)
			run := regexp.MustCompile(`(?m)^ *docker run -it --rm (\S+) (.*)$`).FindStringSubmatch(text)
			rm := regexp.MustCompile(`(?m)^ *docker node rm --force (\S+)$`).FindStringSubmatch(text)
			if (run != nil) != forced || rm == nil {
				t.Fatalf("got:\n%s", text)
			}
			if run != nil {
				byHand := cluster.StartBootstrapper(run[1], strings.Fields(run[2])...)
				awaitContainer(t, cluster, byHand)
				if slices.Contains(cluster.ReplicaIDs(), id) {
					t.Fatalf("DTR still lists %s after:\n%s", id, run[0])
				}
			}
			cluster.RemoveNode(rm[1])
			expect(t, p.remove(prior).diags, "")
			done := p.apply(nil, values{"node": "worker4"})
			expect(t, done.diags, "")
			if members := cluster.ReplicaIDs(); slices.Contains(members, id) || len(members) != 3 {
				t.Errorf("the replicas are %v, and %s was removed", members, id)
			}
		})
	}
}

// awaitContainer waits until a container has ended.
func awaitContainer(t *testing.T, cluster *simulator.Cluster, id string) {
	t.Helper()
	runs := func(c simulator.Container) bool { return c.ID == id && c.State == "running" }
	for ; slices.ContainsFunc(cluster.Containers(), runs); runtime.Gosched() {
		if t.Context().Err() != nil {
			t.Fatal("the container does not end")
		}
	}
}
