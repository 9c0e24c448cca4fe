package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// roomy is a cluster of so many replicas on six workers.
func roomy(t testing.TB, replicas int) *simulator.Cluster {
	t.Helper()
	return simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: "2.6.8", Host: host, Replicas: replicas, Workers: 6}))
}

// member is the state of the k-th replica, from 1.
func member(c *simulator.Cluster, k int) values {
	return values{
		"node": []string{"", "worker1", "worker2", "worker3"}[k], "id": c.ReplicaIDs()[k-1], "cluster": host,
		"version": "2.6.8", "health": "OK", "replica_http_port": 80, "replica_https_port": 443,
	}
}

func TestReplicaValidate(t *testing.T) {
	t.Parallel()
	p := newProtocol(t).of("dtr_replica")
	for name, c := range map[string]struct {
		config values
		want   string // "" is valid
	}{
		"node alone": {values{"node": "worker4"}, ""},
		"everything": {values{
			"node": "worker4", "existing_replica_id": "0123456789ab", "replica_http_port": 8080, "replica_https_port": 8443,
			"image":    values{"repository": "registry.example.com:5000/mirror/dtr", "pull": "never"},
			"timeouts": values{"create": "1h", "delete": "1h", "read": "1m"},
		}, ""},
		"everything unknown": {values{
			"node": unknown{}, "existing_replica_id": unknown{}, "replica_http_port": unknown{}, "replica_https_port": unknown{},
			"image": unknown{}, "timeouts": unknown{},
		}, ""},
		"no node":         {values{}, "at node"},
		"empty node":      {values{"node": ""}, "at node"},
		"not an id":       {values{"node": "worker4", "existing_replica_id": "0123"}, "at existing_replica_id"},
		"port too large":  {values{"node": "worker4", "replica_https_port": 65536}, "at replica_https_port"},
		"port 0":          {values{"node": "worker4", "replica_http_port": 0}, "\n\nreplica_http_port is not a number from 1 to 65535: it is 0.\n"},
		"not a policy":    {values{"node": "worker4", "image": values{"pull": "maybe"}}, "at image.pull"},
		"image with tag":  {values{"node": "worker4", "image": values{"repository": "docker/dtr:2.6.8"}}, "at image.repository"},
		"not a time span": {values{"node": "worker4", "timeouts": values{"delete": "soon"}}, "at timeouts.delete"},
	} {
		if got := render(p.validate(c.config)); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got\n%s\nwant in it: %q", name, got, c.want)
		}
	}
}

