package terraformtest

import (
	"context"
	"os"
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
	t.Setenv("PATH", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing can be downloaded
	_, err := FindTerraform(ctx, t.TempDir())
	if want := "install Terraform " + MinimumVersion + " or later: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s...", err, want)
	}
}
