package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// statusTerminated is the exit status of a program that ended by SIGTERM.
const statusTerminated = 128 + 15

// asImage runs the program in the role that it has in a stand-in image. ok is
// false when it is called as what it is outside of images.
//
//	dtr-simulator bootstrapper COMMAND...   the bootstrapper of DTR
//	dtr-simulator component PART            a part of a replica, until it is stopped
//	/bin/healthcheck                        nginx's health check
func asImage(ctx context.Context, args []string, stdout, stderr io.Writer) (status int, ok bool) {
	var err error
	switch {
	case path.Base(args[0]) == path.Base(release.HealthCheckPath):
		err = standin.HealthCheck(ctx)
	case len(args) > 1 && args[1] == "bootstrapper":
		status = standin.Main(ctx, args[2:], os.Environ(), stdout, stderr)
	case len(args) == 3 && args[1] == "component":
		if err = standin.Component(ctx, args[2]); err == nil {
			status = statusTerminated
		}
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		status = 1
	}
	return status, true
}
