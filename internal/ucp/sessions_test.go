package ucp_test

import (
	"context"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestSessionsTakeTurns has many processes share the few sessions that UCP keeps of a user: each of their requests
// gets through, also those whose answer is a stream.
func TestSessionsTakeTurns(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6", Sessions: 3})
	sim.AddImage(image)
	id, err := engine(t, sim).Create(t.Context(), upgrade(sim))
	if err != nil {
		t.Fatal(err)
	}
	requests := map[string]func(context.Context, *ucp.Client, *ucp.Engine) error{
		"list containers": func(ctx context.Context, _ *ucp.Client, e *ucp.Engine) error {
			_, err := e.Containers(ctx, nil)
			return err
		},
		"list nodes": func(ctx context.Context, _ *ucp.Client, e *ucp.Engine) error {
			_, err := e.Nodes(ctx)
			return err
		},
		"settings": func(ctx context.Context, c *ucp.Client, _ *ucp.Engine) error {
			_, err := c.RequireContentTrust(ctx)
			return err
		},
		"attach": func(ctx context.Context, _ *ucp.Client, e *ucp.Engine) error {
			a, err := e.Attach(ctx, id)
			if err == nil {
				a.Close()
			}
			return err
		},
		"read the log": func(ctx context.Context, _ *ucp.Client, e *ucp.Engine) error {
			log, err := e.Logs(ctx, id, nil, false)
			if err != nil {
				return err
			}
			_, err = io.ReadAll(log)
			_ = log.Close()
			return err
		},
		"pull": func(ctx context.Context, _ *ucp.Client, e *ucp.Engine) error {
			return e.Pull(ctx, image, nil)
		},
	}
	var g errgroup.Group
	for range 10 {
		g.Go(func() error {
			c := connect(t, sim)
			e, err := c.Engine(t.Context())
			if err != nil {
				return err
			}
			var side errgroup.Group
			for name, request := range requests {
				side.Go(func() error {
					for range 2 {
						if err := request(t.Context(), c, e); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
					return nil
				})
			}
			return side.Wait()
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
