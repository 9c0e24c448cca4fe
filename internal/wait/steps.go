package wait

import (
	"context"
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
				log.Info(ctx, "Step has nothing left to do", fields)
				continue
			}
		}
		log.Info(ctx, "Step begins", fields)
		started := time.Now()
		if err := s.Run(ctx); err != nil {
			return Detached(ctx, s.Name, err)
		}
		log.Info(ctx, "Step ended", fields, map[string]any{"elapsed": time.Since(started).Round(time.Millisecond).String()})
	}
	return nil
}
