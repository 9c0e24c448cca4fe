package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// networkAPI is the part of the Engine API about networks and volumes.
type networkAPI struct{ engine *engine }

func (a networkAPI) routes() []engineRoute {
	return []engineRoute{
		{"GET", "/networks", a.list, answered},
		{"GET", "/networks/*", a.inspect, answered},
		{"POST", "/networks/*/connect", a.connect, answered},
		{"GET", "/volumes", a.volumes, answered},
	}
}

// nodeNetworks are those that exist on every node.
func nodeNetworks() []network.Network {
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

func (a networkAPI) list(_ scope, w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := knownFilters(r, "name", "id", "driver", "scope", "label", "type")
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(nodeNetworks(), func(n network.Network) bool {
		return len(filter["name"]) > 0 && !slices.ContainsFunc(filter["name"], func(name string) bool { return strings.Contains(n.Name, name) })
	})
	return writeJSON(w, http.StatusOK, list)
}

func (a networkAPI) inspect(_ scope, w http.ResponseWriter, _ *http.Request, name string) error {
	for _, n := range nodeNetworks() {
		if n.Name == name || n.ID == name {
			return writeJSON(w, http.StatusOK, network.Inspect{Network: n, Containers: map[string]network.EndpointResource{}})
		}
	}
	return errorf(http.StatusNotFound, "network %s not found", name)
}

func (a networkAPI) connect(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	var req struct{ Container string }
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return errorf(http.StatusBadRequest, "invalid JSON: %v", err)
	}
	err := a.engine.change(func() error { return a.engine.connect(s, req.Container, name) })
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return err
}

// volumes lists the volumes that containers are bound to.
func (a networkAPI) volumes(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	type volume struct{ Name, Driver, Mountpoint, Scope, CreatedAt string }
	filter, err := filters(r)
	if err != nil {
		return err
	}
	list := []volume{}
	a.engine.mu.Lock()
	for _, c := range a.engine.containers {
		if !s.covers(c.node) {
			continue
		}
		for _, name := range c.volumes() {
			if wanted := filter["name"]; len(wanted) > 0 && !slices.ContainsFunc(wanted, func(part string) bool { return strings.Contains(name, part) }) {
				continue
			}
			shown := name
			if s.cluster() {
				shown = c.node.name + "/" + name
			}
			created := c.node.date(c.node.volumes[name]).UTC().Format(time.RFC3339)
			list = append(list, volume{shown, "local", fmt.Sprintf("/var/lib/docker/volumes/%s/_data", name), "local", created})
		}
	}
	a.engine.mu.Unlock()
	slices.SortFunc(list, func(a, b volume) int { return strings.Compare(a.Name, b.Name) })
	return writeJSON(w, http.StatusOK, map[string]any{"Volumes": list, "Warnings": nil})
}

// connect connects a container to a network. The lock must be held.
func (e *engine) connect(s scope, containerName, name string) error {
	i := slices.IndexFunc(nodeNetworks(), func(n network.Network) bool { return n.Name == name || n.ID == name })
	if i < 0 {
		return errorf(http.StatusNotFound, "network %s not found", name)
	}
	c, err := e.reachable(s, containerName)
	if err == nil {
		c.networks = append(c.networks, nodeNetworks()[i].Name)
	}
	return err
}
