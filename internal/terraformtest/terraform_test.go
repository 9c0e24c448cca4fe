package terraformtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestContributingNamesTheMinimumVersion holds the instructions to the constant.
func TestContributingNamesTheMinimumVersion(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Terraform " + MinimumVersion + " or later"; !strings.Contains(string(text), want) {
		t.Errorf("CONTRIBUTING.md does not say %q", want)
	}
}

func TestNoTerraform(t *testing.T) {
	t.Setenv(EnvTerraform, "")
	t.Setenv("PATH", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing can be downloaded
	_, err := FindTerraform(ctx, t.TempDir())
	if want := "install Terraform " + MinimumVersion + " or later: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s...", err, want)
	}
}

func TestTheEnvironmentNamesTerraform(t *testing.T) {
	named := filepath.Join(t.TempDir(), "tofu")
	if err := os.WriteFile(named, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvTerraform, named)
	if found, err := FindTerraform(t.Context(), t.TempDir()); err != nil || found != named {
		t.Errorf("found %q, %v", found, err)
	}
	t.Setenv(EnvTerraform, named+"-not-there")
	if found, err := FindTerraform(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), EnvTerraform) {
		t.Errorf("found %q, %v", found, err)
	}
}
