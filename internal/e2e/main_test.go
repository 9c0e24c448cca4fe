//go:build e2e && linux

package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/sandbox"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// speed of what is simulated, and of the stand-in bootstrapper.
const speed = 5

// What the outer process hands to the one in the sandbox.
const (
	envDir       = "DTR_E2E_DIR"
	envTerraform = "DTR_E2E_TERRAFORM"
	envCgroup    = "DTR_E2E_CGROUP"
	envTests     = "DTR_E2E_TESTS" // patterns, each on a line
	envEngines   = "DTR_E2E_ENGINES"
)

// sandboxes are how many run side by side, each with engines of its own: most of a
// test's time is spent waiting.
const sandboxes = 4

// engines are shared by all tests: to start them takes longer than most tests.
var engines *rig.Rig

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run())
	}
	os.Exit(sandbox.Main(prepare, func() int { return inside(m) }))
}

// prepare does what needs the network, and what must go at the end.
func prepare() (envs [][]string, cleanUp func() error, err error) {
	if missing := rig.Tools(); len(missing) > 0 {
		return nil, nil, fmt.Errorf("needed on the PATH and not found: %s", strings.Join(missing, ", "))
	}
	ctx := context.Background()
	before, err := footprint(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := sweep(); err != nil {
		return nil, nil, err
	}
	dir, unlock, err := makeDir()
	if err != nil {
		return nil, nil, err
	}
	cleanUp = func() error {
		defer unlock()
		return errors.Join(checkNothingIsLeft(ctx, before, dir), remove(dir))
	}
	if err := rig.MakeConfigDir(filepath.Join(dir, configDirMark)); err != nil {
		return nil, cleanUp, err
	}
	terraform, err := terraformtest.FindTerraform(ctx, dir)
	if err != nil {
		return nil, cleanUp, err
	}
	working, err := terraformtest.New(dir, terraform)
	if err != nil {
		return nil, cleanUp, err
	}
	if err := working.BuildProvider(ctx); err != nil {
		return nil, cleanUp, err
	}
	patterns, err := wanted(ctx)
	if err != nil {
		return nil, cleanUp, err
	}
	if err := os.Mkdir(takenTests(dir), 0o700); err != nil {
		return nil, cleanUp, err
	}
	for i := range min(sandboxes, len(patterns)) {
		own := filepath.Join(dir, strconv.Itoa(i+1))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, cleanUp, err
		}
		envs = append(envs, []string{
			envDir + "=" + dir, envTerraform + "=" + terraform, envCgroup + "=/" + filepath.Base(dir),
			envEngines + "=" + own, envTests + "=" + strings.Join(patterns, "\n"),
		})
	}
	return envs, cleanUp, buildProgram(ctx, program(dir))
}

// wanted are patterns of the tests that are to run, one of each: a sandbox that is done
// with one takes the next. Where single subtests or benchmarks are asked for, there is one
// pattern, and one sandbox.
func wanted(ctx context.Context) (patterns []string, err error) {
	asked := flag.Lookup("test.run").Value.String()
	if strings.Contains(asked, "/") || flag.Lookup("test.bench").Value.String() != "" {
		return []string{asked}, nil
	}
	out, err := exec.CommandContext(ctx, os.Args[0], "-test.list="+cmp.Or(asked, ".")).Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}
	for _, test := range regexp.MustCompile(`(?m)^Test\w+$`).FindAllString(string(out), -1) {
		patterns = append(patterns, "^"+test+"$")
	}
	if len(patterns) == 0 {
		return []string{asked}, nil
	}
	return patterns, nil
}

func takenTests(dir string) string { return filepath.Join(dir, "taken") }

// take reports whether the nth pattern is for this sandbox: no other one has taken it.
func take(dir string, n int) (bool, error) {
	err := os.Mkdir(filepath.Join(takenTests(dir), strconv.Itoa(n)), 0o700)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

const (
	dirPattern    = "dtr-e2e-*"
	lockFile      = "lock"
	configDirMark = "made-config-dir"
)

// makeDir makes the directory of this run, which is locked for as long as the
// process lives.
func makeDir() (dir string, unlock func(), err error) {
	if dir, err = os.MkdirTemp("", dirPattern); err != nil {
		return "", nil, err
	}
	file, err := os.Create(filepath.Join(dir, lockFile))
	if err != nil {
		return "", nil, err
	}
	return dir, func() { _ = file.Close() }, unix.Flock(int(file.Fd()), unix.LOCK_EX)
}

// sweep removes what runs that were killed could not.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		file, err := os.Open(filepath.Join(dir, lockFile))
		if errors.Is(err, os.ErrNotExist) {
			continue // of a run that is about to begin
		}
		if err != nil {
			return err
		}
		if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = remove(dir)
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("remove what a run that was killed has left: %w", err)
		}
	}
	return nil
}

// remove removes a run's directory and what belongs to it.
func remove(dir string) error {
	return errors.Join(
		rig.RemoveCgroups(filepath.Base(dir)),
		rig.RemoveConfigDir(filepath.Join(dir, configDirMark)),
		os.RemoveAll(dir),
	)
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
	if flag.Lookup("test.bench").Value.String() != "" {
		return slices.Max(benchmarkedReplicas)
	}
	return replicas
}

// footprint is what engines would leave on the machine if they ran on it: links,
// addresses, routes and firewall rules.
func footprint(ctx context.Context) (map[string]bool, error) {
	seen := map[string]bool{}
	for _, command := range [][]string{{"iptables-save"}, {"ip", "-o", "link"}, {"ip", "-o", "address"}, {"ip", "route"}} {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command[0], err)
		}
		for line := range strings.Lines(string(out)) {
			// When it was printed, and the ports of other engines' containers.
			if !strings.HasPrefix(line, "#") && !strings.Contains(line, "veth") {
				seen[command[0]+" "+counters.ReplaceAllString(strings.TrimSpace(line), "")] = true
			}
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
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			left = append(left, "mount "+strings.TrimSpace(line))
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
		Dir: os.Getenv(envEngines), Cgroup: os.Getenv(envCgroup), Program: program(dir), Nodes: nodes(), Speed: speed,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the engines:", err)
		return 1
	}
	fmt.Fprintf(os.Stderr, "%d engines started in %s\n", len(r.Nodes), time.Since(began).Round(time.Millisecond))
	engines = r
	status := runTests(m, dir)
	if err := r.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the engines:", err)
		status = max(status, 1)
	}
	return status
}

// runTests runs the tests that no other sandbox has taken, within the limit of all.
func runTests(m *testing.M, dir string) (status int) {
	stderr := os.Stderr
	defer runtime.KeepAlive(stderr) // M.Run forgets it at its second call, and the collector would close it
	limit := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration)
	end := time.Now().Add(limit)
	for n, pattern := range strings.Split(os.Getenv(envTests), "\n") {
		taken, err := take(dir, n)
		if err == nil && taken {
			fmt.Fprintf(stderr, "sandbox %s runs %s\n", filepath.Base(os.Getenv(envEngines)), pattern)
			err = flag.Set("test.run", pattern)
			if limit > 0 {
				err = errors.Join(err, flag.Set("test.timeout", max(time.Until(end), 1).String()))
			}
			if err == nil {
				status = max(status, m.Run())
			}
		}
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
	}
	return status
}
