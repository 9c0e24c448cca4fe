//go:build !race

// Under the race detector a process takes more memory than it asks for.

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// envLarge makes a process of this test a large one, which is measured.
const envLarge = "BENCH_TEST_LARGE"

func TestMain(m *testing.M) {
	if program := os.Getenv(envProgram); program != "" {
		_ = os.Unsetenv(envProgram)
		status, err := measure(program, os.Getenv(envRecord), os.Args[1:])
		if err != nil {
			panic(err)
		}
		os.Exit(status)
	}
	if os.Getenv(envLarge) != "" {
		large := make([]byte, 64<<20)
		for i := 0; i < len(large); i += 4 << 10 {
			large[i] = 1
		}
		_, _ = io.Copy(os.Stdout, os.Stdin)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// TestMeasure runs a program by way of this one, twice, as Terraform runs a provider.
func TestMeasure(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(t.TempDir(), "record")
	for range 2 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), envProgram+"="+self, envRecord+"="+record, envLarge+"=yes")
		cmd.Stdin = strings.NewReader("passed on")
		out, _ := cmd.Output()
		if string(out) != "passed on" || cmd.ProcessState.ExitCode() != 3 {
			t.Fatalf("exit status %d, output %q", cmd.ProcessState.ExitCode(), out)
		}
	}
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 {
		t.Fatalf("record:\n%s", text)
	}
	for _, line := range lines[:2] {
		var peak, parent int64
		if _, err := fmt.Sscanf(line, "%d %d", &peak, &parent); err != nil || peak < 64<<20 || peak > 128<<20 || parent < 1<<20 || parent >= peak {
			t.Errorf("%q: error %v", line, err)
		}
	}
}

func TestMeasureFails(t *testing.T) {
	t.Parallel()
	record := filepath.Join(t.TempDir(), "record")
	if status, err := measure(filepath.Join(t.TempDir(), "none"), record, nil); status != 1 || err == nil {
		t.Errorf("no program: status %d, error %v", status, err)
	}
	if status, err := measure("true", filepath.Dir(record), nil); status != 1 || err == nil {
		t.Errorf("no file: status %d, error %v", status, err)
	}
}
