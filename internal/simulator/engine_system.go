package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

func (e *engine) servePing(_ scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
	return nil
}

func (e *engine) serveVersion(s scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	v := system.VersionResponse{
		Version: e.version, APIVersion: e.apiVersion, MinAPIVersion: oldestAPI, Os: "linux", Arch: "amd64",
		Components: []system.ComponentVersion{{Name: "Engine", Version: e.version, Details: map[string]string{"ApiVersion": e.apiVersion}}},
	}
	if s.cluster() {
		v.Platform.Name = "Docker Enterprise"
		v.Version = "ucp/" + e.ucpVersion
		v.Components = []system.ComponentVersion{
			{Name: "Universal Control Plane", Version: e.ucpVersion, Details: map[string]string{"ApiVersion": e.apiVersion}},
		}
	}
	return writeJSON(w, http.StatusOK, v)
}

func (e *engine) serveInfo(s scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	e.mu.Lock()
	info := system.Info{
		ID: "SIMULATED", Driver: "overlay2", MemoryLimit: true, SystemTime: time.Now().Format(time.RFC3339Nano),
		LoggingDriver: "json-file", KernelVersion: "4.15.0", OperatingSystem: "linux", OSType: "linux", Architecture: "x86_64",
		ServerVersion: e.version, Name: s.node, Swarm: swarm.Info{LocalNodeState: swarm.LocalNodeStateActive},
	}
	for _, n := range e.nodes {
		if s.covers(n) && !n.down {
			info.MemTotal += n.memory
			info.NCPU += 4
			info.Images += len(n.images)
			info.Swarm.NodeID = n.id
		}
	}
	for _, c := range e.containers {
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
		info.ServerVersion = "ucp/" + e.ucpVersion
		info.Swarm.ControlAvailable = true
		info.Swarm.Nodes = len(e.nodes)
		info.Swarm.Managers = 1
	}
	e.mu.Unlock()
	return writeJSON(w, http.StatusOK, info)
}

func (e *engine) serveNodes(s scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	if !s.cluster() {
		return errNotManager
	}
	e.mu.Lock()
	list := []swarm.Node{}
	for _, n := range e.nodes {
		item := swarm.Node{
			ID:   n.id,
			Spec: swarm.NodeSpec{Role: swarm.NodeRoleWorker, Availability: swarm.NodeAvailability(n.availability)},
			Description: swarm.NodeDescription{
				Hostname:  n.name,
				Platform:  swarm.Platform{Architecture: "x86_64", OS: n.os},
				Resources: swarm.Resources{NanoCPUs: 4e9, MemoryBytes: n.memory},
				Engine:    swarm.EngineDescription{EngineVersion: e.versionOf(n)},
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
	e.mu.Unlock()
	return writeJSON(w, http.StatusOK, list)
}

var errNotManager = errorf(http.StatusServiceUnavailable, "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.")

func (e *engine) versionOf(n *node) string {
	if n.version != "" {
		return n.version
	}
	return e.version
}

func networks() []network.Network {
	made := func(name, driver, scope string, attachable bool) network.Network {
		return network.Network{
			Name: name, ID: release.StableID("network", name), Driver: driver, Scope: scope, Attachable: attachable,
			Options: map[string]string{}, Labels: map[string]string{},
		}
	}
	return []network.Network{
		made("bridge", "bridge", "local", false),
		made(release.OverlayNetwork, "overlay", "swarm", true),
	}
}

func (e *engine) serveNetworks(_ scope, w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := filters(r, "name", "id", "driver", "scope", "label", "type")
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(networks(), func(n network.Network) bool {
		return len(filter["name"]) > 0 && !slices.ContainsFunc(filter["name"], func(name string) bool { return strings.Contains(n.Name, name) })
	})
	return writeJSON(w, http.StatusOK, list)
}

func (e *engine) serveNetwork(_ scope, w http.ResponseWriter, _ *http.Request, name string) error {
	for _, n := range networks() {
		if n.Name == name || n.ID == name {
			return writeJSON(w, http.StatusOK, network.Inspect{Network: n, Containers: map[string]network.EndpointResource{}})
		}
	}
	return errorf(http.StatusNotFound, "network %s not found", name)
}

func (e *engine) serveConnect(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	var req struct{ Container string }
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return errorf(http.StatusBadRequest, "invalid JSON: %v", err)
	}
	err := e.change(func() error { return e.connect(s, req.Container, name) })
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return err
}

// connect connects a container to a network. The lock must be held.
func (e *engine) connect(s scope, containerName, name string) error {
	i := slices.IndexFunc(networks(), func(n network.Network) bool { return n.Name == name || n.ID == name })
	if i < 0 {
		return errorf(http.StatusNotFound, "network %s not found", name)
	}
	c, err := e.reachable(s, containerName)
	if err == nil {
		c.networks = append(c.networks, networks()[i].Name)
	}
	return err
}

// serveVolumes lists the volumes that containers are bound to.
func (e *engine) serveVolumes(s scope, w http.ResponseWriter, _ *http.Request, _ string) error {
	type volume struct{ Name, Driver, Mountpoint, Scope string }
	list := []volume{}
	e.mu.Lock()
	for _, c := range e.containers {
		for _, bind := range c.host.Binds {
			name, _, _ := strings.Cut(bind, ":")
			if s.covers(c.node) && !strings.HasPrefix(name, "/") {
				list = append(list, volume{name, "local", fmt.Sprintf("/var/lib/docker/volumes/%s/_data", name), "local"})
			}
		}
	}
	e.mu.Unlock()
	slices.SortFunc(list, func(a, b volume) int { return strings.Compare(a.Name, b.Name) })
	return writeJSON(w, http.StatusOK, map[string]any{"Volumes": list, "Warnings": nil})
}
