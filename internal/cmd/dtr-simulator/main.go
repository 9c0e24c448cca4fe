// Command dtr-simulator serves a simulated DTR cluster on free loopback ports
// until it is interrupted. When it is ready it prints one line of JSON: the
// addresses, the credentials and the certificate authority.
//
// It is also the program of the images that stand in for DTR's own on real
// engines, see asImage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if status, ok := asImage(ctx, os.Args, os.Stdout, os.Stderr); ok {
		stop()
		os.Exit(status)
	}
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dtr-simulator:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o simulator.Options
	flags := flag.NewFlagSet("dtr-simulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Version, "version", "2.5.6", "DTR version that the cluster runs")
	flags.IntVar(&o.Replicas, "replicas", 3, "number of replicas, 1 to 7")
	flags.IntVar(&o.Workers, "workers", 0, "number of workers, those without a replica included (default: one for each replica)")
	flags.Float64Var(&o.Speed, "speed", 1, "how many times faster than a real cluster")
	flags.StringVar(&o.APIVersion, "api-version", "", "Docker Engine API version (default: by DTR version)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil // Parse has printed the usage
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	cluster, err := simulator.Start(o)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if err := json.NewEncoder(stdout).Encode(cluster.Info()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
