package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// The versions of clusters, one of each minor: plans are of clusters at version26.
const (
	version25 = "2.5.6"
	version26 = "2.6.15"
	version27 = "2.7.8"
)

const (
	floorOnly        = "Terraform alone"
	bareRequests     = "the same requests bare"
	allHandshakes    = "its TLS handshakes, all at once"
	milliseconds     = "ms"
	mebibytes        = "MiB"
	inSeconds        = "s"
	countOfRequests  = "requests"
	countOfLogins    = "logins"
	countOfProbes    = "probes"
	countInspections = "inspections"
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
		name        string
		changes     bool
		target      string
		maxRequests float64
	}{
		{"a plan with nothing to do", false, version26, 8},
		{"a plan with one hop due", true, version27, 22},
	} {
		cluster, err := simulator.Start(simulator.Options{Version: version26})
		if err != nil {
			return err
		}
		defer cluster.Close()
		value := map[bool]string{false: "as before", true: "another"}[kind.changes]
		var ready []planning
		for _, c := range []contender{
			{ownSource, upgrade(cluster, target(version26)), upgrade(cluster, target(kind.target))},
			{floorOnly, builtIn("as before"), builtIn(value)},
			{peerSource, peerRequired + static("this", "as before"), peerRequired + static("this", value)},
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
			record := func(name string, t took, err error) error {
				if i > 0 { // the first one finds nothing in the system's cache
					wall.add(name, ms(t.wall))
					cpu.add(name, ms(t.cpu))
				}
				return err
			}
			for _, p := range ready {
				t, err := p.plan(ctx, kind.changes)
				if err := record(p.name, t, err); err != nil {
					return err
				}
			}
			asked = cluster.Requests()
			w, err := newWork(cluster.Info(), asked)
			if err != nil {
				return err
			}
			t, err := b.runBare(ctx, w)
			if err := record(bareRequests, t, err); err != nil {
				return err
			}
			d, err := w.handshakes(ctx)
			if err != nil {
				return err
			}
			if i > 0 {
				wall.add(allHandshakes, ms(d))
			}
		}
		for _, figures := range []struct {
			what string
			samples
		}{{"wall time", wall}, {"processor time", cpu}} {
			peer := figures.median(peerSource)
			add := func(beside string, figure float64) {
				b.add(newRow(kind.name+": "+figures.what, milliseconds, figures.median(ownSource), beside, figure))
			}
			add(floorOnly, figures.median(floorOnly))
			add(peerSource, peer)
			add(peerSource+" and "+bareRequests, peer+figures.median(bareRequests))
			if figures.measured(allHandshakes) {
				add(allHandshakes, figures.median(allHandshakes))
			}
		}
		n := count(asked)
		b.add(newCount(kind.name+": requests", n[countOfRequests], "its connections", n[countConnections], most(kind.maxRequests)),
			newCount(kind.name+": logins", n[countOfLogins], "its requests", n[countOfRequests], most(1)))
	}
	return nil
}

// count counts the requests of the program under test, some kinds of them, and its
// connections.
func count(requests []simulator.Request) map[string]float64 {
	n, clients := map[string]float64{}, map[string]bool{}
	for _, r := range requests {
		if r.Bootstrapper() {
			continue
		}
		n[countOfRequests]++
		switch {
		case isLogin(r):
			n[countOfLogins]++
		case isProbe(r):
			n[countOfProbes]++
		case isInspection(r):
			n[countInspections]++
		}
		clients[r.Client] = true
	}
	n[countConnections] = float64(len(clients))
	return n
}

func isLogin(r simulator.Request) bool { return r.Path == loginPath }

// isProbe reports whether a request asks DTR's address whether it is healthy.
func isProbe(r simulator.Request) bool {
	return r.Service == simulator.ServiceDTR && (r.Path == "/_ping" || r.Path == "/health")
}

// isInspection reports whether a request asks for the state of one container.
func isInspection(r simulator.Request) bool {
	_, container, found := strings.Cut(r.Path, "/containers/")
	return found && r.Method == http.MethodGet && strings.HasSuffix(container, "/json")
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// memory measures the provider's processes in a plan and in an apply.
func (b *bench) memory(ctx context.Context) error {
	cluster, err := simulator.Start(simulator.Options{Version: version26})
	if err != nil {
		return err
	}
	defer cluster.Close()
	own, err := b.measured(upgrade(cluster, target(version27)), ownProgram)
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
	cluster, err := simulator.Start(simulator.Options{Version: version26, Speed: 40})
	if err != nil {
		return err
	}
	defer cluster.Close()
	return b.applyPeak(ctx, peaks, ownSource, upgrade(cluster, target(version27)), ownProgram)
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
