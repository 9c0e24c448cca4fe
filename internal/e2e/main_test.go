//go:build e2e && linux

package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/sandbox"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/workspace"
)

// speed of what is simulated, and of the stand-in bootstrapper.
const speed = 5

// What the outer process hands to the one in the sandbox.
const (
	envDir       = "DTR_E2E_DIR"
	envTerraform = "DTR_E2E_TERRAFORM"
	envCgroup    = "DTR_E2E_CGROUP"
)

// engines are shared by all tests: to start them takes longer than most tests.
var engines *rig.Rig

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(prepare, func() int { return inside(m) }))
}

// prepare does what needs the network, and what must go at the end.
func prepare() (env []string, cleanUp func() error, err error) {
	if missing := rig.Tools(); len(missing) > 0 {
		return nil, nil, fmt.Errorf("needed on the PATH and not found: %s", strings.Join(missing, ", "))
	}
	ctx := context.Background()
	before, err := footprint(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "dtr-e2e-")
	if err != nil {
		return nil, nil, err
	}
	cgroup := filepath.Base(dir)
	removeConfig, err := rig.MakeConfigDir()
	cleanUp = func() error {
		return errors.Join(rig.RemoveCgroups(cgroup), checkNothingIsLeft(ctx, before, dir), os.RemoveAll(dir), removeConfig())
	}
	if err != nil {
		return nil, cleanUp, err
	}
	terraform, err := workspace.FindTerraform(ctx, dir)
	if err != nil {
		return nil, cleanUp, err
	}
	if _, err := workspace.New(ctx, dir, terraform); err != nil {
		return nil, cleanUp, err
	}
	env = []string{envDir + "=" + dir, envTerraform + "=" + terraform, envCgroup + "=/" + cgroup}
	return env, cleanUp, buildProgram(ctx, program(dir))
}

func program(dir string) string { return filepath.Join(dir, "dtr-simulator") }

// buildProgram builds the static program of the stand-in images.
func buildProgram(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to,
		"github.com/dtr-upgrade/terraform-provider-dtr/internal/cmd/dtr-simulator")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program of the stand-in images: %w\n%s", err, out)
	}
	return nil
}

// nodes is how many engines are needed: one for each replica.
func nodes() int {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		return slices.Max(benchmarkedReplicas)
	}
	return replicas
}

// footprint is what engines could leave on the machine: links, addresses and
// firewall rules, mounts, names of network namespaces, and cgroups.
func footprint(ctx context.Context) (map[string]bool, error) {
	seen := map[string]bool{}
	for _, pattern := range []string{"/sys/class/net/*", "/run/netns/*", "/var/run/docker/netns/*", "/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			seen[path] = true
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		seen["mount "+strings.TrimSpace(line)] = true
	}
	for _, command := range [][]string{{"iptables-save"}, {"ip", "-o", "address"}, {"ip", "route"}} {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command[0], err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "#") {
				continue // when it was printed
			}
			seen[command[0]+" "+counters.ReplaceAllString(strings.TrimSpace(line), "")] = true
		}
	}
	return seen, nil
}

// counters are of packets and seconds: they change by themselves.
var counters = regexp.MustCompile(`\[\d+:\d+\]|(valid|preferred)_lft \S+`)

// checkNothingIsLeft looks for what the sandbox should have taken with it:
// whatever was not there before, and processes.
func checkNothingIsLeft(ctx context.Context, before map[string]bool, dir string) error {
	after, err := footprint(ctx)
	if err != nil {
		return err
	}
	var left []string
	for _, thing := range slices.Sorted(maps.Keys(after)) {
		if !before[thing] {
			left = append(left, thing)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, name := range processes {
		command, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(command), dir) {
			left = append(left, "process "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	return nil
}

// inside runs the tests, with the engines up.
func inside(m *testing.M) int {
	dir := os.Getenv(envDir)
	began := time.Now()
	r, err := rig.Start(context.Background(), rig.Options{
		Dir: dir, Cgroup: os.Getenv(envCgroup), Program: program(dir), Nodes: nodes(), Speed: speed,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the engines:", err)
		return 1
	}
	fmt.Fprintf(os.Stderr, "%d engines started in %s\n", len(r.Nodes), time.Since(began).Round(time.Millisecond))
	engines = r
	status := m.Run()
	if err := r.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the engines:", err)
		status = max(status, 1)
	}
	return status
}
