package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
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

// guide is the page that has a reader start the simulator.
const guide = "../../../templates/guides/getting-started.md"

// TestRunPrintsTheEnvironment runs what the guide says, on other ports, and has a shell
// take what is printed.
func TestRunPrintsTheEnvironment(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "$ go run ./internal/cmd/dtr-simulator ")
	line, _, found := strings.Cut(line, " >cluster.env\n")
	if !found {
		t.Fatal("the guide does not start the simulator")
	}
	ctx, interrupt := context.WithCancel(t.Context())
	ports := freePorts(t, 2)
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		args := strings.NewReplacer("8443", ports[0], "9443", ports[1]).Replace(line)
		done <- run(ctx, strings.Fields(args), in, io.Discard)
		_ = in.Close()
	}()
	var script strings.Builder
	for reader := bufio.NewReader(out); !strings.Contains(script.String(), "export UCP_CA="); {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %v", err, <-done)
		}
		script.WriteString(line)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	interrupt()
	if err := <-done; err != nil {
		t.Error(err)
	}
	before, _, _ := strings.Cut(script.String(), "export UCP_CA=") // which goes on for some lines
	shown, err := exec.CommandContext(t.Context(), "sh", "-c", before+`echo "$DTR_URL $UCP_URL"; echo "$DTR_CA_CERT"`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, shown)
	}
	want := "https://127.0.0.1:" + ports[0] + " https://127.0.0.1:" + ports[1] + "\n-----BEGIN CERTIFICATE-----\n"
	if !strings.HasPrefix(string(shown), want) {
		t.Errorf("the shell has %q, want %q", shown, want)
	}
}

// freePorts are ports that nothing listens on.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
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