// TestReplicaPlan holds what a plan of a join and of a removal finds, and that it
// only looks. The rules themselves are tested in the upgrade package.
func TestReplicaPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replicas int
		change   func(*simulator.Cluster)
		config   values // nil destroys the first replica
		want     string // part of the diagnostics; "" is none
		unseen   bool   // by the plan, so that it does not know the cluster
	}{
		"join":                  {replicas: 2, config: values{"node": "worker4"}},
		"join to an even count": {replicas: 3, config: values{"node": "worker4"}, want: "Warning: The cluster will have an even number of replicas\n"},
		"join on no node":       {replicas: 2, config: values{"node": "worker9"}, want: "Error: UCP has no node worker9\n  at node\n"},
		"join on a manager":     {replicas: 2, config: values{"node": "manager1"}, want: "Error: Node manager1 is a manager\n  at node\n"},
		"join where one is":     {replicas: 2, config: values{"node": "worker2"}, want: "Error: Node worker2 has a replica already\n  at node\n"},
		"join through none":     {replicas: 2, config: values{"node": "worker4", "existing_replica_id": "0123456789ab"}, want: "\n  at existing_replica_id\n"},
		"join on a node that is down": {
			replicas: 2, config: values{"node": "worker4"},
			change: func(s *simulator.Cluster) { s.StopEngine("worker4") }, want: "Error: Node worker4 is not ready\n",
		},
		"join beside an ill replica": {
			replicas: 3, config: values{"node": "worker4"},
			change: func(s *simulator.Cluster) { s.SetReplicaHealth(s.ReplicaIDs()[1], "ill") }, want: "is not healthy\n",
		},
		"join where only apply knows": {replicas: 2, config: values{"node": unknown{}}, unseen: true},
		"join while nobody answers": {
			replicas: 2, config: values{"node": "worker4"},
			change: func(s *simulator.Cluster) { s.Inject(simulator.Fault{Service: simulator.ServiceDTR, Status: 503}) },
			want:   "Warning: The plan was not checked against the DTR cluster\n", unseen: true,
		},
		"join with a wrong password": {
			replicas: 2, config: values{"node": "worker4"},
			change: func(s *simulator.Cluster) {
				s.Inject(simulator.Fault{Service: simulator.ServiceUCP, Path: "/auth/login", Status: 401})
			},
			want: "Error: UCP refuses the user name or the password\n",
		},
		"remove the last":      {replicas: 1, want: "is the last one\n"},
		"remove one of two":    {replicas: 2, want: "Warning: Destroying this resource removes replica "},
		"remove one of three":  {replicas: 3, want: "Warning: The cluster will have an even number of replicas\n"},
		"remove beside an ill": {replicas: 3, change: func(s *simulator.Cluster) { s.SetReplicaHealth(s.ReplicaIDs()[1], "ill") }, want: "Error: Replica "},
		"remove while nobody answers": {
			replicas: 3,
			change:   func(s *simulator.Cluster) { s.Inject(simulator.Fault{Service: simulator.ServiceDTR, Status: 503}) },
			want:     "Warning: The plan was not checked against the DTR cluster\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := roomy(t, c.replicas)
			var prior values
			if c.config == nil {
				prior = member(cluster, 1)
			}
			if c.change != nil {
				c.change(cluster)
			}
			got := planner(t, cluster).of("dtr_replica").plan(prior, c.config)
			if c.want == "" && len(got.diags) > 0 || !strings.Contains(render(got.diags), c.want) {
				t.Errorf("got:\n%s\nwant in it: %q", render(got.diags), c.want)
			}
			meant := tftypes.NewValue(tftypes.String, host)
			if c.unseen {
				meant = tftypes.NewValue(tftypes.String, tftypes.UnknownValue)
			}
			if c.config != nil && !hasErrors(got.diags) && !got.after["cluster"].Equal(meant) {
				t.Errorf("cluster is planned as %s", got.after["cluster"])
			}
			for _, name := range []string{"id", "version", "health"} {
				if c.config != nil && !hasErrors(got.diags) && got.after[name].IsKnown() {
					t.Errorf("%s is known before the replica has joined", name)
				}
			}
			onlyReads(t, cluster)
		})
	}
}

// TestReplicaPlanOfOneThatIsThere holds that what does not touch the replica plans
// nothing but itself.
func TestReplicaPlanOfOneThatIsThere(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	p := planner(t, cluster).of("dtr_replica")
	prior := member(cluster, 1)
	steady := func(t *testing.T, got planned, except ...string) {
		t.Helper()
		if len(got.diags) > 0 || len(got.raw.RequiresReplace) > 0 {
			t.Errorf("%s%v", render(got.diags), got.raw.RequiresReplace)
		}
		for name, v := range fieldsOf(value(t, p.schema.ValueType(), prior)) {
			if !strings.Contains(strings.Join(except, " "), name) && !got.after[name].Equal(v) {
				t.Errorf("%s becomes %s", name, got.after[name])
			}
		}
	}
	t.Run("nothing", func(t *testing.T) { steady(t, p.plan(prior, values{"node": "worker1"})) })
	t.Run("ports as they are", func(t *testing.T) {
		steady(t, p.plan(prior, values{"node": "worker1", "replica_https_port": 443}))
	})
	t.Run("settings of the removal", func(t *testing.T) {
		config := values{"node": "worker1", "existing_replica_id": "0123456789ab", "image": values{"pull": "never"}, "timeouts": values{"delete": "1h"}}
		steady(t, p.plan(prior, config), "existing_replica_id", "image", "timeouts")
	})
	t.Run("after an upgrade", func(t *testing.T) {
		prior = in(prior, values{"version": "2.6.15"})
		steady(t, p.plan(prior, values{"node": "worker1"}))
	})
	t.Run("another port", func(t *testing.T) {
		got := p.plan(prior, values{"node": "worker1", "replica_https_port": 8443})
		expect(t, got.diags, "Error: The ports of a replica are set when it joins\n  at replica_https_port\n")
	})
	t.Run("another node", func(t *testing.T) {
		got := p.plan(prior, values{"node": "worker4"})
		if len(got.diags) > 0 || len(got.raw.RequiresReplace) != 1 || attributePath(got.raw.RequiresReplace[0]) != "node" {
			t.Errorf("%s%v", render(got.diags), got.raw.RequiresReplace)
		}
	})
	onlyReads(t, cluster)
}

