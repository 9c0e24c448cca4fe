package bootstrap

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// UCP is how the bootstrapper reaches UCP.
type UCP struct {
	URL, Username, Password string
	CA                      string // PEM text; empty: the bootstrapper asks UCP for it
	Insecure                bool   // do not verify UCP's certificate
}

// arguments are those of a command. Secrets are not among them: arguments can be read in the process
// list, and in the container's inspection by more people than its environment.
type arguments []string

// set gives a flag its value, unless that is empty.
func (a *arguments) set(flag, value string) {
	if value != "" {
		*a = append(*a, flag, value)
	}
}

// on gives a switch if it is wanted.
func (a *arguments) on(flag string, wanted bool) {
	if wanted {
		*a = append(*a, flag)
	}
}

// reach gives the flags by which every command reaches the cluster.
func (a *arguments) reach(u UCP) {
	a.set("--ucp-url", userInfo.ReplaceAllString(u.URL, "$1"))
	a.set("--ucp-username", u.Username)
	a.on("--ucp-insecure-tls", u.Insecure)
}

// userInfo is a user and a password in a URL. It reaches to the last @, since a
// password may hold one that is not escaped.
var userInfo = regexp.MustCompile(`(?i)^([a-z]+://)?.*@`)

// env holds the password and the CA, which are in the environment alone.
func (u UCP) env() (env []string) {
	if u.CA != "" {
		env = append(env, "UCP_CA="+u.CA)
	}
	if u.Password != "" {
		env = append(env, "UCP_PASSWORD="+u.Password)
	}
	return env
}

// UpgradeOptions are the choices of an upgrade. What the target version does not
// know is left out.
type UpgradeOptions struct {
	ExistingReplicaID string // the replica that the bootstrapper connects to; empty: its own choice
	UCP               UCP
	NoImageCheck      bool // 2.6 only
}

// The versions that know a flag. One that the target does not know ends the
// bootstrapper at once.
var (
	knowNoColor      = span{from: semver.MustParse("2.9.0")}
	knowNoImageCheck = span{semver.MustParse("2.6.0"), semver.MustParse("2.7.0")}
	knowForce        = []span{{semver.MustParse("2.6.13"), semver.MustParse("2.7.0")}, {from: semver.MustParse("2.7.6")}}
)

// UpgradeCommand gives the arguments and the environment of the container that
// upgrades a cluster to target.
func UpgradeCommand(target *semver.Version, o UpgradeOptions) (args, env []string) {
	a := arguments{"upgrade"}
	a.on("--nocolor", knowNoColor.contains(target))
	a.on("--no-image-check", o.NoImageCheck && knowNoImageCheck.contains(target))
	a.set("--existing-replica-id", o.ExistingReplicaID)
	a.reach(o.UCP)
	return a, o.UCP.env()
}

// BackupOptions are the choices of a backup.
type BackupOptions struct {
	ExistingReplicaID string // the replica that the bootstrapper connects to
	UCP               UCP
}

// BackupCommand gives the arguments and the environment of the container that
// writes a backup of a cluster to its standard output, as a tar archive.
func BackupCommand(o BackupOptions) (args, env []string) {
	a := arguments{"backup"}
	a.set("--existing-replica-id", o.ExistingReplicaID)
	a.reach(o.UCP)
	return a, o.UCP.env()
}

// JoinOptions are the choices of a join.
type JoinOptions struct {
	ExistingReplicaID string // a replica of the cluster that is joined
	ReplicaID         string // what the new replica is to be called; 12 hexadecimal digits
	Node              string // the UCP node that it is to run on
	HTTPPort          int    // that it serves on; 0: the bootstrapper's default, 80
	HTTPSPort         int    // likewise, 443
	UCP               UCP
}

// JoinCommand gives the arguments and the environment of the container that has
// a replica join a cluster. The vendor's pages on join and remove list the same
// flags for all versions.
func JoinCommand(o JoinOptions) (args, env []string) {
	a := arguments{"join"}
	a.set("--existing-replica-id", o.ExistingReplicaID)
	a.set("--replica-id", o.ReplicaID)
	a.set("--ucp-node", o.Node)
	a.set("--replica-http-port", port(o.HTTPPort))
	a.set("--replica-https-port", port(o.HTTPSPort))
	a.reach(o.UCP)
	return a, o.UCP.env()
}

func port(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// RemoveOptions are the choices of a removal. The provider itself never forces one: it
// tells users the command.
type RemoveOptions struct {
	ExistingReplicaID string // a replica that stays
	ReplicaID         string // the replica to remove
	Force             bool   // though it cannot be reached; see CanForceRemoval
	UCP               UCP
}

// RemoveCommand gives the arguments and the environment of the container that
// removes a replica from a cluster.
func RemoveCommand(o RemoveOptions) (args, env []string) {
	a := arguments{"remove"}
	a.on("--force", o.Force)
	a.set("--existing-replica-id", o.ExistingReplicaID)
	a.set("--replica-ids", o.ReplicaID)
	a.reach(o.UCP)
	return a, o.UCP.env()
}

// Arguments are those of a bootstrapper in the command line of its container, which
// begins with its program; none if the line has no command of the bootstrapper.
func Arguments(line string) []string {
	words := strings.Fields(line)
	i := slices.IndexFunc(words, func(w string) bool { return slices.Contains(commands, w) })
	if i < 0 {
		return nil
	}
	return words[i:]
}

// IsCommand reports whether the arguments are those of a command of the bootstrapper.
func IsCommand(args []string, command string) bool { return len(args) > 0 && args[0] == command }

// IsJoin reports whether the arguments have the replica join on the node.
func IsJoin(args []string, replicaID, node string) bool {
	return IsCommand(args, "join") && value(args, "--replica-id") == replicaID && value(args, "--ucp-node") == node
}

// IsRemoval reports whether the arguments remove the replica.
func IsRemoval(args []string, replicaID string) bool {
	return IsCommand(args, "remove") && value(args, "--replica-ids") == replicaID
}

// value is that of a flag, "" without it.
func value(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// CanForceRemoval reports whether the version's bootstrapper knows --force, with which
// it removes a replica that it cannot reach.
func CanForceRemoval(v *semver.Version) bool {
	return slices.ContainsFunc(knowForce, func(s span) bool { return s.contains(v) })
}
