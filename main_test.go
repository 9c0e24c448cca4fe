package main

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDebug holds that Terraform, and OpenTofu if that is said, can attach to a provider
// that runs by itself.
func TestDebug(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "provider")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for want, flags := range map[string][]string{
		"registry.terraform.io/dtr-upgrade/dtr": {"-debug"},
		"registry.opentofu.org/dtr-upgrade/dtr": {"-debug", "-registry=registry.opentofu.org"},
	} {
		ctx, stop := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, program, flags...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := ""
		for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(said, "TF_REATTACH_PROVIDERS='{"); {
			said += lines.Text() + "\n"
		}
		stop()
		_ = cmd.Wait() // it was ended
		if !strings.Contains(said, `TF_REATTACH_PROVIDERS='{"`+want+`":`) {
			t.Errorf("%v printed:\n%s", flags, said)
		}
	}
}
