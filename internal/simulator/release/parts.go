package release

import (
	"fmt"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// OverlayNetwork connects the containers of all replicas.
const OverlayNetwork = "dtr-ol"

// HealthCheckPath is where the health check is in the image of nginx.
const HealthCheckPath = "/bin/healthcheck"

const (
	labelVersion = "com.docker.dtr.version"
	labelReplica = "com.docker.dtr.replica"
	labelProject = "com.docker.compose.project"
)

// Part is one of the nine containers of a replica.
type Part struct {
	Name   string
	image  string // suffix of the image name: dtr-<image>
	volume string // dtr-<volume>-<replica id>, mounted in the container
}

// Parts in the order in which they are created and replaced.
var Parts = []Part{
	{"rethinkdb", "rethink", "rethink"},
	{"registry", "registry", "registry"},
	{"garant", "garant", ""},
	{"api", "api", ""},
	{"notary-server", "notary-server", "notary"},
	{"nginx", "nginx", "ca"},
	{"jobrunner", "jobrunner", ""},
	{"notary-signer", "notary-signer", ""},
	{"scanningstore", "postgres", "postgres"},
}

// ContainerName names the part's container in a replica.
func (p Part) ContainerName(replica string) string { return "dtr-" + p.Name + "-" + replica }

// Image is the reference of the part's image.
func (p Part) Image(repository, version string) string {
	return repository + "-" + p.image + ":" + version
}

// ParseContainerName splits the name of a replica's container, dtr-<part>-<id>,
// with or without the node before it.
func ParseContainerName(name string) (node string, p Part, replica string, ok bool) {
	name = strings.TrimPrefix(name, "/")
	if before, after, qualified := strings.Cut(name, "/"); qualified {
		node, name = before, after
	}
	name, ok = strings.CutPrefix(name, "dtr-")
	end := strings.LastIndexByte(name, '-')
	if !ok || end < 0 || !IsReplicaID(name[end+1:]) {
		return "", Part{}, "", false
	}
	for _, p := range Parts {
		if p.Name == name[:end] {
			return node, p, name[end+1:], true
		}
	}
	return "", Part{}, "", false
}

// IsReplicaID reports whether s is twelve hexadecimal digits.
func IsReplicaID(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789abcdef") == ""
}

// Spec is a container of a replica as the bootstrapper creates it.
type Spec struct {
	Name   string
	Part   string
	Config *container.Config
	Host   *container.HostConfig
}

// ReplicaContainers are the containers of a replica, in the order in which
// they are created; version says which version a part has. The engines must
// have the images.
func ReplicaContainers(repository, replica string, version func(part string) string) []Spec {
	var specs []Spec
	for _, p := range Parts {
		specs = append(specs, p.Spec(repository, version(p.Name), replica))
	}
	return specs
}

// Spec says how the part's container is created.
func (p Part) Spec(repository, version, replica string) Spec {
	config := &container.Config{
		Image: p.Image(repository, version),
		Env:   []string{"DTR_REPLICA_ID=" + replica},
		Labels: map[string]string{
			labelProject: fmt.Sprintf("Docker Trusted Registry %s - (Replica %s)", version, replica),
		},
	}
	host := &container.HostConfig{
		NetworkMode:   OverlayNetwork,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
	}
	if p.volume != "" {
		host.Binds = []string{"dtr-" + p.volume + "-" + replica + ":/data"}
	}
	switch p.Name {
	case "rethinkdb":
		config.Labels[labelVersion] = version
		config.Labels[labelReplica] = replica
	case "registry":
		config.Env = append(config.Env, "DTR_VERSION="+version)
	case "nginx":
		config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", HealthCheckPath}}
		host.PortBindings = network.PortMap{
			network.MustParsePort("80/tcp"):  {{HostPort: "80"}},
			network.MustParsePort("443/tcp"): {{HostPort: "443"}},
		}
	}
	return Spec{Name: p.ContainerName(replica), Part: p.Name, Config: config, Host: host}
}
