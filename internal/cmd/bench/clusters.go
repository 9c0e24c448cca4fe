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
	few := b.Clusters / 5
	for _, n := range []int{1, few, b.Clusters} {
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
		one, some, all := planOf(name, 1), planOf(name, few), planOf(name, b.Clusters)
		last := fmt.Sprintf("%s, each of the last %d", what, b.Clusters-few)
		first := fmt.Sprintf("each of %d, but the first", few)
		for _, m := range []struct {
			name string
			of   samples
		}{{"wall time", wall}, {"processor time", cpu}} {
			b.add(newRow(last+": "+m.name, milliseconds, each(m.of.median(some), m.of.median(all), b.Clusters-few),
				first, each(m.of.median(one), m.of.median(some), few-1), goals[name]...))
		}
		b.add(newRow(what+": peak memory of a provider", mebibytes, peaks.median(all), "of one", peaks.median(one), goals[name]...))
	}
	return nil
}

func planOf(name string, n int) string { return fmt.Sprintf("%s of %d", name, n) }

// each is what each of n more takes. What Terraform and the program take once is in both.
func each(fewer, more float64, n int) float64 { return (more - fewer) / float64(n) }

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