// TestReplicaPlanOfAReplacement plans as Terraform does: a replica's change, which is
// to replace it, and then the create of the one that follows. An apply does so in
// another process.
func TestReplicaPlanOfAReplacement(t *testing.T) {
	t.Parallel()
	const before = "Warning: Replica %s must be removed before another one joins\n"
	for name, c := range map[string]struct {
		replica int
		node    string // of the configuration
		change  func(*simulator.Cluster)
		tainted bool
		planned string // "" is no diagnostic
		refused string // while the replica is still there
	}{
		"-replace":             {replica: 2, node: "worker2", planned: before, refused: "Error: Node worker2 has a replica already\n  at node\n"},
		"-replace of a taint":  {replica: 2, node: "worker2", tainted: true, planned: before, refused: "Error: Node worker2 has a replica already\n  at node\n"},
		"to another node":      {replica: 2, node: "worker4", planned: "Warning: The cluster will have an even number of replicas\n"},
		"to another's node":    {replica: 2, node: "worker3", planned: "Error: Node worker3 has a replica already\n  at node\n", refused: "Error: Node worker3 has a replica already\n"},
		"away from a lost one": {replica: 2, node: "worker4", change: func(s *simulator.Cluster) { s.StopEngine("worker2"); s.SetReplicaHealth(s.ReplicaIDs()[1], "ill") }, planned: before, refused: "is not healthy\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := roomy(t, 3)
			prior, config := member(cluster, c.replica), values{"node": c.node}
			if c.change != nil {
				c.change(cluster)
			}
			p := planner(t, cluster).of("dtr_replica")
			p.ok(nil, p.read(prior).diags)
			if !c.tainted {
				p.ok(nil, p.plan(prior, config).diags)
			}
			got := render(p.plan(nil, config).diags)
			if want := strings.ReplaceAll(c.planned, "%s", cluster.ReplicaIDs()[c.replica-1]); !strings.Contains(got, want) || strings.Contains(want, "Warning") && strings.Contains(got, "Error: ") {
				t.Errorf("got:\n%s\nwant in it: %q", got, want)
			}
			expect(t, planner(t, cluster).of("dtr_replica").plan(nil, config).diags, c.refused)
			onlyReads(t, cluster)
		})
	}
}

// TestReplicaOfAnotherCluster holds that a state is not taken to another cluster:
// there the replica is missing, and that proves nothing.
func TestReplicaOfAnotherCluster(t *testing.T) {
	t.Parallel()
	cluster := roomy(t, 3)
	p := planner(t, cluster, brief()).of("dtr_replica")
	prior := in(member(cluster, 1), values{"id": "0123456789ab", "cluster": "registry.example.com"})
	const want = "Error: The provider is connected to another DTR cluster\n"
	expect(t, p.read(prior).diags, want)
	expect(t, p.plan(prior, nil).diags, want)
	expect(t, p.remove(prior).diags, want)
	onlyReads(t, cluster)
}

// fieldsOf takes an object apart.
func fieldsOf(v tftypes.Value) map[string]tftypes.Value {
	var fields map[string]tftypes.Value
	must(v.As(&fields))
	return fields
}
