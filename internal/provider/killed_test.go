//go:build unix

package provider

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// TestTerraformApplyIsResumedAfterAKill kills a real Terraform and its provider, built
// from this tree, with SIGKILL at several points of a rollout, and applies
// again. Each time the bootstrapper has to have run once for each hop.
func TestTerraformApplyIsResumedAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, err := terraformtest.New(dir, terraformPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := files.BuildProvider(t.Context()); err != nil {
		t.Fatal(err)
	}
	const oneHop, twoHops = `target_version = "2.6.15"`, "target_version = \"2.7.8\"\nvia = [\"2.6.15\"]"
	for name, c := range map[string]struct {
		upgrade string
		point   string
		nth     int // time that it is reached
	}{
		"in the first phase":      {oneHop, simulator.BootstrapperStarted, 1},
		"before a replica":        {oneHop, simulator.ReplicaStarted(2), 1},
		"after the last replica":  {oneHop, simulator.ReplicaReplaced(3), 1},
		"in the migration":        {oneHop, simulator.MigrationStarted, 1},
		"between two hops":        {twoHops, simulator.BootstrapperRemoved, 1},
		"in the second hop":       {twoHops, simulator.ReplicaStarted(2), 2},
		"after the second's work": {twoHops, simulator.BootstrapperRemoved, 2},
	} {
		t.Run(name, func(t *testing.T) {
			sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6", Speed: 1000, Host: host})
			write := func(name, text string) {
				if err := files.Write(name, text); err != nil {
					t.Fatal(err)
				}
			}
			write("main.tf", terraformtest.RequiredProviders+connectionConfig+"resource \"dtr_upgrade\" \"main\" {\n"+c.upgrade+"\n}")
			write("ca.pem", sim.CACert())
			write("terraform.tfvars", fmt.Sprintf("dtr_url = %q\nucp_url = %q\nusername = %q\npassword = %q\nca_cert = %q\n",
				sim.DTRURL(), sim.UCPURL(), sim.Username(), sim.Password(), sim.CACert()))
			state := filepath.Join(t.TempDir(), "terraform.tfstate")
			apply := func() *exec.Cmd {
				// Killed Terraform leaves its lock behind: what a person removes by hand.
				cmd := files.Command(t.Context(), "apply", "-auto-approve", "-no-color", "-input=false", "-lock=false", "-state="+state)
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the provider is in the same group
				return cmd
			}
			if out, err := files.Command(t.Context(), "init", "-no-color", "-input=false").CombinedOutput(); err != nil {
				t.Fatalf("init: %v\n%s", err, out)
			}

			reached, release := sim.HoldNth(c.point, c.nth)
			first := apply()
			var said strings.Builder
			first.Stdout, first.Stderr = &said, &said
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- first.Wait() }()
			select {
			case <-reached:
			case err := <-ended:
				t.Fatalf("apply ended before it came to %s: %v\n%s", c.point, err, &said)
			}
			if err := syscall.Kill(-first.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err == nil {
				t.Error("the apply came to its end before the kill")
			}
			release()

			if out, err := apply().CombinedOutput(); err != nil {
				t.Fatalf("the apply after the kill: %v\n%s", err, out)
			}
			target, hops := "2.6.15", 1
			if c.upgrade == twoHops {
				target, hops = "2.7.8", 2
			}
			runs(t, sim, target)
			if n := sim.BootstrapperRuns(); n != hops {
				t.Errorf("%d bootstrapper runs, want one for each hop", n)
			}
			if jobs := sim.Jobs(); len(jobs) != 1 || jobs[0].Status != "done" {
				t.Errorf("migration jobs %+v, want one that is done", jobs)
			}
		})
	}
}
