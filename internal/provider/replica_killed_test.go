//go:build unix

package provider

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
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

// process is a real Terraform with the provider of this tree, as a process.
type process struct {
	t     *testing.T
	files *terraformtest.WorkingDir
}

func newProcess(t *testing.T) process {
	t.Helper()
	dir := t.TempDir()
	files, err := terraformtest.New(dir, terraformPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := files.BuildProvider(t.Context()); err != nil {
		t.Fatal(err)
	}
	return process{t, files}
}

// write writes the configuration, and initializes the directory for it.
func (p process) write(text string) {
	p.t.Helper()
	must(p.files.Write("main.tf", text))
	if out, err := p.files.Command(p.t.Context(), "init", "-no-color", "-input=false").CombinedOutput(); err != nil {
		p.t.Fatalf("init: %v\n%s", err, out)
	}
}

// variables writes values for the variables of a configuration.
func (p process) variables(values map[string]string) {
	p.t.Helper()
	var text strings.Builder
	for name, value := range values {
		fmt.Fprintf(&text, "%s = %q\n", name, value)
	}
	must(p.files.Write("terraform.tfvars", text.String()))
}

func (p process) command(state string, args ...string) *exec.Cmd {
	// Killed Terraform leaves its lock behind: what a person removes by hand.
	cmd := p.files.Command(p.t.Context(), append(args, "-no-color", "-input=false", "-lock=false", "-state="+state)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the provider is in the same group
	return cmd
}

func (p process) apply(state string) {
	p.t.Helper()
	if out, err := p.command(state, "apply", "-auto-approve").CombinedOutput(); err != nil {
		p.t.Fatalf("apply: %v\n%s", err, out)
	}
}

// killed applies, and ends Terraform and the provider at the point.
func (p process) killed(c *simulator.Cluster, point, state string) {
	p.t.Helper()
	release := c.Hold(point)
	defer release()
	cmd := p.command(state, "apply", "-auto-approve")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-c.Reached(point):
	case err := <-ended:
		p.t.Fatalf("apply ended before it came to %s: %v\n%s", point, err, &said)
	}
	must(syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	if err := <-ended; err == nil {
		p.t.Error("the apply came to its end before the kill")
	}
}

// TestTerraformMoveToNewWorkers takes the example from one end to the other: three replicas
// come on new workers, and the three old ones go, while DTR answers.
func TestTerraformMoveToNewWorkers(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Host: host, Workers: 6, Speed: 1000})
	old := cluster.ReplicaIDs()
	state := filepath.Join(t.TempDir(), "terraform.tfstate")
	p := newProcess(t)
	p.variables(map[string]string{"dtr_password": cluster.Password(), "ucp_password": cluster.Password()})
	step := func(name string, nodes ...string) {
		t.Helper()
		text, _ := example(t, examples+"/move-to-new-workers/"+name, cluster)
		p.write(text)
		p.apply(state)
		wantNodes(t, cluster, nodes...)
		if out, err := p.command(state, "plan", "-detailed-exitcode").CombinedOutput(); err != nil {
			t.Errorf("the plan after it is not empty: %v\n%s", err, out)
		}
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
	if cluster.Runs("join") != 3 || cluster.Runs("remove") != 3 {
		t.Errorf("%d joins, %d removals", cluster.Runs("join"), cluster.Runs("remove"))
	}
	out, err := p.files.Command(t.Context(), "output", "-json", "-state="+state).Output()
	if text := string(out); err != nil || strings.Count(text, `"OK"`) != 3 {
		t.Errorf("output: %v, %s", err, text)
	}
}

// TestTerraformReplicaIsResumedAfterAKill kills a real Terraform at several points of three
// joins and of a removal. Each replica has to have joined once, and to be known.
func TestTerraformReplicaIsResumedAfterAKill(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	for _, point := range []string{simulator.BootstrapperStarted, simulator.JoinStarted, simulator.BootstrapperFinished, simulator.RemoveStarted} {
		t.Run(point, func(t *testing.T) {
			cluster := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Host: host, Workers: 6, Speed: 1000})
			state := filepath.Join(t.TempDir(), "terraform.tfstate")
			p := process{t, p.files}
			p.variables(map[string]string{
				"dtr_url": cluster.DTRURL(), "ucp_url": cluster.UCPURL(), "username": cluster.Username(),
				"password": cluster.Password(), "ca_cert": cluster.CACert(),
			})
			const prefix = terraformtest.RequiredProviders + connectionConfig
			joins := prefix + replicaOn("a", "worker4") + replicaOn("b", "worker5") + replicaOn("c", "worker6")
			fewer := prefix + replicaOn("a", "worker4") + replicaOn("b", "worker5")
			p.write(joins)
			if point == simulator.RemoveStarted {
				p.apply(state)
				p.write(fewer)
			}
			p.killed(cluster, point, state)
			p.apply(state)
			want := []string{"worker1", "worker2", "worker3", "worker4", "worker5", "worker6"}
			removes := 0
			if point == simulator.RemoveStarted {
				want, removes = want[:5], 1
			}
			wantNodes(t, cluster, want...)
			runs(t, cluster, "2.6.8")
			if cluster.Runs("join") != 3 || cluster.Runs("remove") != removes {
				t.Errorf("%d joins, %d removals", cluster.Runs("join"), cluster.Runs("remove"))
			}
			// A removal may have ended before the second apply looked. It then has
			// nothing left to do, and the next join or removal clears the container.
			for _, ct := range cluster.Containers() {
				if strings.HasPrefix(ct.Name, "dtr-upgrade-") && removes == 0 {
					t.Errorf("container %s is left over", ct.Name)
				}
			}
			cmd := p.command(state, "plan", "-detailed-exitcode")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("the plan after it is not empty: %v\n%s", err, out)
			}
		})
	}
}
