package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

func TestRunServesUntilItIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-version", "2.5.6", "-replicas", "1", "-speed", "100"}, in) }()
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
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
