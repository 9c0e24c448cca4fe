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
			clusters[i], err = simulator.Start(simulator.Options{Version: version26})
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
	floor, err := b.stage(builtIn("new"))
	if err != nil {
		return err
	}
	if err := b.plansOf(ctx, floor, floorOnly, wall, cpu); err != nil {
		return err
	}
	for _, n := range []int{1, b.Clusters} {
		var own, peer strings.Builder
		for i, c := range clusters[:n] {
			alias := fmt.Sprintf("c%d", i)
			own.WriteString(resource(c, alias, target(version27)))
			peer.WriteString(static(alias, "new"))
		}
		for name, configuration := range map[string]string{ownSource: ownRequired + own.String(), peerSource: peerRequired + peer.String()} {
			if err := b.manyPlans(ctx, planOf(name, n), name, configuration, wall, cpu, peaks); err != nil {
				return err
			}
		}
	}
	goals := map[string][]goal{ownSource: {times(1.1)}}
	for _, name := range []string{ownSource, peerSource} {
		what := fmt.Sprintf("a plan of %d clusters", b.Clusters)
		if name == peerSource {
			what = fmt.Sprintf("a plan of %d times %s", b.Clusters, peerSource)
		}
		one, all := planOf(name, 1), planOf(name, b.Clusters)
		each := func(s samples) float64 { return eachFurther(s.median(one), s.median(all), b.Clusters) }
		b.add(newRow(what+", each after the first: wall time", milliseconds, each(wall), lessFloor, wall.median(one)-wall.median(floorOnly), goals[name]...),
			newRow(what+", each after the first: processor time", milliseconds, each(cpu), lessFloor, cpu.median(one)-cpu.median(floorOnly), goals[name]...),
			newRow(what+": peak memory of a provider", mebibytes, peaks.median(all), "of one", peaks.median(one), goals[name]...))
	}
	return nil
}

// lessFloor is what each further cluster is compared with: a plan of one, without what
// Terraform takes by itself.
const lessFloor = "of one, less Terraform alone"

func planOf(name string, n int) string { return fmt.Sprintf("%s of %d", name, n) }

// eachFurther is what each of n takes but the first, in which Terraform's own start is.
func eachFurther(one, all float64, n int) float64 { return (all - one) / float64(n-1) }

// manyPlans plans a configuration of providers, and measures the memory of the largest.
func (b *bench) manyPlans(ctx context.Context, key, name, configuration string, wall, cpu, peaks samples) error {
	s, err := b.stage(configuration)
	if err != nil {
		return err
	}
	if err := b.plansOf(ctx, s, key, wall, cpu); err != nil {
		return err
	}
	program := map[string]string{ownSource: ownProgram, peerSource: peerProgram}[name]
	measured, err := b.measured(configuration, program)
	if err != nil {
		return err
	}
	if _, err := measured.plan(ctx, true); err != nil {
		return err
	}
	peak, err := measured.peak()
	peaks.add(key, peak)
	return err
}

// plansOf plans again and again. The first one, which finds nothing in the system's cache,
// does not count.
func (b *bench) plansOf(ctx context.Context, s *stage, key string, wall, cpu samples) error {
	for i := range b.Runs + 1 {
		t, err := s.plan(ctx, true)
		if err != nil {
			return err
		}
		if i > 0 {
			wall.add(key, ms(t.wall))
			cpu.add(key, ms(t.cpu))
		}
	}
	return nil
}
