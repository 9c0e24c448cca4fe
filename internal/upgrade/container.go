package upgrade

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Labels of the bootstrapper's container. With them a later run recognises what
// an earlier one started.
const (
	labelCluster  = "com.github.dtr-upgrade.cluster"
	labelFrom     = "com.github.dtr-upgrade.from"
	labelTo       = "com.github.dtr-upgrade.to"
	labelProvider = "com.github.dtr-upgrade.provider-version"
	labelBackup   = "com.github.dtr-upgrade.backup"  // of a backup's container: the file it is written to
	labelCommand  = "com.github.dtr-upgrade.command" // an upgrade where there is none
	labelReplica  = "com.github.dtr-upgrade.replica" // that joins or leaves
	labelNode     = "com.github.dtr-upgrade.node"    // that it joins on
)

// The bootstrapper's commands, as labelCommand says them.
const (
	commandJoin   = "join"
	commandRemove = "remove"
)

// phase2Name is the name of the container in which the bootstrapper's second
// phase runs.
const phase2Name = "dtr-phase2"

var notInName = regexp.MustCompile(`[^a-zA-Z0-9_.-]+`)

// containerName is the fixed name of a cluster's bootstrapper container: an
// engine refuses a second container of the same name, and so a second upgrade.
func containerName(host string) string { return "dtr-upgrade-" + nameOf(host) }

// backupName is the fixed name of the container that writes a cluster's backup.
func backupName(host string) string { return "dtr-backup-" + nameOf(host) }

func nameOf(host string) string { return notInName.ReplaceAllString(host, "-") }

// baseName is a container's name without the node that UCP puts before it.
func baseName(name string) string {
	return name[strings.LastIndexByte(name, '/')+1:]
}

// isBootstrapper says whether the container is the bootstrapper in any of its
// commands, or the second phase of one.
func isBootstrapper(c ucp.Container) bool {
	if baseName(c.Name) == phase2Name || c.Labels[labelCluster] != "" {
		return true
	}
	repository, _ := splitImage(c.Image)
	return baseName(repository) == "dtr"
}

// isOurs says whether this provider started the container for the cluster.
func isOurs(c ucp.Container, host string) bool {
	return c.Labels[labelCluster] == host && baseName(c.Name) == containerName(host)
}

// isBackup says whether this provider started the container to write a backup of
// the cluster, which changes nothing on it.
func isBackup(c ucp.Container, host string) bool {
	return c.Labels[labelCluster] == host && baseName(c.Name) == backupName(host)
}

func isUpgrade(labels map[string]string) bool { return labels[labelCommand] == "" }

// isRecord says whether a container that has ended must be kept: only it tells
// that the replica which it names was made by this provider.
func isRecord(labels map[string]string) bool { return labels[labelCommand] == commandJoin }

// purpose is what a container of ours was made for, in a few words: for an
// upgrade the version that it leads to.
func purpose(labels map[string]string) string {
	switch labels[labelCommand] {
	case commandJoin:
		return fmt.Sprintf("replica %s joins on node %s", labels[labelReplica], labels[labelNode])
	case commandRemove:
		return fmt.Sprintf("replica %s is removed", labels[labelReplica])
	}
	return labels[labelTo]
}

// isForHop says whether a container with the labels was made for a hop.
func isForHop(labels map[string]string, hop transition.Hop) bool {
	to := labelledVersion(labels, labelTo)
	return isUpgrade(labels) && to != nil && to.Equal(hop.To)
}

func running(c ucp.Container) bool {
	switch c.State {
	case "running", "restarting", "paused":
		return true
	}
	return false
}

// labelledVersion reads one of the labels From and To.
func labelledVersion(labels map[string]string, label string) *semver.Version {
	v, err := semver.StrictNewVersion(labels[label])
	if err != nil {
		return nil
	}
	return v
}
