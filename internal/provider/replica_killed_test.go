//go:build unix

package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// pinging asks the load balancer for its health until it is stopped, and returns
// how often it asked and how often in vain.
func pinging(t *testing.T, c *simulator.Cluster) (stop func() (asked, failed int)) {
	t.Helper()
	client, err := dtr.New(dtr.Config{URL: c.DTRURL(), Username: c.Username(), Password: c.Password(), CACert: c.CACert()})
	must(err)
	ctx, cancel := context.WithCancel(t.Context())
	var asked, failed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ticker := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				ticker.Stop()
				return
			case <-ticker.C:
			}
			ping, err := client.Ping(ctx, dtr.DefaultPingPath)
			if ctx.Err() != nil {
				return
			}
			asked.Add(1)
			if err != nil || !ping.Healthy {
				failed.Add(1)
			}
		}
	}()
	return func() (int, int) {
		cancel()
		<-done
		return int(asked.Load()), int(failed.Load())
	}
}

// TestTerraformMoveToNewWorkers takes the example from one end to the other: three replicas
// come on new workers, and the three old ones go, while DTR answers.
func TestTerraformMoveToNewWorkers(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: "2.6.8", Host: host, Workers: 6, Speed: 1000}))
	old := cluster.ReplicaIDs()
	p := newProcess(t)
	p.setVariables(map[string]string{"dtr_password": cluster.Password(), "ucp_password": cluster.Password()})
	step := func(name string, nodes ...string) {
		t.Helper()
		text, _ := runnable(t, example(examples+"/move-to-new-workers/"+name), cluster)
		p.write(text)
		p.apply()
		wantNodes(t, cluster, nodes...)
		p.wantNoChanges()
	}
	stop := pinging(t, cluster)
	step("1-join", "worker1", "worker2", "worker3", "worker4", "worker5", "worker6")
	step("2-remove", "worker4", "worker5", "worker6")
	if asked, failed := stop(); asked < 10 || failed > 0 {
		t.Errorf("%d of %d pings failed", failed, asked)
	}
	runs(t, cluster, "2.6.8")
	for _, id := range old {
		if slices.Contains(cluster.ReplicaIDs(), id) {
			t.Errorf("replica %s is still there", id)
		}
	}
	wantMemberRuns(t, cluster, 3, 3)
	out, err := p.dir.Command(t.Context(), "output", "-json", "-state="+p.state).Output()
	if text := string(out); err != nil || strings.Count(text, `"OK"`) != 3 {
		t.Errorf("output: %v, %s", err, text)
	}
}

// TestTerraformReplicaIsResumedAfterAKill kills a real Terraform at several points of three
// joins and of a removal. Each replica has to have joined once, and to be known.
func TestTerraformReplicaIsResumedAfterAKill(t *testing.T) {
	t.Parallel()
	for _, point := range []string{simulator.BootstrapperStarted, simulator.JoinStarted, simulator.BootstrapperFinished, simulator.RemoveStarted} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: "2.6.8", Host: host, Workers: 6, Speed: 1000}))
			p := newProcess(t)
			p.connect(cluster)
			const prefix = terraformtest.RequiredProviders + connectionConfig
			joins := prefix + replicaOn("a", "worker4") + replicaOn("b", "worker5") + replicaOn("c", "worker6")
			fewer := prefix + replicaOn("a", "worker4") + replicaOn("b", "worker5")
			p.write(joins)
			if point == simulator.RemoveStarted {
				p.apply()
				p.write(fewer)
			}
			p.killedApply(cluster, point, 1)
			p.apply()
			want := []string{"worker1", "worker2", "worker3", "worker4", "worker5", "worker6"}
			removes := 0
			if point == simulator.RemoveStarted {
				want, removes = want[:5], 1
			}
			wantNodes(t, cluster, want...)
			runs(t, cluster, "2.6.8")
			wantMemberRuns(t, cluster, 3, removes)
			// A removal may have ended before the second apply looked. It then has
			// nothing left to do, and the next join or removal clears the container.
			for _, ct := range cluster.Containers() {
				if strings.HasPrefix(ct.Name, "dtr-upgrade-") && removes == 0 {
					t.Errorf("container %s is left over", ct.Name)
				}
			}
			p.wantNoChanges()
		})
	}
}

// TestTerraformReplicaIsReplacedInOneApply replaces a replica on its own node, and one
// that is ill by one on another node.
func TestTerraformReplicaIsReplacedInOneApply(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ill   bool
		node  string
		flags []string
	}{
		"on its own node": {node: "worker3", flags: []string{"-replace=dtr_replica.this"}},
		"that is ill":     {ill: true, node: "worker4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := roomy(t, 3)
			id := cluster.ReplicaIDs()[2]
			p := newProcess(t)
			p.connect(cluster)
			p.write(terraformtest.RequiredProviders + connectionConfig + replicaOn("this", "worker3") + fmt.Sprintf("import {\n  to = dtr_replica.this\n  id = %q\n}\n", id))
			p.apply()
			if c.ill {
				cluster.SetReplicaHealth(id, "ill")
			}
			p.write(terraformtest.RequiredProviders + connectionConfig + replicaOn("this", c.node))
			out, err := p.command(append([]string{"apply", "-auto-approve"}, c.flags...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("apply: %v\n%s", err, out)
			}
			if slices.Contains(cluster.ReplicaIDs(), id) || len(cluster.ReplicaIDs()) != 3 {
				t.Errorf("the replicas are %v, %s among them", cluster.ReplicaIDs(), id)
			}
			wantMemberRuns(t, cluster, 1, 1)
			p.wantNoChanges()
		})
	}
}
