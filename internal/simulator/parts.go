package simulator

import (
	"fmt"
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

const (
	overlayNetwork  = "dtr-ol"
	phase2Name      = "dtr-phase2"
	labelVersion    = "com.docker.dtr.version"
	labelReplica    = "com.docker.dtr.replica"
	labelProject    = "com.docker.compose.project"
	swarmConstraint = "com.docker.swarm.constraints"

	// labelRemoves, on phase 2, is this simulation's own: its DTR sees containers
	// alone, and the real second phase tells the database.
	labelRemoves = "com.docker.dtr.removes"
)

// part is one of the nine containers of a replica.
type part struct {
	name   string
	image  string // suffix of the image name: dtr-<image>
	volume string // dtr-<volume>-<replica id>, mounted in the container
}

// parts in the order in which they are created and replaced.
var parts = []part{
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

func (p part) containerName(replica string) string { return "dtr-" + p.name + "-" + replica }

func (p part) ref(repository, version string) string {
	return repository + "-" + p.image + ":" + version
}

// officialRepository is where the vendor published a version.
func officialRepository(v *semver.Version) string {
	published := func(constraint string) bool {
		c, err := semver.NewConstraint(constraint)
		return err == nil && c.Check(v)
	}
	switch {
	case published(">= 2.10.0"):
		return "registry.mirantis.com/msr/dtr"
	case published(">= 2.6.15 < 2.7.0 || >= 2.7.8 < 2.8.0 || >= 2.8.2"):
		return "mirantis/dtr"
	default:
		return "docker/dtr"
	}
}

// bundle lists every image of a version.
func bundle(repository, version string) []string {
	refs := []string{repository + ":" + version, repository + "-content-cache:" + version}
	for _, p := range parts {
		refs = append(refs, p.ref(repository, version))
	}
	return refs
}

// newestPatch is the newest patch that exists of each minor version.
var newestPatch = map[string]uint64{
	"1.4": 3, "2.0": 4, "2.1": 7, "2.2": 11, "2.3": 11, "2.4": 14, "2.5": 17,
	"2.6": 15, "2.7": 8, "2.8": 13, "2.9": 30, "3.0": 0,
}

func released(v *semver.Version) bool {
	newest, ok := newestPatch[fmt.Sprintf("%d.%d", v.Major(), v.Minor())]
	return ok && v.Patch() <= newest && v.Prerelease() == "" && v.String() != "2.5.4"
}

// splitRef splits an image reference into repository and tag.
func splitRef(ref string) (repository, tag string) {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, "latest"
}

func normalRef(ref string) string {
	repository, tag := splitRef(ref)
	return repository + ":" + tag
}

// isBootstrapper says whether an image is DTR's bootstrapper, from the
// official repositories or from a mirror.
func isBootstrapper(ref string) bool {
	repository, tag := splitRef(ref)
	_, err := semver.StrictNewVersion(tag)
	return err == nil && path.Base(repository) == "dtr"
}

// parseComponentName splits the name of a replica's container, dtr-<part>-<id>,
// with the node before it or not.
func parseComponentName(name string) (node string, p part, replica string, ok bool) {
	name = strings.TrimPrefix(name, "/")
	if before, after, qualified := strings.Cut(name, "/"); qualified {
		node, name = before, after
	}
	name, ok = strings.CutPrefix(name, "dtr-")
	end := strings.LastIndexByte(name, '-')
	if !ok || end < 0 {
		return "", part{}, "", false
	}
	replica = name[end+1:]
	if len(replica) != 12 || strings.Trim(replica, "0123456789abcdef") != "" {
		return "", part{}, "", false
	}
	for _, p := range parts {
		if p.name == name[:end] {
			return node, p, replica, true
		}
	}
	return "", part{}, "", false
}

// componentConfig is how a container of a replica is made.
func componentConfig(p part, repository, version, replica string) (*container.Config, *container.HostConfig) {
	config := &container.Config{
		Image: p.ref(repository, version),
		Env:   []string{"DTR_REPLICA_ID=" + replica},
		Labels: map[string]string{
			labelProject: fmt.Sprintf("Docker Trusted Registry %s - (Replica %s)", version, replica),
		},
	}
	host := &container.HostConfig{
		NetworkMode:   overlayNetwork,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
	}
	if p.volume != "" {
		host.Binds = []string{"dtr-" + p.volume + "-" + replica + ":/data"}
	}
	switch p.name {
	case "rethinkdb":
		config.Labels[labelVersion] = version
		config.Labels[labelReplica] = replica
	case "registry":
		config.Env = append(config.Env, "DTR_VERSION="+version)
	case "nginx":
		config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "/bin/healthcheck"}}
		host.PortBindings = network.PortMap{
			network.MustParsePort("80/tcp"):  {{HostPort: "80"}},
			network.MustParsePort("443/tcp"): {{HostPort: "443"}},
		}
	}
	return config, host
}
