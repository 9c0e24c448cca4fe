package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// manyClusters compares a configuration of many clusters, each with a provider of its
// own, with one of a single cluster. Terraform starts a process for each provider: what
// that takes by itself is seen with the peer, which does nothing else.
func (b *bench) manyClusters(ctx context.Context) error {
	clusters := make([]*simulator.Cluster, b.Clusters)
	var g errgroup.Group
	for i := range clusters {
		g.Go(func() (err error) {
			clusters[i], err = simulator.Start(simulator.Options{Version: runs})
			return err
		})
	}
	err := g.Wait()
	for _, c := range clusters {
		if c != nil {
			defer c.Close()
		}
	}
	if err != nil {
		return err
	}
	wall, cpu, peaks := samples{}, samples{}, samples{}
	for _, n := range []int{1, b.Clusters} {
		var own, peer strings.Builder
		for i, c := range clusters[:n] {
			alias := fmt.Sprintf("c%d", i)
			own.WriteString(resource(c, alias, target(next)))
			peer.WriteString(static(alias, "new"))
		}
		for name, configuration := range map[string]string{ownSource: ownRequired + own.String(), peerSource: peerRequired + peer.String()} {
			if err := b.manyPlans(ctx, n, name, configuration, wall, cpu, peaks); err != nil {
				return err
			}
		}
	}
	key := func(name string, n int) string { return fmt.Sprintf("%s of %d", name, n) }
	what := fmt.Sprintf("a plan of %d clusters, each: ", b.Clusters)
	goals := map[string][]goal{ownSource: {times(1.1)}}
	for _, name := range []string{ownSource, peerSource} {
		what := what
		if name == peerSource {
			what = fmt.Sprintf("a plan of %d times %s, each: ", b.Clusters, peerSource)
		}
		b.add(newRow(what+"wall time", milliseconds, wall.median(key(name, b.Clusters)), "of one", wall.median(key(name, 1)), goals[name]...),
			newRow(what+"processor time", milliseconds, cpu.median(key(name, b.Clusters)), "of one", cpu.median(key(name, 1)), goals[name]...),
			newRow(what+"peak memory", mebibytes, peaks.median(key(name, b.Clusters)), "of one", peaks.median(key(name, 1)), goals[name]...))
	}
	return nil
}

// manyPlans plans a configuration of n providers; the figures are of each of them.
func (b *bench) manyPlans(ctx context.Context, n int, name, configuration string, wall, cpu, peaks samples) error {
	key := fmt.Sprintf("%s of %d", name, n)
	s, err := b.stage(configuration)
	if err != nil {
		return err
	}
	program := map[string]string{ownSource: ownProgram, peerSource: peerProgram}[name]
	measured, err := b.measured(configuration, program)
	if err != nil {
		return err
	}
	for range b.Runs {
		t, err := s.plan(ctx, true)
		if err != nil {
			return err
		}
		wall.add(key, ms(t.wall)/float64(n))
		cpu.add(key, ms(t.cpu)/float64(n))
	}
	if _, err := measured.plan(ctx, true); err != nil {
		return err
	}
	peak, err := measured.peak()
	peaks.add(key, peak)
	return err
}
