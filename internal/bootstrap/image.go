package bootstrap

import (
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Part is one of the nine containers that make a replica.
type Part struct {
	Name  string // as in the container's name, dtr-<name>-<replica id>
	Image string // the last part of the image's repository
}

// ContainerName is the name of the part's container in a replica.
func (p Part) ContainerName(replicaID string) string { return "dtr-" + p.Name + "-" + replicaID }

// DatabaseVolume is the name of the volume that has the database of a replica.
func DatabaseVolume(replicaID string) string { return "dtr-rethink-" + replicaID }

// Parts lists the containers of a replica in the order in which the bootstrapper
// recreates them.
var Parts = []Part{
	{"rethinkdb", "dtr-rethink"},
	{"registry", "dtr-registry"},
	{"garant", "dtr-garant"},
	{"api", "dtr-api"},
	{"notary-server", "dtr-notary-server"},
	{"nginx", "dtr-nginx"},
	{"jobrunner", "dtr-jobrunner"},
	{"notary-signer", "dtr-notary-signer"},
	{"scanningstore", "dtr-postgres"},
}

// formerNames are what parts were called in earlier versions: 2.2 stores the results
// of scans in dtr-nautilusstore (the vendor's page on its architecture).
var formerNames = map[string]string{"nautilusstore": "scanningstore"}

// etcd is a part of the replicas of 2.0 and 2.1, which lack some of the nine.
const etcd = "etcd"

// LowestVersion is the lowest whose replicas consist of the nine parts.
var LowestVersion = semver.MustParse("2.2.0")

// span is a range of versions: from the first up to, but not including, the
// second. A nil end is open.
type span struct{ from, before *semver.Version }

func (s span) contains(v *semver.Version) bool {
	return (s.from == nil || !v.LessThan(s.from)) && (s.before == nil || v.LessThan(s.before))
}

// repositories are where the images moved with the product's owner; patches of older minor versions that
// came out after a move are found in the new place, too.
var repositories = []struct {
	versions   span
	repository string
}{
	{span{semver.MustParse("2.6.15"), semver.MustParse("2.7.0")}, "mirantis/dtr"},
	{span{semver.MustParse("2.7.8"), semver.MustParse("2.8.0")}, "mirantis/dtr"},
	{span{semver.MustParse("2.8.2"), semver.MustParse("2.10.0")}, "mirantis/dtr"},
	{span{semver.MustParse("2.10.0"), nil}, "registry.mirantis.com/msr/dtr"},
}

// firstRepository is where the images of all other versions are.
const firstRepository = "docker/dtr"

// Repository gives the public repository of the bootstrapper's image for a
// version.
func Repository(v *semver.Version) string {
	for _, r := range repositories {
		if r.versions.contains(v) {
			return r.repository
		}
	}
	return firstRepository
}

// Image gives the bootstrapper's image, such as docker/dtr:2.5.17. An empty
// repository stands for the public one.
func Image(repository string, v *semver.Version) string {
	if repository == "" {
		repository = Repository(v)
	}
	return repository + ":" + v.String()
}

// ComponentImages gives the images of a replica's containers, in the order of
// Parts. They lie beside the bootstrapper's: a mirror of it replaces what stands
// before the last slash. An empty repository stands for the public one.
func ComponentImages(repository string, v *semver.Version) []string {
	if repository == "" {
		repository = Repository(v)
	}
	prefix := repository[:strings.LastIndexByte(repository, '/')+1]
	images := make([]string, len(Parts))
	for i, part := range Parts {
		images[i] = prefix + part.Image + ":" + v.String()
	}
	return images
}

var containerName = regexp.MustCompile(`^/?(?:([^/]+)/)?dtr-([a-z-]+)-([0-9a-f]{12})$`)

// ReplicaContainer is what the name of a replica's container tells.
type ReplicaContainer struct {
	Node      string // "" where the name has none
	Part      string // the name of one of Parts
	ReplicaID string
	Former    bool // the name is the one that the part had in earlier versions
	Old       bool // the part is none of the nine, but one that versions before LowestVersion have
}

// ParseContainerName takes the name of a replica's container apart. Docker gives
// it as /dtr-nginx-0123456789ab, and UCP with the node's name before it. It
// reports false for every other container, dtr-phase2 among them.
func ParseContainerName(name string) (c ReplicaContainer, ok bool) {
	m := containerName.FindStringSubmatch(name)
	if m == nil {
		return ReplicaContainer{}, false
	}
	c = ReplicaContainer{Node: m[1], Part: m[2], ReplicaID: m[3], Old: m[2] == etcd}
	if now, former := formerNames[c.Part]; former {
		c.Part, c.Former = now, true
	}
	if !c.Old && !slices.ContainsFunc(Parts, func(p Part) bool { return p.Name == c.Part }) {
		return ReplicaContainer{}, false
	}
	return c, true
}

// commands are the bootstrapper's.
var commands = []string{
	"install", "join", "reconfigure", "remove", "destroy", "restore", "backup", "upgrade", "images", "emergency-repair",
}

// IsBootstrapper reports whether a container is a bootstrapper by its image's
// repository, as Docker shows it, and its command line. The vendor's repositories
// are known, and a mirror may be named; any other one counts if its last word is
// that of the vendor's and it is told one of the bootstrapper's commands, or if it is
// told one of them for UCP or a replica.
func IsBootstrapper(repository, mirror, command string) bool {
	if isVendors(repository) || mirror != "" && repository == mirror {
		return true
	}
	words := strings.Fields(command)
	if !slices.ContainsFunc(words, func(w string) bool { return slices.Contains(commands, w) }) {
		return false
	}
	flag := func(w string) bool {
		return strings.HasPrefix(w, "--ucp-") || strings.HasPrefix(w, "--existing-replica-id")
	}
	return isNamedDTR(repository) || slices.ContainsFunc(words, flag)
}

// IsImage reports whether a repository is that of the bootstrapper: the vendor's, the
// mirror that is named, or one whose last word is that of the vendor's.
func IsImage(repository, mirror string) bool {
	return isVendors(repository) || mirror != "" && repository == mirror || isNamedDTR(repository)
}

func isNamedDTR(repository string) bool {
	return repository[strings.LastIndexByte(repository, '/')+1:] == "dtr"
}

// cacheSuffix makes the name of the content cache's image of the bootstrapper's.
const cacheSuffix = "-content-cache"

// CacheImage gives the image of the content cache for a version. What the cache
// runs now says where to look: the vendor's own images moved with the product's
// owner, and any other repository is a mirror that stays. A repository that is
// not empty decides instead.
func CacheImage(repository, running string, v *semver.Version) string {
	if repository == "" {
		repository = strings.TrimPrefix(running, "docker.io/")
		if repository == "" || isVendors(strings.TrimSuffix(repository, cacheSuffix)) {
			repository = Repository(v) + cacheSuffix
		}
	}
	return repository + ":" + v.String()
}

// isVendors reports whether a repository is one of the public ones.
func isVendors(repository string) bool {
	if repository == firstRepository {
		return true
	}
	for _, r := range repositories {
		if r.repository == repository {
			return true
		}
	}
	return false
}
