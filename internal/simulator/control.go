package simulator

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// What tests do to the cluster by hand. Names and versions that do not exist
// panic: they are mistakes of the test.

// KillContainer kills a running container, named with or without its node.
func (c *Cluster) KillContainer(name string) {
	must(c.engine.change(func() error { return c.engine.kill(scope{}, name, statusKilled) }))
}

// StartContainer starts a container that does not run.
func (c *Cluster) StartContainer(name string) {
	must(c.engine.change(func() error {
		ct, err := c.engine.reachable(scope{}, name)
		if err == nil && ct.state != container.StateRunning {
			c.engine.run(ct)
		}
		return err
	}))
}

// ConnectContainer connects a container to one more network.
func (c *Cluster) ConnectContainer(name, networkName string) {
	must(c.engine.change(func() error { return c.engine.connect(scope{}, name, networkName) }))
}

// StopEngine stops the engine of a node with all containers on it: a machine
// that is gone.
func (c *Cluster) StopEngine(nodeName string) {
	must(c.engine.change(func() error {
		n, err := c.engine.known(nodeName)
		if err != nil {
			return err
		}
		n.down = true
		for _, ct := range c.engine.containers {
			if ct.node == n && ct.state == container.StateRunning {
				c.engine.end(ct, statusKilled)
				ct.restarts = ct.host.RestartPolicy.Name == container.RestartPolicyUnlessStopped
			}
		}
		return nil
	}))
}

// StartEngine brings a stopped engine back, with the containers whose restart
// policy says so; those of DTR have one, those of bootstrappers do not.
func (c *Cluster) StartEngine(nodeName string) {
	must(c.engine.change(func() error {
		n, err := c.engine.known(nodeName)
		if err != nil {
			return err
		}
		n.down = false
		for _, ct := range c.engine.containers {
			if ct.node == n && ct.restarts {
				ct.restarts = false
				c.engine.run(ct)
			}
		}
		return nil
	}))
}

// SetMemory sets how much memory a node has.
func (c *Cluster) SetMemory(nodeName string, bytes int64) {
	must(c.engine.change(func() error {
		n, err := c.engine.known(nodeName)
		if err == nil {
			n.memory = bytes
		}
		return err
	}))
}

func (e *engine) known(nodeName string) (*node, error) {
	if n := e.nodeByName(nodeName); n != nil {
		return n, nil
	}
	return nil, errorf(http.StatusNotFound, "no such node: %s", nodeName)
}

// RemoveImage takes an image away from every node.
func (c *Cluster) RemoveImage(ref string) {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	for _, n := range c.engine.nodes {
		delete(n.images, release.NormalRef(ref))
	}
}

// AddImage puts an image on the nodes named, on all of them if none is.
func (c *Cluster) AddImage(ref string, nodeNames ...string) {
	digest := c.registry.manifest(ref)
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	for _, n := range c.engine.nodes {
		if len(nodeNames) == 0 || slices.Contains(nodeNames, n.name) {
			c.engine.addImage(n, ref, digest)
		}
	}
}

// TagImage puts an image of another digest under a reference on one node, as
// docker tag does there.
func (c *Cluster) TagImage(nodeName, ref, digest string) {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.engine.addImage(c.engine.nodeByName(nodeName), ref, digest)
}

// AddBundle puts every image of a version on every node, as loading the
// vendor's archive on each of them does.
func (c *Cluster) AddBundle(version string) {
	for _, ref := range release.Bundle(release.Repository(semver.MustParse(version)), version) {
		c.AddImage(ref)
	}
}

// SetReplicaVersion replaces every container of a replica at once, as somebody
// who upgrades or restores by hand does.
func (c *Cluster) SetReplicaVersion(id, version string) {
	repository := release.Repository(semver.MustParse(version))
	e := c.engine
	must(e.change(func() error {
		for _, spec := range release.ReplicaContainers(repository, id, func(string) string { return version }) {
			old, err := e.find(scope{}, spec.Name)
			if err != nil {
				return err
			}
			if old.state == container.StateRunning {
				e.end(old, statusTerminated)
			}
			e.delete(old)
			e.addImage(old.node, spec.Config.Image, c.registry.manifest(spec.Config.Image))
			e.run(e.add(old.node, old.name, spec.Config, spec.Host))
		}
		return nil
	}))
}

// StartForeignBootstrapper starts somebody else's upgrade to a version, by hand
// on the first worker that is up, and returns the id of its container.
func (c *Cluster) StartForeignBootstrapper(version string) (id string) {
	ref := release.Repository(semver.MustParse(version)) + ":" + version
	e := c.engine
	existing := c.ReplicaIDs()[0]
	must(e.change(func() error {
		i := slices.IndexFunc(e.nodes, func(n *node) bool { return !n.down && !n.manager })
		if i < 0 {
			return errorf(http.StatusInternalServerError, "no worker is up")
		}
		e.addImage(e.nodes[i], ref, c.registry.manifest(ref))
		ct := e.add(e.nodes[i], "foreign_"+newID()[:8], &container.Config{
			Image: ref,
			Cmd:   []string{"upgrade", "--existing-replica-id", existing},
			Env: []string{
				"UCP_URL=" + c.info.UCPURL, "UCP_USERNAME=" + c.info.Username,
				"UCP_PASSWORD=" + c.info.Password, "UCP_CA=" + c.info.CACert,
			},
		}, &container.HostConfig{})
		id = ct.id
		e.run(ct)
		return nil
	}))
	return id
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("simulator: %v", err))
	}
}

// ScheduleMigration has DTR start the metadata store migration by itself now, to
// be retried where it fails.
func (c *Cluster) ScheduleMigration() {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	c.dtr.schedule(Job{Action: actionMigration, RetriesLeft: migrationRetries, RetriesTotal: migrationRetries})
}

// DeleteJobs ends all jobs and has DTR forget them.
func (c *Cluster) DeleteJobs() {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	for _, j := range c.dtr.jobs {
		j.cancel()
	}
	c.dtr.jobs = nil
}
