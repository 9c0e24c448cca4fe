package wait

import (
	"context"
	"fmt"
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
		stop := s.tell(ctx, started)
		err := s.Run(ctx)
		stop()
		log.NoBar(ctx)
		if err != nil {
			return Detached(ctx, s.Name, err)
		}
		log.Info(ctx, "Step "+s.Name+" ended", fields, map[string]any{"elapsed": time.Since(started).Round(time.Millisecond).String()})
	}
	return nil
}

// tellEvery is how often a step that goes on says so.
const tellEvery = time.Minute

// tell says now and then that the step goes on, until stop is called.
func (s Step) tell(ctx context.Context, started time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				log.Info(ctx, fmt.Sprintf("Step %s goes on, since %s", s.Name, started.Format(time.TimeOnly)), map[string]any{"step": s.Name})
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}
