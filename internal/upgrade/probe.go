package upgrade

import (
	"context"
	"sync"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
)

// probe asks the cluster's external address for its health, over and over, and
// measures for how long it did not answer well.
type probe struct {
	ask   func(context.Context) error
	every time.Duration

	mu      sync.Mutex
	result  availability
	failing time.Time // when the first of the current failures was asked

	stop context.CancelFunc
	done chan struct{}
}

// availability is what a probe measured.
type availability struct {
	probes, failed int
	// longest is the time from asking in vain for the first time to the next good
	// answer, or to the end of the run.
	longest time.Duration
}

// startProbe starts to ask. It goes on until ended.
func startProbe(ctx context.Context, every time.Duration, ask func(context.Context) error) *probe {
	ctx, cancel := context.WithCancel(ctx)
	p := &probe{ask: ask, every: every, stop: cancel, done: make(chan struct{})}
	go p.loop(ctx)
	return p
}

func (p *probe) loop(ctx context.Context) {
	defer close(p.done)
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		asked := time.Now()
		askCtx, cancel := context.WithTimeout(ctx, max(p.every, time.Second))
		err := p.ask(askCtx)
		cancel()
		if ctx.Err() != nil {
			return // an answer that the end of the run cut off says nothing
		}
		p.record(ctx, asked, err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *probe) record(ctx context.Context, asked time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result.probes++
	switch {
	case err != nil:
		p.result.failed++
		if p.failing.IsZero() {
			p.failing = asked
			log.Info(ctx, "DTR does not answer the availability probe", map[string]any{"error": err.Error()})
		}
		p.result.longest = max(p.result.longest, time.Since(p.failing))
	case !p.failing.IsZero():
		interruption := time.Since(p.failing)
		p.result.longest = max(p.result.longest, interruption)
		p.failing = time.Time{}
		log.Info(ctx, "DTR answers the availability probe again, after "+interruption.Round(time.Millisecond).String(), map[string]any{"interruption": interruption.Round(time.Millisecond).String()})
	}
}

// end stops asking and tells what was measured.
func (p *probe) end() availability {
	p.stop()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.failing.IsZero() {
		p.result.longest = max(p.result.longest, time.Since(p.failing))
	}
	return p.result
}
