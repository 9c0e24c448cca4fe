//go:build unix

package provider

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// process is a real Terraform with the provider of this tree, both as processes.
// The provider is this test's program under another name, see [TestMain]: it need
// not be built, and asks simulated clusters more often than real ones.
type process struct {
	t     *testing.T
	dir   *terraformtest.WorkingDir
	state string
}

func newProcess(t *testing.T) process {
	t.Helper()
	// Not [testing.T.TempDir], which is as long as the test's name: the path of
	// the provider's socket has to fit into 107 bytes.
	path, err := os.MkdirTemp("", "tf-") //nolint:usetesting // which names its directories after the test
	must(err)
	t.Cleanup(func() { must(os.RemoveAll(path)) })
	dir, err := terraformtest.New(path, terraformPath(t))
	must(err)
	program, err := os.Executable()
	must(err)
	alias := filepath.Join(dir.Path, providerProgram)
	must(os.Symlink(program, alias))
	must(dir.UseProvider(alias))
	return process{t, dir, filepath.Join(dir.Path, "terraform.tfstate")}
}

// write writes the configuration.
func (p process) write(text string) {
	p.t.Helper()
	must(p.dir.Write("main.tf", text))
}

// setVariables writes values for the variables of a configuration.
func (p process) setVariables(values map[string]string) {
	p.t.Helper()
	var text strings.Builder
	for name, value := range values {
		fmt.Fprintf(&text, "%s = %q\n", name, value)
	}
	must(p.dir.Write("terraform.tfvars", text.String()))
}

// connect sets the variables of [connectionConfig].
func (p process) connect(c *simulator.Cluster) {
	p.t.Helper()
	p.setVariables(connectionValues(c))
}

// connectionValues are the values of the variables of [connectionConfig].
func connectionValues(c *simulator.Cluster) map[string]string {
	return map[string]string{
		"dtr_url": c.DTRURL(), "ucp_url": c.UCPURL(), "username": c.Username(), "password": c.Password(), "ca_cert": c.CACert(),
	}
}

func (p process) command(args ...string) *exec.Cmd {
	// Killed Terraform leaves its lock behind: what a person removes by hand.
	cmd := p.dir.Command(p.t.Context(), append(args, "-no-color", "-input=false", "-lock=false", "-state="+p.state)...)
	cmd.Env = append(cmd.Env, "TF_DISABLE_PLUGIN_TLS=1")  // a fifth of the processors' time of a plan
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the provider is in the same group
	return cmd
}

func (p process) apply() {
	p.t.Helper()
	if out, err := p.command("apply", "-auto-approve").CombinedOutput(); err != nil {
		p.t.Fatalf("apply: %v\n%s", err, out)
	}
}

// wantNoChanges fails the test if a plan has anything to do.
func (p process) wantNoChanges() {
	p.t.Helper()
	if out, err := p.command("plan", "-detailed-exitcode").CombinedOutput(); err != nil {
		p.t.Errorf("the next plan is not empty: %v\n%s", err, out)
	}
}

// storesUploads reports whether the Terraform is one that has no write-only attributes,
// and fails the test unless that refuses the configuration for its upload.
func (p process) storesUploads() bool {
	p.t.Helper()
	version, err := p.dir.Command(p.t.Context(), "version").Output()
	must(err)
	before := regexp.MustCompile(`^Terraform v1\.([89]|10)\.`).Match(version)
	if before {
		refused := regexp.MustCompile(`Terraform 1\.11 and later|Unsupported Terraform Core version`) // by the provider, or by required_version
		if out, _ := p.dir.Command(p.t.Context(), "validate", "-no-color").CombinedOutput(); !refused.Match(out) {
			p.t.Errorf("got:\n%s", out)
		}
	}
	return before
}

// killedApply applies, and ends Terraform and the provider with SIGKILL at the nth
// time that the cluster comes to the point.
func (p process) killedApply(c *simulator.Cluster, point string, nth int) {
	p.t.Helper()
	reached, release := c.HoldNth(point, nth)
	defer release()
	cmd := p.command("apply", "-auto-approve")
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-reached:
	case err := <-ended:
		p.t.Fatalf("apply ended before it came to %s: %v\n%s", point, err, &output)
	}
	must(syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	if err := <-ended; err == nil {
		p.t.Error("the apply came to its end before the kill")
	}
}
