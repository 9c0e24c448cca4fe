package simulator

import (
	"cmp"
	"net/http"
	"time"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
)

// systemAPI is the part of the Engine API about the engines themselves.
type systemAPI struct{ engine *engine }

func (a systemAPI) routes() []engineRoute {
	return []engineRoute{
		{"GET", "/_ping", a.ping, answered},
		{"GET", "/version", a.version, answered},
		{"GET", "/info", a.info, answered},
		{"GET", "/nodes", a.nodes, answered},
	}
}

func (a systemAPI) ping(_ scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
	return nil
}

func (a systemAPI) version(s scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	v := system.VersionResponse{
		Version: a.engine.version, APIVersion: a.engine.apiVersion, MinAPIVersion: oldestAPI, Os: "linux", Arch: "amd64",
		Components: []system.ComponentVersion{{Name: "Engine", Version: a.engine.version, Details: map[string]string{"ApiVersion": a.engine.apiVersion}}},
	}
	if s.cluster() {
		v.Platform.Name = "Docker Enterprise"
		v.Version = "ucp/" + a.engine.ucpVersion
		v.Components = []system.ComponentVersion{
			{Name: "Universal Control Plane", Version: a.engine.ucpVersion, Details: map[string]string{"ApiVersion": a.engine.apiVersion}},
		}
	}
	return writeJSON(w, http.StatusOK, v)
}

func (a systemAPI) info(s scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	a.engine.mu.Lock()
	info := system.Info{
		ID: a.engine.id, Driver: "overlay2", MemoryLimit: true, SystemTime: a.engine.now().Format(time.RFC3339Nano),
		LoggingDriver: a.engine.logDriver, KernelVersion: "4.15.0", OperatingSystem: "linux", OSType: "linux", Architecture: "x86_64",
		ServerVersion: a.engine.version, Name: s.node, Swarm: swarm.Info{LocalNodeState: swarm.LocalNodeStateActive},
	}
	for _, n := range a.engine.nodes {
		if s.covers(n) && !n.down {
			info.MemTotal += n.memory
			info.NCPU += 4
			info.Images += len(n.images)
			info.Swarm.NodeID = n.id
		}
	}
	for _, c := range a.engine.containers {
		if !s.covers(c.node) {
			continue
		}
		info.Containers++
		if c.state == "running" {
			info.ContainersRunning++
		} else {
			info.ContainersStopped++
		}
	}
	if s.cluster() {
		info.Name = "ucp-controller-" + managerName
		info.ServerVersion = "ucp/" + a.engine.ucpVersion
		info.Swarm.ControlAvailable = true
		info.Swarm.Nodes = len(a.engine.nodes)
		info.Swarm.Managers = 1
	}
	a.engine.mu.Unlock()
	return writeJSON(w, http.StatusOK, info)
}

func (a systemAPI) nodes(s scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	if !s.cluster() {
		return errNotManager
	}
	a.engine.mu.Lock()
	list := []swarm.Node{}
	for _, n := range a.engine.nodes {
		item := swarm.Node{
			ID:   n.id,
			Spec: swarm.NodeSpec{Role: swarm.NodeRoleWorker, Availability: swarm.NodeAvailability(n.availability)},
			Description: swarm.NodeDescription{
				Hostname:  n.name,
				Platform:  swarm.Platform{Architecture: "x86_64", OS: n.os},
				Resources: swarm.Resources{NanoCPUs: 4e9, MemoryBytes: n.memory},
				Engine:    swarm.EngineDescription{EngineVersion: cmp.Or(n.version, a.engine.version)},
			},
			Status: swarm.NodeStatus{State: swarm.NodeStateReady, Addr: n.addr},
		}
		if n.manager {
			item.Spec.Role = swarm.NodeRoleManager
			item.ManagerStatus = &swarm.ManagerStatus{Leader: true, Reachability: swarm.ReachabilityReachable, Addr: n.addr + ":2377"}
		}
		if n.down {
			item.Status.State = swarm.NodeStateDown
			item.Status.Message = "heartbeat failure"
		}
		list = append(list, item)
	}
	a.engine.mu.Unlock()
	return writeJSON(w, http.StatusOK, list)
}
