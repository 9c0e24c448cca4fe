package simulator_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestRolloutReplacesEveryContainer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		replicas        int
		from, to, image string
	}{
		{1, "2.6.8", "2.6.9", "docker/dtr:2.6.9"},
		{3, "2.5.6", "2.6.15", "mirantis/dtr:2.6.15"},
		{7, "2.6.8", "2.7.4", "docker/dtr:2.7.4"},
		{3, "1.4.3", "2.0.0", "docker/dtr:2.0.0"},
		{1, "2.9.30", "3.0.0", "registry.mirantis.com/msr/dtr:3.0.0"},
	} {
		t.Run(tc.from+" -> "+tc.to, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: tc.from, Replicas: tc.replicas})
			old := map[string]bool{}
			for _, ct := range c.Containers() {
				old[ct.ID] = ct.Name != "ucp-controller"
			}
			status, output := upgradeTo(c, tc.image).run(t, c)
			if status != 0 {
				t.Fatalf("exit status %d\n%s", status, output)
			}
			if diff := cmp.Diff(map[string]int{tc.to: 9 * tc.replicas}, everyVersion(c)); diff != "" {
				t.Error(diff)
			}
			for _, ct := range c.Containers() {
				if old[ct.ID] || !ct.Running() {
					t.Errorf("%s: old %t, state %s", ct.Name, old[ct.ID], ct.State)
				}
			}
			if got := len(c.Containers()); got != 9*tc.replicas+1 {
				t.Errorf("%d containers", got)
			}
			if c.BootstrapperRuns() != 1 {
				t.Errorf("%d runs", c.BootstrapperRuns())
			}
			eventually(t, "every replica is healthy", func() bool { return allHealthy(newAPI(t, c)) })
		})
	}
}

func allHealthy(a api) bool {
	for _, word := range a.status().Health {
		if word != "OK" {
			return false
		}
	}
	return true
}

var recreated = regexp.MustCompile(`Recreating (dtr-[a-z-]+-[0-9a-f]{12})\.\.\.`)

// order lists the containers that a run recreated, in the order of its log.
func order(output string) []string {
	var names []string
	for _, m := range recreated.FindAllStringSubmatch(output, -1) {
		names = append(names, m[1])
	}
	return names
}

func TestRolloutOrderAndRecords(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	status, output := upgradeTo(c, "docker/dtr:2.6.8").run(t, c)
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	var want []string
	for _, id := range c.ReplicaIDs() {
		for _, p := range []string{"rethinkdb", "registry", "garant", "api", "notary-server", "nginx", "jobrunner", "notary-signer", "scanningstore"} {
			want = append(want, "dtr-"+p+"-"+id)
		}
	}
	if diff := cmp.Diff(want, order(output)); diff != "" {
		t.Error(diff)
	}
	record := regexp.MustCompile(`^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=info msg=.+$`)
	for line := range strings.Lines(output) {
		if !record.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("not a record: %q", line)
		}
	}
	for _, text := range []string{"Validating UCP cert", "Migrating database schema\" fromVersion=9 toVersion=10", "up to 600 seconds", "Successfully registered dtr with UCP"} {
		if !strings.Contains(output, text) {
			t.Errorf("no record says %q", text)
		}
	}
	if strings.Contains(output, c.Password()) {
		t.Error("the password is in the log")
	}
}

func TestRolloutWorksThroughUCPAlone(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	status, _ := upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	own := 0
	for _, r := range c.Requests() {
		if r.Bootstrapper() {
			own++
			if r.Service == simulator.ServiceDTR || r.Status >= 400 && r.Path != "/v1.39/containers/dtr-phase2/json" {
				t.Errorf("%+v", r)
			}
		}
	}
	if own < 27*4 {
		t.Errorf("%d requests of the bootstrapper are recorded", own)
	}
}

func TestLoadBalancerStaysUpWithThreeReplicas(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	for k := 1; k <= 3; k++ {
		c.At(simulator.ReplicaStarted(k), func() { c.KillContainer("dtr-nginx-" + c.ReplicaIDs()[k-1]) })
	}
	bad := 0
	d := docker(t, c)
	id := upgradeTo(c, "docker/dtr:2.6.9").start(t, d)
	for inspect(t, d, id).State.Running {
		if a.get("/_ping", nil).status != http.StatusOK {
			bad++
		}
	}
	if status, _ := wait(t, d, id); status != 0 || bad > 0 {
		t.Errorf("exit status %d, %d failed pings", status, bad)
	}
}

// With one replica there is nobody to answer while nginx is replaced. The run
// is made to stop right there.
func TestOnlyReplicaIsInterrupted(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
	a := newAPI(t, c)
	c.At(simulator.ReplicaStarted(1), func() { c.RemoveImage("docker/dtr-nginx:2.6.9") })
	status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
	if status != 1 || !strings.Contains(output, "No such image: docker/dtr-nginx:2.6.9") {
		t.Fatalf("exit status %d\n%s", status, output)
	}
	if got := a.get("/_ping", nil); got.status != http.StatusServiceUnavailable {
		t.Errorf("without nginx: %d", got.status)
	}

	// Running it again goes on with the part that is gone.
	c.At(simulator.ReplicaStarted(1), func() { c.AddImage("docker/dtr-nginx:2.6.9") })
	status, output = upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
	<-c.Reached(simulator.ReplicaReplaced(1))
	if first := order(output)[0]; status != 0 || first != "dtr-nginx-"+c.ReplicaIDs()[0] {
		t.Errorf("exit status %d, began with %s", status, first)
	}
	if got := a.get("/_ping", nil); got.status != http.StatusOK {
		t.Errorf("afterwards: %d", got.status)
	}
}

