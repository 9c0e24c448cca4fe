// Terraform-provider-dtr upgrades Docker Trusted Registry, version by version.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"runtime/debug"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/provider"
)

// version is set by the linker in a release.
var version = "dev"

// gcPercent keeps the heap small: the provider waits far more than it computes,
// and Terraform runs many providers side by side. GOGC overrides it.
const gcPercent = 25

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	attach := flag.Bool("debug", false, "run until interrupted, for a debugger to attach to")
	flag.Parse()

	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address:         "registry.terraform.io/dtr-upgrade/dtr",
		Debug:           *attach,
		ProtocolVersion: 6,
	})
	if err != nil {
		log.Fatal(err)
	}
}
