// Package standin is the programs of the images that stand in for DTR's: the
// bootstrapper's, and that of a replica's part. They run in the containers of
// simulated engines, and in real containers of images made for tests.
//
// The bootstrapper reaches the cluster through UCP's Docker API alone, whichever
// engines are behind it.
package standin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// Environment that an image of the bootstrapper brings with it. The repository
// is where it takes the images of the components from.
const (
	EnvImageRepository = "DTR_IMAGE_REPOSITORY" // "docker/dtr"
	EnvImageVersion    = "DTR_IMAGE_VERSION"
	EnvSpeed           = "SIMULATOR_SPEED"
	EnvFaults          = "SIMULATOR_FAULTS" // Faults in JSON
)

// Main is the program of the docker/dtr image in a container of its own, where
// nothing but the image's environment tells it how to go wrong. The result is the
// exit status.
func Main(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	var faults Faults
	if text := variables(env)[EnvFaults]; text != "" {
		if err := json.Unmarshal([]byte(text), &faults); err != nil {
			fmt.Fprintf(stdout, "%s: %v\n", EnvFaults, err)
			return 1
		}
	}
	return Run(ctx, Hooks{
		Faults: func() Faults { return faults },
		Reach:  func(context.Context, string) {},
	}, args, env, stdout, stderr)
}

// Run is the program of the docker/dtr image: "upgrade" replaces the containers of
// every replica, "join" creates those of another one, "remove" takes those of one
// away, "images" lists what that takes, "backup" writes an archive to standard
// output. The result is the exit status.
func Run(ctx context.Context, h Hooks, args, env []string, stdout, stderr io.Writer) int {
	vars := variables(env)
	version, err := semver.StrictNewVersion(vars[EnvImageVersion])
	if err != nil {
		fmt.Fprintf(stdout, "%s is not set to a version: %v\n", EnvImageVersion, err)
		return 1
	}
	speed, _ := strconv.ParseFloat(vars[EnvSpeed], 64)
	if h.Faults().Silent {
		stdout, stderr = io.Discard, io.Discard
	}
	b := &bootstrapper{
		hooks: h, clock: clock.Clock(cmp.Or(speed, 1)), version: version,
		repository: cmp.Or(vars[EnvImageRepository], release.Repository(version)),
	}
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch {
	case command == "--version" && knowsVersionFlag(version):
		fmt.Fprintf(stdout, "dtr version %s\n", version)
		return 0
	case command == "images" && len(args) == 0:
		fmt.Fprintln(stdout, strings.Join(release.Bundle(b.repository, version.String()), "\n"))
		return 0
	case command == CommandBackup:
		if b.options, err = parseFlags(command, version, args, vars); err != nil {
			fmt.Fprintf(stderr, "Incorrect Usage: %v\n", err)
			return 1
		}
		b.log = records{out: stderr, debug: b.options.debug} // standard output is the archive's
		return backup{b, stdout}.run(ctx)
	}
	b.command = command
	if command == phase2Command && len(args) > 0 {
		b.command, args = args[0], args[1:]
	}
	if !slices.Contains(commands, b.command) {
		fmt.Fprintf(stdout, "No help topic for '%s'\n", strings.Join(append([]string{command}, args...), " "))
		return 1
	}
	if b.options, err = parseFlags(b.command, version, args, vars); err != nil {
		fmt.Fprintf(stdout, "Incorrect Usage: %v\n", err)
		return 1
	}
	b.log = records{out: stdout, debug: b.options.debug}
	if command == phase2Command {
		return runPhase2(ctx, b)
	}
	return phase1{b}.run(ctx)
}

func variables(env []string) map[string]string {
	vars := map[string]string{}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	return vars
}
