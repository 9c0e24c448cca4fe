package simulator

import (
	"net/http"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// machines are the test's controls of nodes and containers. Names and versions that do
// not exist panic: they are mistakes of the test.
type machines struct {
	engine *engine
	images *nodeImages
}

// KillContainer kills a running container, named with or without its node.
func (m *machines) KillContainer(name string) {
	must(m.engine.change(func() error { return m.engine.kill(scope{}, name, statusKilled) }))
}

// ConnectContainer connects a container to one more network.
func (m *machines) ConnectContainer(name, networkName string) {
	must(m.engine.change(func() error { return m.engine.connect(scope{}, name, networkName) }))
}

// StopEngine stops the engine of a node with all its containers, as when the machine
// is lost.
func (m *machines) StopEngine(nodeName string) {
	must(m.engine.change(func() error {
		n, err := m.engine.known(nodeName)
		if err != nil {
			return err
		}
		n.down = true
		for _, ct := range m.engine.containers {
			if ct.node == n {
				ct.lastKnown = ct.state
			}
			if ct.node == n && ct.runs() {
				m.engine.end(ct, statusKilled)
				ct.restarts = ct.host.RestartPolicy.Name == container.RestartPolicyUnlessStopped
			}
		}
		return nil
	}))
}

// StartEngine brings a stopped engine back, with the containers whose restart
// policy says so; those of DTR have one, those of bootstrappers do not.
func (m *machines) StartEngine(nodeName string) {
	must(m.engine.change(func() error {
		n, err := m.engine.known(nodeName)
		if err != nil {
			return err
		}
		n.down = false
		for _, ct := range m.engine.containers {
			if ct.node == n && ct.restarts {
				ct.restarts = false
				m.engine.run(ct)
			}
		}
		return nil
	}))
}

// RemoveNode takes a node whose engine is stopped out of the swarm, as docker node rm
// does: UCP forgets its containers.
func (m *machines) RemoveNode(nodeName string) {
	must(m.engine.change(func() error {
		n, err := m.engine.known(nodeName)
		if err != nil {
			return err
		}
		if !n.down {
			return errorf(http.StatusBadRequest, "node %s is not down and can't be removed", nodeName)
		}
		m.engine.nodes = slices.DeleteFunc(slices.Clone(m.engine.nodes), func(other *node) bool { return other == n })
		for _, ct := range m.engine.containers {
			if ct.node == n {
				m.engine.delete(ct)
			}
		}
		return nil
	}))
}

// SetMemory sets how much memory a node has.
func (m *machines) SetMemory(nodeName string, bytes int64) {
	must(m.engine.change(func() error {
		n, err := m.engine.known(nodeName)
		if err == nil {
			n.memory = bytes
		}
		return err
	}))
}

// SetReplicaVersion replaces every container of a replica at once, like a manual
// upgrade or restore.
func (m *machines) SetReplicaVersion(id, version string) {
	repository := release.Repository(semver.MustParse(version))
	e := m.engine
	must(e.change(func() error {
		for _, spec := range release.ReplicaContainers(repository, id, func(string) string { return version }) {
			old, err := e.find(scope{}, spec.Name)
			if err != nil {
				return err
			}
			if old.runs() {
				e.end(old, statusTerminated)
			}
			e.delete(old)
			old.node.put(spec.Config.Image, m.images.registry.manifest(spec.Config.Image))
			e.run(e.add(old.node, old.name, spec.Config, spec.Host))
		}
		return nil
	}))
}

// CutAttached breaks the connections of clients that are attached to a container; the
// container keeps running.
func (m *machines) CutAttached(name string) {
	m.engine.mu.Lock()
	ct, err := m.engine.find(scope{}, name)
	m.engine.mu.Unlock()
	must(err)
	ct.log.mu.Lock()
	defer ct.log.mu.Unlock()
	ct.log.detach()
}

// SilenceAttached has the connections of clients that are attached to a container stay
// open and carry nothing any more; the container keeps running.
func (m *machines) SilenceAttached(name string) {
	m.engine.mu.Lock()
	ct, err := m.engine.find(scope{}, name)
	m.engine.mu.Unlock()
	must(err)
	ct.log.mu.Lock()
	defer ct.log.mu.Unlock()
	ct.log.attached = nil
}

// AddCacheContainer starts a content cache as a plain container, on the
// engine's default network unless a change says otherwise.
func (m *machines) AddCacheContainer(name, ref, nodeName string, changes ...func(*container.HostConfig)) {
	host := &container.HostConfig{
		Binds:         []string{"dtr-cache:/data", "/etc/cache/config.yaml:/config.yaml:ro"},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
	}
	for _, change := range changes {
		change(host)
	}
	m.images.AddImage(ref, nodeName)
	e := m.engine
	must(e.change(func() error {
		n, err := e.known(nodeName)
		if err != nil {
			return err
		}
		e.run(e.add(n, name, &container.Config{Image: ref, Env: []string{"A=B"}, Labels: map[string]string{"keep": "me"}}, host))
		return nil
	}))
}

// SetCrashing has every container of an image end with status 1 as soon as it is
// started, or no longer.
func (m *machines) SetCrashing(ref string, crashing bool) {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	m.engine.crashing[release.NormalRef(ref)] = crashing
}

// BootstrapperRuns is how many upgrade containers were ever started, second phases
// not counted.
func (m *machines) BootstrapperRuns() int { return m.Runs(standin.CommandUpgrade) }

// Runs is BootstrapperRuns for any command: "join", "remove".
func (m *machines) Runs(command string) int {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	return m.engine.runs[command]
}