func TestRunningAgainChangesNothing(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	for range 2 {
		if status, output := upgradeTo(c, "docker/dtr:2.6.8").run(t, c); status != 0 || len(order(output)) != 0 {
			t.Errorf("exit status %d\n%s", status, output)
		}
	}
}

func TestResumeAfterDeath(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	c.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2})
	status, output := upgradeTo(c, "docker/dtr:2.6.8").run(t, c)
	if status != 1 || !strings.Contains(output, `level=error msg="Upgrade has failed. Try running it again."`) ||
		!strings.Contains(output, `level=fatal msg="Failed to execute phase2: Phase 2 returned non-zero status: 1"`) {
		t.Fatalf("exit status %d\n%s", status, output)
	}
	if diff := cmp.Diff(map[string]int{"2.6.8": 9 + 4, "2.5.6": 5 + 9}, everyVersion(c)); diff != "" {
		t.Fatal(diff)
	}
	c.SetBootstrapper(simulator.BootstrapperFaults{})
	status, output = upgradeTo(c, "docker/dtr:2.6.8").run(t, c)
	if status != 0 || len(order(output)) != 5+9 {
		t.Errorf("exit status %d, %d containers recreated", status, len(order(output)))
	}
	if diff := cmp.Diff(map[string]int{"2.6.8": 27}, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
}

func TestTokenExpiresInMidRollout(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	b, d := upgradeTo(c, "docker/dtr:2.6.9"), directDocker(t, c, "1.39")
	c.At(simulator.ReplicaReplaced(1), c.ExpireTokens)
	if status, output := wait(t, d, b.start(t, d)); status != 0 {
		t.Errorf("exit status %d\n%s", status, output)
	}
}

func TestTwoUpgradesAtOnce(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	release := c.Hold(simulator.ReplicaStarted(1))
	foreign := c.StartForeignBootstrapper("2.6.9")
	<-c.Reached(simulator.ReplicaStarted(1))
	status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
	if status != 1 || !strings.Contains(output, "dtr-phase2 is already running") {
		t.Errorf("exit status %d\n%s", status, output)
	}
	release()
	if status, output := wait(t, docker(t, c), foreign); status != 0 {
		t.Errorf("the first one: exit status %d\n%s", status, output)
	}
	if c.BootstrapperRuns() != 2 {
		t.Errorf("%d runs", c.BootstrapperRuns())
	}
}

func TestPhase1KilledPhase2GoesOn(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	d := docker(t, c)
	b := upgradeTo(c, "docker/dtr:2.6.8")
	b.name = "the-first"
	c.At(simulator.ReplicaStarted(2), sync.OnceFunc(func() { c.KillContainer("the-first") }))
	if status, _ := wait(t, d, b.start(t, d)); status != 137 {
		t.Errorf("exit status %d", status)
	}
	phase2 := func() (simulator.Container, bool) {
		for _, ct := range c.Containers() {
			if ct.Name == "dtr-phase2" {
				return ct, true
			}
		}
		return simulator.Container{}, false
	}
	eventually(t, "phase 2 has ended", func() bool { ct, ok := phase2(); return ok && !ct.Running() })
	if diff := cmp.Diff(map[string]int{"2.6.8": 27}, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
	<-c.Reached(simulator.MigrationStarted)

	// What is left of it does not stand in the way of another run.
	if status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c); status != 0 {
		t.Errorf("exit status %d\n%s", status, output)
	}
	if _, there := phase2(); there {
		t.Error("dtr-phase2 is still there")
	}
}

func TestPhase2Killed(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	c.At(simulator.ReplicaStarted(2), func() { c.KillContainer("dtr-phase2") })
	status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
	if status != 1 || !strings.Contains(output, "Phase 2 returned non-zero status: 137") {
		t.Errorf("exit status %d\n%s", status, output)
	}
	if diff := cmp.Diff(map[string]int{"2.6.9": 9, "2.6.8": 18}, everyVersion(c)); diff != "" {
		t.Error(diff)
	}
}

func TestEngineGoneInMidRollout(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	c.At(simulator.ReplicaStarted(2), sync.OnceFunc(func() { c.StopEngine("worker3") }))
	status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c)
	if status != 1 || !strings.Contains(output, "failed to wait for rethink to be healthy") {
		t.Fatalf("exit status %d\n%s", status, output)
	}
	c.StartEngine("worker3")
	if status, output := upgradeTo(c, "docker/dtr:2.6.9").run(t, c); status != 0 {
		t.Errorf("again: exit status %d\n%s", status, output)
	}
}

// The figure that the package promises to tests that use it.
func BenchmarkRollout(b *testing.B) {
	for _, replicas := range []int{1, 3, 7} {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			var total time.Duration
			for b.Loop() {
				c := simulatortest.Start(b, simulator.Options{Version: "2.6.8", Replicas: replicas})
				began := time.Now()
				c.StartForeignBootstrapper("2.6.9")
				<-c.Reached(simulator.BootstrapperFinished)
				total += time.Since(began)
				c.Close()
			}
			b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "rollout-ms")
		})
	}
}
