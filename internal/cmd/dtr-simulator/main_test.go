package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

func TestRunServesUntilItIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-version", "2.5.6", "-replicas", "1", "-speed", "100"}, in, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var info simulator.Info
	if err := json.Unmarshal(line, &info); err != nil {
		t.Fatal(err)
	}
	if info.DTRURL == "" || info.UCPURL == "" || info.Username == "" || info.Password == "" || info.CACert == "" {
		t.Errorf("%s", line)
	}
	interrupt()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"-version", "latest"}, {"-replicas", "9"}, {"surplus"}, {"-nonsense"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func TestRunPrintsUsage(t *testing.T) {
	for _, flag := range []string{"-h", "-help", "--help"} {
		var stdout, stderr strings.Builder
		if err := run(t.Context(), []string{flag}, &stdout, &stderr); err != nil {
			t.Errorf("%s: %v", flag, err)
		}
		if !strings.HasPrefix(stderr.String(), "Usage of dtr-simulator:") || stdout.Len() > 0 {
			t.Errorf("%s: stdout %q, stderr %q", flag, stdout.String(), stderr.String())
		}
	}
}
