// Command bench measures the provider: what a plan and an apply take of time, memory
// and requests, each beside a floor or a peer that is measured in the same run on the
// same machine. It prints one table and writes the same as JSON. The clusters are
// simulated, and so it needs no Docker; the peer, hashicorp/time, comes from the Go
// module proxy. Everything else that it makes is in one temporary directory, which it
// removes.
//
// No figure of it is a verdict: what does not depend on the machine is held by tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start is the program, or the floor that it starts as a process of its own.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 2 && args[0] == bareCommand {
		return bare(ctx, args[1])
	}
	s, err := parse(args, stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil // Parse has printed the usage
		}
		return err
	}
	return run(ctx, s, stdout, stderr)
}

// settings are what the flags say.
type settings struct {
	Runs, Applies, Clusters int
	JSON                    string
	Markdown                bool
	Only                    *regexp.Regexp
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.Runs, "runs", 5, "how many times each figure is measured; the median is shown")
	flags.IntVar(&s.Applies, "applies", 2, "how many times the applies at a real cluster's speed are measured")
	flags.IntVar(&s.Clusters, "clusters", 50, "how many clusters the large configuration has")
	flags.StringVar(&s.JSON, "json", filepath.Join("bin", "bench.json"), "file that the table is written to as JSON")
	flags.BoolVar(&s.Markdown, "markdown", false, "print the table in Markdown")
	flags.StringVar(&only, "only", "", "measure the groups alone whose names this regular expression matches: "+groupNames())
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.Runs < 1 || s.Applies < 1 || s.Clusters < 10 {
		return s, errors.New("-runs and -applies are at least 1, -clusters at least 10")
	}
	var err error
	if s.Only, err = regexp.Compile(only); err != nil {
		return s, fmt.Errorf("-only: %w", err)
	}
	return s, nil
}

// group is figures that are measured together.
type group struct {
	name    string
	measure func(*bench, context.Context) error
}

func groups() []group {
	return []group{
		{"plan", (*bench).plans},
		{"large", (*bench).largeUCP},
		{"memory", (*bench).memory},
		{"clusters", (*bench).manyClusters},
		{"start", (*bench).startUp},
		{"size", (*bench).sizes},
		{"apply", (*bench).applies},
	}
}

func groupNames() string {
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	return strings.Join(names, " ")
}

func run(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{settings: s, dir: dir, log: stderr}
	b.say("getting ready: Terraform, the provider, hashicorp/time")
	if b.terraform, err = terraformtest.FindTerraform(ctx, dir); err != nil {
		return err
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	for _, g := range groups() {
		if !s.Only.MatchString(g.name) {
			continue
		}
		b.say("%s", g.name)
		if err := g.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	r := report{Setting: b.setting(ctx), Seconds: round(time.Since(began).Seconds()), Rows: b.rows}
	if err := r.write(s.JSON); err != nil {
		return err
	}
	if s.Markdown {
		_, err = io.WriteString(stdout, r.markdown())
	} else {
		_, err = io.WriteString(stdout, r.text())
	}
	return err
}
