// Command dtr-simulator serves a simulated DTR cluster on loopback ports until it
// is interrupted. When it is ready it prints one line of JSON: the addresses, the
// credentials and the certificate authority; or, with -env, the same as commands
// for a shell.
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
	"strings"
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
	var bootstrapper simulator.BootstrapperFaults
	var migration simulator.MigrationFaults
	flags := flag.NewFlagSet("dtr-simulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Version, "version", "2.5.6", "DTR version that the cluster runs")
	flags.IntVar(&o.Replicas, "replicas", 3, "number of replicas, 1 to 7")
	flags.IntVar(&o.Workers, "workers", 0, "number of workers, those without a replica included (default: one for each replica)")
	flags.Float64Var(&o.Speed, "speed", 1, "how many times faster than a real cluster")
	flags.StringVar(&o.APIVersion, "api-version", "", "Docker Engine API version (default: by DTR version)")
	flags.IntVar(&o.DTRPort, "dtr-port", 0, "port of DTR (default: a free one)")
	flags.IntVar(&o.UCPPort, "ucp-port", 0, "port of UCP (default: a free one)")
	flags.IntVar(&bootstrapper.DieAtReplica, "die-at-replica", 0, "the bootstrapper fails in the middle of this replica, from 1, every time")
	flags.BoolVar(&bootstrapper.ClaimSuccess, "claim-success", false, "the bootstrapper reports success, whatever happened")
	flags.IntVar(&migration.Fail, "fail-migrations", 0, "this many attempts at the metadata store migration fail; -1: all")
	env := flags.Bool("env", false, "print commands for a shell that set the provider's environment")
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
	cluster.SetBootstrapper(bootstrapper)
	cluster.SetMigration(migration)
	if *env {
		_, err = io.WriteString(stdout, exports(cluster.Info()))
	} else {
		err = json.NewEncoder(stdout).Encode(cluster.Info())
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// exports are the commands that set the provider's environment for a cluster.
func exports(i simulator.Info) string {
	var text strings.Builder
	for _, v := range [][2]string{
		{"DTR_URL", i.DTRURL},
		{"DTR_USERNAME", i.Username},
		{"DTR_PASSWORD", i.Password},
		{"DTR_CA_CERT", i.CACert},
		{"UCP_URL", i.UCPURL},
		{"UCP_USERNAME", i.Username},
		{"UCP_PASSWORD", i.Password},
		{"UCP_CA", i.CACert},
	} {
		fmt.Fprintf(&text, "export %s='%s'\n", v[0], v[1])
	}
	return text.String()
}
