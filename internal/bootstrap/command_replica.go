package bootstrap

import (
	"strconv"

	"github.com/Masterminds/semver/v3"
)

// JoinOptions are the choices of a join.
type JoinOptions struct {
	ExistingReplicaID string // a replica of the cluster that is joined
	ReplicaID         string // what the new replica is to be called; 12 hexadecimal digits
	Node              string // the UCP node that it is to run on
	HTTPPort          int    // that it serves on; 0: the bootstrapper's default, 80
	HTTPSPort         int    // likewise, 443
	UCP               UCP
}

// joinFlags are those of a join. The pages on join and remove list the same flags
// for all versions that they are about.
var joinFlags = append([]flag[JoinOptions]{
	text("--existing-replica-id", func(o JoinOptions) string { return o.ExistingReplicaID }),
	text("--replica-id", func(o JoinOptions) string { return o.ReplicaID }),
	text("--ucp-node", func(o JoinOptions) string { return o.Node }),
	text("--replica-http-port", func(o JoinOptions) string { return port(o.HTTPPort) }),
	text("--replica-https-port", func(o JoinOptions) string { return port(o.HTTPSPort) }),
}, ucpFlags(func(o JoinOptions) UCP { return o.UCP })...)

func port(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// JoinCommand gives the arguments and the environment of the container that has
// a replica join a cluster of the version.
func JoinCommand(version *semver.Version, o JoinOptions) (args, env []string) {
	return command("join", joinFlags, version, o), o.UCP.env()
}

// RemoveOptions are the choices of a removal. It is never forced.
type RemoveOptions struct {
	ExistingReplicaID string // a replica that stays
	ReplicaID         string // the replica to remove
	UCP               UCP
}

var removeFlags = append([]flag[RemoveOptions]{
	text("--existing-replica-id", func(o RemoveOptions) string { return o.ExistingReplicaID }),
	text("--replica-ids", func(o RemoveOptions) string { return o.ReplicaID }),
}, ucpFlags(func(o RemoveOptions) UCP { return o.UCP })...)

// RemoveCommand gives the arguments and the environment of the container that
// removes a replica from a cluster of the version.
func RemoveCommand(version *semver.Version, o RemoveOptions) (args, env []string) {
	return command("remove", removeFlags, version, o), o.UCP.env()
}
