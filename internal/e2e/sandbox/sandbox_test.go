//go:build e2e && linux

package sandbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/sandbox"
)

// envInside tells the test's program, started once more, how to end when it is
// in a sandbox.
const envInside = "SANDBOX_TEST_ENDS_BY"

const (
	networkName = "test-switch"
	machineName = "test-host"
)

func TestMain(m *testing.M) {
	ends := os.Getenv(envInside)
	if ends == "" && os.Getenv("SANDBOX_STAGE") == "" { // a machine's environment is a bare one
		os.Exit(m.Run())
	}
	os.Exit(sandbox.Main(
		func() ([][]string, func() error, error) { return [][]string{nil}, nil, nil },
		func() int { return inside(ends) },
	))
}

// inside sets up what engines set up: a bridge, a machine on it, and a process in
// the machine that outlives the one that started it.
func inside(ends string) int {
	ctx := context.Background()
	network, err := sandbox.NewSwitch(ctx, networkName, "10.231.1.254/24")
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return 1
	}
	machine, err := network.NewMachine(ctx, machineName, "10.231.1.1/24", "10.231.1.254")
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return 1
	}
	cmd := machine.Command(ctx, "sh", "-c", "hostname; (setsid sleep "+marker()+" &) ; sleep "+marker())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return 1
	}
	hostname, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(hostname) != machineName {
		fmt.Fprintf(os.Stdout, "the machine's host name: %q, %v\n", hostname, err)
		return 1
	}
	fmt.Fprintln(os.Stdout, "ready")
	switch ends {
	case "return":
		return 7
	case "panic":
		panic("on purpose")
	}
	_ = cmd.Wait() // until it is killed
	return 1
}

// marker makes the processes of this test known: it is how long they sleep.
func marker() string { return "86397.25" }

func TestNothingIsLeft(t *testing.T) {
	for _, end := range []struct {
		how    string
		signal syscall.Signal
		status int // -1: killed by the signal
	}{
		{"return", 0, 7},
		{"panic", 0, 2},
		{"terminate", syscall.SIGTERM, 128 + int(syscall.SIGTERM)},
		{"kill", syscall.SIGKILL, -1},
	} {
		t.Run(end.how, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), envInside+"="+end.how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			if line, err := lines.ReadString('\n'); line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if _, err := os.Stat("/sys/class/net/" + networkName); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the sandbox's network shows outside: %v", err)
			}
			if end.signal != 0 {
				waitForSleepers(t, 2)
				if err := cmd.Process.Signal(end.signal); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != end.status {
				t.Errorf("exit status %d, want %d", status, end.status)
			}
			waitForSleepers(t, 0) // the kernel ends what is left a moment later
		})
	}
}

func waitForSleepers(t *testing.T, want int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		found := sleepers(t)
		if len(found) == want {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("processes of the machine: %v, want %d", found, want)
		case <-ticker.C:
		}
	}
}

// sleepers are the processes with the marker, wherever they run.
func sleepers(t *testing.T) (found []string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range processes {
		command, err := os.ReadFile(name)
		if err == nil && string(command) == "sleep\x00"+marker()+"\x00" {
			found = append(found, filepath.Dir(name))
		}
	}
	return found
}
