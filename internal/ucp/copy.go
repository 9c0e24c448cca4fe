package ucp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// CopySpec says what of a copy of a container differs.
type CopySpec struct {
	Name, Image string
	// Node places it on that node, through UCP only.
	Node string
	// Labels are set besides those of the original.
	Labels map[string]string
}

// labelConstraints is where UCP keeps the constraints that it takes out of a container's environment.
const labelConstraints = "com.docker.swarm.constraints"

// labelSwarmID names a container within UCP, which gives each its own.
const labelSwarmID = "com.docker.swarm.id"

// Copy creates a container like another one in all that was asked for: what that one has from its image, the copy has from its own.
// Volumes without a name are shared. An original that removes itself when it is stopped is an error.
func (e *Engine) Copy(ctx context.Context, id string, s CopySpec) (newID string, err error) {
	var o original
	if err := e.connection.get(ctx, "inspect container "+id, "/containers/"+url.PathEscape(id)+"/json", nil, &o); err != nil {
		return "", err
	}
	var image struct{ Config object }
	if err := e.connection.get(ctx, "inspect image "+o.Image, "/images/"+url.PathEscape(o.Image)+"/json", nil, &image); err != nil {
		return "", err
	}
	body, others, err := o.request(image.Config, s)
	if err != nil {
		return "", fmt.Errorf("%s: cannot copy container %s: %w", e.connection.endpoint.Service(), id, err)
	}
	var created struct{ ID string }
	if err := e.connection.post(ctx, "create container "+s.Name, "/containers/create", url.Values{"name": {s.Name}}, body, &created); err != nil {
		return "", err
	}
	for network, body := range others {
		body["Container"] = text(created.ID)
		if err := e.connection.post(ctx, "connect container "+s.Name, "/networks/"+url.PathEscape(network)+"/connect", nil, body.json(), nil); err != nil {
			return created.ID, err
		}
	}
	return created.ID, nil
}

// object is a JSON object whose members are left as they are written.
type object map[string]json.RawMessage

func (o object) json() json.RawMessage {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // its members are JSON
	}
	return b
}

// member reads a member that may be missing, and is the zero value then or where it is something else.
func member[T any](o object, key string) (v T) {
	_ = json.Unmarshal(o[key], &v)
	return v
}

// original is as much of an inspected container as a copy is made of.
type original struct {
	ID string
	// Image is the id of its image.
	Image              string
	Config, HostConfig object
	Mounts             []struct {
		Type, Name, Destination string
		RW                      bool
	}
	NetworkSettings struct{ Networks map[string]object }
}

// request is the body that creates the copy, and the bodies that connect it to its other networks, by their ids:
// engines before API 1.44 take one network at creation.
func (o original) request(image object, s CopySpec) (body json.RawMessage, others map[string]object, err error) {
	if o.Config == nil || o.HostConfig == nil {
		return nil, nil, errors.New("its description has no Config or no HostConfig")
	}
	if member[bool](o.HostConfig, "AutoRemove") {
		return nil, nil, errors.New("it removes itself when it is stopped, and could not be put back")
	}
	config := o.ownConfig(image)
	config["Image"] = text(s.Image)
	labels := member[map[string]string](config, "Labels")
	if labels == nil {
		labels = map[string]string{}
	}
	delete(labels, labelSwarmID)
	maps.Copy(labels, s.Labels)
	config["Labels"] = text(labels)
	if here := "node==" + s.Node; s.Node != "" && !strings.Contains(labels[labelConstraints], `"`+here+`"`) {
		config["Env"] = text(append(member[[]string](config, "Env"), "constraint:"+here))
	}
	config["HostConfig"] = o.hostConfig().json()
	endpoints, others := o.networks()
	config["NetworkingConfig"] = text(map[string]any{"EndpointsConfig": endpoints})
	return config.json(), others, nil
}

// text is a value as JSON.
func text(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings, lists and objects of them come here
	}
	return b
}

// ownConfig is the configuration without what the image brought into it.
func (o original) ownConfig(image object) object {
	own := maps.Clone(o.Config)
	brought := member[[]string](image, "Env")
	own["Env"] = text(slices.DeleteFunc(member[[]string](own, "Env"), func(kv string) bool { return slices.Contains(brought, kv) }))
	for _, key := range []string{"Labels", "Volumes", "ExposedPorts"} {
		members := member[object](own, key)
		for name, value := range member[object](image, key) {
			if same(members[name], value) {
				delete(members, name)
			}
		}
		own[key] = text(members)
	}
	drop := []string{"WorkingDir", "User", "Healthcheck", "StopSignal", "Shell", "OnBuild"}
	// An entry point of its own keeps the command: the engine would not take the image's.
	if same(own["Entrypoint"], image["Entrypoint"]) {
		drop = append(drop, "Entrypoint", "Cmd")
	}
	for _, key := range drop {
		if same(own[key], image[key]) {
			delete(own, key)
		}
	}
	mode := member[string](o.HostConfig, "NetworkMode")
	if h := member[string](own, "Hostname"); mode == "host" || strings.HasPrefix(mode, "container:") || o.named(h) {
		delete(own, "Hostname") // that is the engine's doing
	}
	return own
}

// named says whether a name is the one that the engine makes of the id.
func (o original) named(name string) bool { return len(name) == 12 && strings.HasPrefix(o.ID, name) }

// same compares JSON; null, empty and missing are the same.
func same(a, b json.RawMessage) bool {
	value := func(raw json.RawMessage) (v any) {
		_ = json.Unmarshal(raw, &v)
		switch x := v.(type) {
		case []any:
			if len(x) == 0 {
				return nil
			}
		case string:
			if x == "" {
				return nil
			}
		}
		return v
	}
	return reflect.DeepEqual(value(a), value(b))
}

// hostConfig names the volumes that have no name in it, which a new container would get empty.
func (o original) hostConfig() object {
	host := maps.Clone(o.HostConfig)
	binds := member[[]string](host, "Binds")
	known := map[string]bool{}
	for _, b := range binds {
		if parts := strings.Split(b, ":"); len(parts) > 1 {
			known[parts[1]] = true
		}
	}
	for _, m := range member[[]struct{ Target string }](host, "Mounts") {
		known[m.Target] = true
	}
	for _, m := range o.Mounts {
		if m.Type != "volume" || m.Name == "" || known[m.Destination] {
			continue
		}
		bind := m.Name + ":" + m.Destination
		if !m.RW {
			bind += ":ro"
		}
		binds = append(binds, bind)
	}
	host["Binds"] = text(binds)
	return host
}

// networks are what was asked for of the container's networks: the one of its network mode, by its name, and the others.
func (o original) networks() (first map[string]object, others map[string]object) {
	first, others = map[string]object{}, map[string]object{}
	mode := member[string](o.HostConfig, "NetworkMode")
	for name, endpoint := range o.NetworkSettings.Networks {
		id := member[string](endpoint, "NetworkID")
		asked := object{}
		for _, key := range []string{"IPAMConfig", "Links", "DriverOpts", "GwPriority"} {
			if !same(endpoint[key], nil) {
				asked[key] = endpoint[key]
			}
		}
		// The engine adds the beginning of the id.
		aliases := slices.DeleteFunc(member[[]string](endpoint, "Aliases"), o.named)
		if len(aliases) > 0 {
			asked["Aliases"] = text(aliases)
		}
		switch {
		case mode == name, id != "" && mode == id, name == "bridge" && (mode == "" || mode == "default"):
			if len(asked) > 0 {
				first[name] = asked
			}
		case id != "":
			others[id] = object{"EndpointConfig": asked.json()}
		}
	}
	return first, others
}
