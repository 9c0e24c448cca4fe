package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// peerVersion is that of hashicorp/time, the peer: a small provider by the authors
// of the framework, which makes no request.
const peerVersion = "v0.13.1"

const (
	ownSource, peerSource   = "dtr-upgrade/dtr", "hashicorp/time"
	ownProgram, peerProgram = "terraform-provider-dtr", "terraform-provider-time"
	measuredProgram         = "measured"
)

// bench is one run of the program.
type bench struct {
	settings
	dir       string
	terraform string // path of the program
	log       io.Writer
	rows      []row
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

func (b *bench) add(rows ...row) { b.rows = append(b.rows, rows...) }

// program is the path of a provider's program.
func (b *bench) program(name string) string { return filepath.Join(b.dir, "providers", name) }

// build builds the provider and the peer, both stripped, and what measures their memory.
func (b *bench) build(ctx context.Context) error {
	if err := terraformtest.Build(ctx, b.program(ownProgram)); err != nil {
		return err
	}
	measured := exec.CommandContext(ctx, "go", "build", "-o", b.program(measuredProgram), "github.com/dtr-upgrade/terraform-provider-dtr/internal/cmd/bench/measured")
	if text, err := measured.CombinedOutput(); err != nil {
		return fmt.Errorf("build what measures: %w\n%s", err, text)
	}
	const module = "github.com/hashicorp/terraform-provider-time"
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+peerVersion)
	download.Dir, download.Stderr = b.dir, b.log // of no module
	text, err := download.Output()
	if err != nil {
		return fmt.Errorf("download %s: %w\n%s", module, err, text)
	}
	var of struct{ Dir string }
	if err := json.Unmarshal(text, &of); err != nil {
		return fmt.Errorf("download %s: %w", module, err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", of.Dir, "-trimpath", "-ldflags", "-s -w", "-o", b.program(peerProgram), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", module, err, text)
	}
	return nil
}

// setting says what the figures depend on.
func (b *bench) setting(ctx context.Context) setting {
	s := setting{
		Processor: processor(), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Terraform: "of an unknown version", Peer: peerSource + " " + strings.TrimPrefix(peerVersion, "v"), Runs: b.Runs, Applies: b.Applies,
	}
	version := exec.CommandContext(ctx, b.terraform, "version", "-json")
	version.Env = []string{"CHECKPOINT_DISABLE=1"}
	var terraform struct {
		Version string `json:"terraform_version"`
	}
	if text, err := version.Output(); err == nil && json.Unmarshal(text, &terraform) == nil {
		s.Terraform = terraform.Version
	}
	return s
}

// processor is the model's name, where the system tells it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "of an unknown kind"
}

// sizes compares the programs, both stripped.
func (b *bench) sizes(context.Context) error {
	size := map[string]float64{}
	for _, name := range []string{ownProgram, peerProgram} {
		info, err := os.Stat(b.program(name))
		if err != nil {
			return err
		}
		size[name] = float64(info.Size()) / 1e6
	}
	b.add(newRow("the program, stripped", "MB", size[ownProgram], peerSource, size[peerProgram], most(22)))
	return nil
}
