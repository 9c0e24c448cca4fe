package simulator

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// circumstances are the test's controls of what now and then is so on a real UCP,
// and is no fault of any request.
type circumstances struct {
	engine   *engine
	registry *registry
}

// HideNodes has UCP not know the engines of nodes until show is called, as for a
// while after one of its managers was restarted: their containers and images are in
// no list, and their containers' names are free. The swarm still lists the nodes.
func (c *circumstances) HideNodes(nodeNames ...string) (show func()) {
	change := func(by int) {
		c.engine.mu.Lock()
		defer c.engine.mu.Unlock()
		for _, name := range nodeNames {
			n, err := c.engine.known(name)
			must(err)
			n.hidden += by
		}
	}
	change(1)
	return sync.OnceFunc(func() { change(-1) })
}

// TakeName has UCP refuse the name to new containers until release is called, though
// no container has it.
func (c *circumstances) TakeName(name string) (release func()) {
	change := func(by int) {
		c.engine.mu.Lock()
		defer c.engine.mu.Unlock()
		c.engine.ghosts[name] += by
	}
	change(1)
	return sync.OnceFunc(func() { change(-1) })
}

// StickInRemoval ends a container and has its removal not come to an end until finish
// is called.
func (c *circumstances) StickInRemoval(name string) (finish func()) {
	var stuck *ctr
	must(c.engine.change(func() (err error) {
		if stuck, err = c.engine.reachable(scope{}, name); err != nil {
			return err
		}
		if stuck.runs() {
			c.engine.end(stuck, statusKilled)
		}
		stuck.state = container.StateRemoving
		return nil
	}))
	return sync.OnceFunc(func() {
		must(c.engine.change(func() error {
			c.engine.delete(stuck)
			return nil
		}))
	})
}

// KeepRestarting has whatever container has the name end after it ran for a while,
// and its engine restart it a while later, again and again until stop is called. Both
// are real time. DTR does not notice it of most parts.
func (c *circumstances) KeepRestarting(name string, runs, restarts time.Duration) (stop func()) {
	ctx, stop := context.WithCancel(c.engine.ctx)
	change := func(from container.ContainerState, to func(ct *ctr)) {
		_ = c.engine.change(func() error {
			ct, err := c.engine.reachable(scope{}, name)
			if err == nil && ct.state == from {
				to(ct)
			}
			return err
		})
	}
	const asItIs = 1 // the clock's speed
	c.engine.active.Go(func() {
		for clock.Clock(asItIs).Pause(ctx, runs) == nil {
			change(container.StateRunning, func(ct *ctr) {
				ct.state, ct.exitCode, ct.finished = container.StateRestarting, 1, time.Now()
			})
			_ = clock.Clock(asItIs).Pause(ctx, restarts)
			change(container.StateRestarting, func(ct *ctr) {
				ct.state, ct.exitCode, ct.started = container.StateRunning, 0, time.Now()
				ct.restartCount++
			})
		}
	})
	return stop
}

// UnlistedReplica is a replica whose containers are there and that DTR does not list:
// left over from one that was removed, or of another DTR on the same UCP.
type UnlistedReplica struct {
	ID, Node, Version string
	Running           bool     // they have exited otherwise
	Parts             []string // that there are; all if empty
}

// AddUnlisted adds the containers of a replica that DTR does not list.
func (c *circumstances) AddUnlisted(u UnlistedReplica) {
	must(c.engine.change(func() error { return c.addUnlisted(u) }))
}

// addUnlisted is AddUnlisted for a cluster that DTR is not told of yet. The lock must
// be held.
func (c *circumstances) addUnlisted(u UnlistedReplica) error {
	n, err := c.engine.known(u.Node)
	if err != nil {
		return err
	}
	repository := release.Repository(semver.MustParse(u.Version))
	for _, spec := range release.ReplicaContainers(repository, u.ID, func(string) string { return u.Version }) {
		if len(u.Parts) > 0 && !slices.Contains(u.Parts, spec.Part) {
			continue
		}
		spec.Config.Labels[standin.LabelUnlisted] = "true"
		n.put(spec.Config.Image, c.registry.manifest(spec.Config.Image))
		ct := c.engine.add(n, spec.Name, spec.Config, spec.Host)
		ct.created = time.Now().Add(-seedAge)
		c.engine.run(ct)
		ct.started = ct.created
		if !u.Running {
			ct.state, ct.finished = container.StateExited, ct.created.Add(time.Hour)
		}
	}
	return nil
}
