package wait

import (
	"context"
	"sync"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
)

// Step is one unit of work that leaves the cluster serving when it returns.
type Step struct {
	Name string
	Done func(context.Context) (bool, error) // looks at the cluster; nil is never done
	Run  func(context.Context) error
}

// Steps runs what is left of the steps, in order. Between two steps it stops for a
// cancelled context. The name, which the log shows, is that of the whole.
func Steps(ctx context.Context, name string, steps []Step) error {
	for _, s := range steps {
		if ctx.Err() != nil {
			return &DetachedError{Step: s.Name, Cause: context.Cause(ctx)}
		}
		fields := map[string]any{"step": s.Name, "hop": name}
		if s.Done != nil {
			done, err := s.Done(ctx)
			if err != nil {
				return Detached(ctx, s.Name, err)
			}
			if done {
				log.Detail(ctx, "Step "+s.Name+" has nothing left to do", fields)
				continue
			}
		}
		log.Info(ctx, "Step "+s.Name+" begins", fields)
		started := time.Now()
		telling, stop := Tell(ctx, "Step "+s.Name, fields)
		err := s.Run(telling)
		stop()
		log.NoBar(ctx)
		if err != nil {
			return Detached(ctx, s.Name, err)
		}
		log.Info(ctx, "Step "+s.Name+" ended", fields, map[string]any{"elapsed": time.Since(started).Round(time.Millisecond).String()})
	}
	return nil
}

// tellEvery is how often what goes on is said.
const tellEvery = time.Minute

// remark is what a line of Tell says besides.
type remark struct {
	mu   sync.Mutex
	text string
}

type remarkKey struct{}

// Tell says now and then what goes on and since when, until stop is called. Whatever waits
// within may add with Remark what it waits for, and an outage is added.
func Tell(ctx context.Context, what string, fields map[string]any) (_ context.Context, stop func()) {
	started := time.Now()
	ctx = context.WithValue(ctx, remarkKey{}, &remark{})
	ticking, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticking.Done():
				return
			case <-ticker.C:
				line := what + " goes on, since " + started.Format(time.TimeOnly)
				if more := Remarked(ctx); more != "" {
					line += "; " + more
				}
				log.Info(ctx, line, fields)
			}
		}
	})
	return ctx, func() {
		cancel()
		done.Wait()
	}
}

// Remark is what the lines of Tell say from now on besides; "" is nothing.
func Remark(ctx context.Context, text string) {
	if r, ok := ctx.Value(remarkKey{}).(*remark); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.text = text
	}
}

// Remarked is what they say from now on besides.
func Remarked(ctx context.Context) string {
	r, ok := ctx.Value(remarkKey{}).(*remark)
	if !ok {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text
}
