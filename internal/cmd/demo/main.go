// Command demo shows the provider at its main job: it starts a simulated DTR
// cluster and lets a real Terraform upgrade it. It needs no Docker, and no
// network where Terraform is installed. Everything that it makes is in one
// temporary directory, which it removes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// The versions of the story that the demo tells.
const (
	startVersion  = "2.5.6"
	targetVersion = "2.6.15"
	tooOld        = "2.5.17" // a downgrade, once the cluster runs targetVersion
	tooFar        = "2.8.13" // skips a minor version
)

func main() {
	speed := flag.Float64("speed", 4, "how many times faster than a real cluster the simulated one is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *speed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, speed float64) (err error) {
	dir, err := os.MkdirTemp("", "dtr-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	say("Getting ready: Terraform, the provider built from this tree, a simulated DTR cluster")
	binary, err := terraformtest.FindTerraform(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("  Terraform: %s\n", binary)
	working, err := terraformtest.New(dir, binary)
	if err != nil {
		return err
	}
	if err := working.BuildProvider(ctx); err != nil {
		return err
	}
	cluster, err := simulator.Start(simulator.Options{
		Version: startVersion, Replicas: 3, Speed: speed,
		APIVersion: "1.39", UCPVersion: "3.1.4", // Engine 18.09 and UCP are upgraded before DTR
	})
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Printf("  DTR %s with three replicas at %s, UCP at %s\n", startVersion, cluster.DTRURL(), cluster.UCPURL())

	stage, err := newStage(ctx, working, cluster)
	if err != nil {
		return err
	}
	return tell(ctx, stage)
}

// tell is the story, scene by scene.
func tell(ctx context.Context, s *stage) error {
	if err := s.write(targetVersion); err != nil {
		return err
	}
	say("terraform plan: from %s to %s, a minor upgrade", startVersion, targetVersion)
	if changes, err := s.plan(ctx); err != nil {
		return err
	} else if !changes {
		return errors.New("the plan has no changes, where the cluster is to be upgraded")
	}

	say("terraform apply: one replica at a time, then the metadata store migration")
	began := time.Now()
	if err := s.apply(ctx); err != nil {
		return err
	}
	took := time.Since(began)

	say("terraform plan again: nothing left to do")
	if changes, err := s.plan(ctx); err != nil {
		return err
	} else if changes {
		return errors.New("the second plan has changes, where the cluster is at its target")
	}

	say("terraform plan with target_version = %q: a downgrade", tooOld)
	if err := s.refused(ctx, tooOld, "downgrade"); err != nil {
		return err
	}
	say("terraform plan with target_version = %q: skips a minor version", tooFar)
	if err := s.refused(ctx, tooFar, "via = ["); err != nil {
		return err
	}

	last, err := s.lastUpgrade(ctx)
	if err != nil {
		return err
	}
	say("What the upgrade cost")
	fmt.Printf("  %s -> %s in %.1f s\n", last.From, last.To, took.Seconds())
	fmt.Printf("  %d bootstrapper run, %d migration attempt\n", last.BootstrapperRuns, last.MigrationAttempts)
	fmt.Printf("  longest interruption: %d ms (%d of %d probes failed)\n\n", last.LongestInterruptionMS, last.FailedProbes, last.Probes)
	return nil
}

// say prints a heading.
func say(format string, args ...any) {
	heading := fmt.Sprintf(format, args...)
	fmt.Printf("\n%s\n%s\n", heading, strings.Repeat("-", len(heading)))
}
