package bootstrap

import "github.com/Masterminds/semver/v3"

// Part is one of the containers that make a replica.
type Part struct{ Name, Image string }

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

// Repository gives the public repository of the bootstrapper's image.
func Repository(v *semver.Version) string { return "docker/dtr" }

// Image gives the bootstrapper's image; an empty repository means the public one.
func Image(repository string, v *semver.Version) string {
	if repository == "" {
		repository = Repository(v)
	}
	return repository + ":" + v.String()
}

// ComponentImages gives the images of the parts.
func ComponentImages(repository string, v *semver.Version) []string { return nil }

// ParseContainerName takes a container's name apart.
func ParseContainerName(name string) (node, part, replicaID string, ok bool) {
	return "", "", "", false
}
