package provider

import (
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// providerProgram is the name by which this test's program is the provider.
const providerProgram = "terraform-provider-dtr"

// TestMain makes the tests independent of the machine: nothing is read from its
// environment or from Terraform's own configuration, and nobody is called. Where
// Terraform runs the program as a provider, there are no tests to run.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == providerProgram {
		if err := Serve("registry.terraform.io/dtr-upgrade/dtr", NewServer("test", quick()...)); err != nil {
			log.Fatal(err)
		}
		return
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"DTR_", "UCP_", "DOCKER_", "TF_VAR_", "TF_CLI_ARGS"} {
			if strings.HasPrefix(name, prefix) {
				must(os.Unsetenv(name))
			}
		}
	}
	must(os.Setenv("CHECKPOINT_DISABLE", "1"))
	must(os.Setenv("TF_CLI_CONFIG_FILE", os.DevNull))
	must(os.Setenv("TF_ACC_PROVIDER_NAMESPACE", "dtr-upgrade"))
	os.Exit(run(m))
}

// run runs the tests, with a directory for what they download.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dtr-test-")
	must(err)
	defer func() { must(os.RemoveAll(dir)) }()
	downloads = dir
	return m.Run()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
