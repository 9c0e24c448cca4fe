// Terraform-provider-dtr upgrades Docker Trusted Registry, version by version.
package main

import (
	"flag"
	"log"
	"os"
	"runtime/debug"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/provider"
)

// version is set by the linker in a release.
var version = "dev"

// name is the provider's in a registry.
const name = "dtr-upgrade/dtr"

// gcPercent keeps the heap small: the provider waits far more than it computes,
// and Terraform runs many providers side by side. GOGC overrides it.
const gcPercent = 25

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	attach := flag.Bool("debug", false, "run until interrupted, for a debugger to attach to")
	registry := flag.String("registry", "registry.terraform.io", "with -debug, the host of the registry that the provider is looked up in; OpenTofu's is registry.opentofu.org")
	flag.Parse()

	var options []tf6server.ServeOpt
	if *attach {
		options = append(options, tf6server.WithManagedDebug())
	}
	err := provider.Serve(*registry+"/"+name, provider.NewServer(version), options...)
	if err != nil {
		log.Fatal(err)
	}
}
