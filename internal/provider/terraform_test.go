package provider

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// overTerraform begins the name of every test that starts a Terraform process:
// `make unit` and `make race` leave those out.
const overTerraform = "TestTerraform"

// downloads is a directory for a Terraform that is not on the PATH.
var downloads string

// findTerraform finds one Terraform for all tests: a download takes long.
var findTerraform = sync.OnceValues(func() (string, error) {
	path, err := terraformtest.FindTerraform(context.Background(), downloads)
	if err != nil {
		return "", err
	}
	return path, os.Setenv(terraformtest.EnvTerraform, path)
})

// terraformPath is the Terraform of a test over it.
func terraformPath(t *testing.T) string {
	t.Helper()
	if !strings.HasPrefix(t.Name(), overTerraform) {
		t.Fatalf("a test over Terraform is named %s..., for make unit to leave it out", overTerraform)
	}
	path, err := findTerraform()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inTerraform takes a real Terraform through the steps of a test case. The
// provider is served with [quick] options where the case brings none.
func inTerraform(t *testing.T, c resource.TestCase) {
	t.Helper()
	terraformPath(t)
	if c.ProtoV6ProviderFactories == nil {
		c.ProtoV6ProviderFactories = factories()
	}
	resource.UnitTest(t, c) //nolint:forbidigo // the one place
}
