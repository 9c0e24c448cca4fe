package main

import (
	"context"
	"errors"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// The versions of clusters that are planned for, and of the two hops that are applied.
const (
	runs, next       = "2.6.15", "2.7.8"
	oldest           = "2.5.6"
	floorOnly        = "Terraform alone"
	bareRequests     = "the same requests bare"
	milliseconds     = "ms"
	mebibytes        = "MiB"
	inSeconds        = "s"
	countOfRequests  = "requests"
	countOfLogins    = "logins"
	countConnections = "connections"
)

// contender is one of those that are compared in a plan.
type contender struct {
	name          string
	before, after string // configurations: the one that was applied, the one that is planned
}

// planning is a contender's stage, made ready.
type planning struct {
	contender
	*stage
}

// ready applies the first configuration and leaves the second.
func (b *bench) ready(ctx context.Context, c contender) (planning, error) {
	s, err := b.stage(c.before)
	if err != nil {
		return planning{}, err
	}
	if _, err := s.apply(ctx); err != nil {
		return planning{}, err
	}
	return planning{c, s}, s.Write("main.tf", c.after)
}

// plans compares plans of one resource, without a change and with one.
func (b *bench) plans(ctx context.Context) error {
	for _, kind := range []struct {
		name          string
		changes       bool
		target        string
		most, mostOut float64 // requests
	}{
		{"a plan with nothing to do", false, runs, 8, 1},
		{"a plan with one hop due", true, next, 22, 1},
	} {
		cluster, err := simulator.Start(simulator.Options{Version: runs})
		if err != nil {
			return err
		}
		defer cluster.Close()
		is := map[bool]string{false: "as before", true: "another"}[kind.changes]
		var ready []planning
		for _, c := range []contender{
			{ownSource, upgrade(cluster, target(runs)), upgrade(cluster, target(kind.target))},
			{floorOnly, builtIn("as before"), builtIn(is)},
			{peerSource, peerRequired + static("this", "as before"), peerRequired + static("this", is)},
		} {
			p, err := b.ready(ctx, c)
			if err != nil {
				return err
			}
			ready = append(ready, p)
		}
		wall, cpu := samples{}, samples{}
		var asked []simulator.Request
		for i := range b.Runs + 1 {
			cluster.ResetRequests()
			note := func(name string, t took, err error) error {
				if i > 0 { // the first one finds nothing in the system's cache
					wall.add(name, ms(t.wall))
					cpu.add(name, ms(t.cpu))
				}
				return err
			}
			for _, p := range ready {
				t, err := p.plan(ctx, kind.changes)
				if err := note(p.name, t, err); err != nil {
					return err
				}
			}
			asked = cluster.Requests()
			t, err := b.runBare(ctx, cluster, asked)
			if err := note(bareRequests, t, err); err != nil {
				return err
			}
		}
		for _, figures := range []struct {
			what string
			samples
		}{{"wall time", wall}, {"processor time", cpu}} {
			own, peer := figures.median(ownSource), figures.median(peerSource)
			for _, beside := range []struct {
				name   string
				figure float64
			}{
				{floorOnly, figures.median(floorOnly)},
				{peerSource, peer},
				{peerSource + " and " + bareRequests, peer + figures.median(bareRequests)},
			} {
				b.add(newRow(kind.name+": "+figures.what, milliseconds, own, beside.name, beside.figure))
			}
		}
		n := count(asked)
		b.add(newRow(kind.name+": requests", "", n[countOfRequests], "its connections", n[countConnections], most(kind.most)),
			newRow(kind.name+": logins", "", n[countOfLogins], "its requests", n[countOfRequests], most(kind.mostOut)))
	}
	return nil
}

// count counts the requests of the program under test, its logins and its connections.
func count(requests []simulator.Request) map[string]float64 {
	n, clients := map[string]float64{}, map[string]bool{}
	for _, r := range requests {
		if r.Bootstrapper() {
			continue
		}
		n[countOfRequests]++
		if isLogin(r) {
			n[countOfLogins]++
		}
		clients[r.Client] = true
	}
	n[countConnections] = float64(len(clients))
	return n
}

func isLogin(r simulator.Request) bool { return r.Path == loginPath }

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// memory measures the provider's processes in a plan and in an apply.
func (b *bench) memory(ctx context.Context) error {
	cluster, err := simulator.Start(simulator.Options{Version: runs})
	if err != nil {
		return err
	}
	defer cluster.Close()
	own, err := b.measured(upgrade(cluster, target(next)), ownProgram)
	if err != nil {
		return err
	}
	peer, err := b.measured(peerRequired+static("this", "new"), peerProgram)
	if err != nil {
		return err
	}
	peaks := samples{}
	for range b.Runs {
		for name, s := range map[string]*stage{ownSource: own, peerSource: peer} {
			if _, err := s.plan(ctx, true); err != nil {
				return err
			}
			peak, err := s.peak()
			if err != nil {
				return err
			}
			peaks.add("plan "+name, peak)
		}
	}
	for range b.Applies {
		if err := errors.Join(b.applyMeasured(ctx, peaks), b.applyPeer(ctx, peaks)); err != nil {
			return err
		}
	}
	for _, what := range []string{"plan", "apply"} {
		b.add(newRow("peak memory of the provider, "+what+" of one hop", mebibytes,
			peaks.median(what+" "+ownSource), peerSource, peaks.median(what+" "+peerSource), most(30)))
	}
	return nil
}

// applyMeasured applies one hop, on a cluster that is faster than a real one: the same
// is done in less time.
func (b *bench) applyMeasured(ctx context.Context, peaks samples) error {
	cluster, err := simulator.Start(simulator.Options{Version: runs, Speed: 40})
	if err != nil {
		return err
	}
	defer cluster.Close()
	return b.applyPeak(ctx, peaks, ownSource, upgrade(cluster, target(next)), ownProgram)
}

func (b *bench) applyPeer(ctx context.Context, peaks samples) error {
	return b.applyPeak(ctx, peaks, peerSource, peerRequired+static("this", "new"), peerProgram)
}

func (b *bench) applyPeak(ctx context.Context, peaks samples, name, configuration, program string) error {
	s, err := b.measured(configuration, program)
	if err != nil {
		return err
	}
	if _, err := s.apply(ctx); err != nil {
		return err
	}
	peak, err := s.peak()
	peaks.add("apply "+name, peak)
	return err
}
