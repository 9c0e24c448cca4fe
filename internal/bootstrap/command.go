package bootstrap

import (
	"regexp"
	"time"

	"github.com/Masterminds/semver/v3"
)

// UCP is how the bootstrapper reaches UCP.
type UCP struct {
	URL, Username, Password string
	CA                      string // PEM text; empty: the bootstrapper asks UCP for it
	Insecure                bool   // do not verify UCP's certificate
}

// UpgradeOptions are the choices of an upgrade. What the target version does not
// know is left out.
type UpgradeOptions struct {
	ExistingReplicaID string // the replica that the bootstrapper connects to; empty: its own choice
	UCP               UCP
	Debug             bool
	NoImageCheck      bool          // 2.6 only
	MaxWait           time.Duration // 2.9 and later; 0: the bootstrapper's default
}

// flag is one flag of the bootstrapper's commands.
type flag struct {
	name     string
	versions span
	wanted   func(UpgradeOptions) bool
	value    func(UpgradeOptions) string // nil: the flag is a switch
}

// A flag that the target does not know ends the bootstrapper at once, hence the
// versions. Secrets are not among them: arguments can be read in the process
// list, and in the container's inspection by more people than its environment.
var upgradeFlags = append([]flag{
	{
		name:   "--debug",
		wanted: func(o UpgradeOptions) bool { return o.Debug },
	},
	{
		name:     "--nocolor",
		versions: span{from: semver.MustParse("2.9.0")},
		wanted:   func(UpgradeOptions) bool { return true },
	},
	{
		name:     "--no-image-check",
		versions: span{semver.MustParse("2.6.0"), semver.MustParse("2.7.0")},
		wanted:   func(o UpgradeOptions) bool { return o.NoImageCheck },
	},
	{
		name:     "--max-wait",
		versions: span{from: semver.MustParse("2.9.0")},
		wanted:   func(o UpgradeOptions) bool { return o.MaxWait > 0 },
		value:    func(o UpgradeOptions) string { return o.MaxWait.String() },
	},
}, connectionFlags...)

// connectionFlags are those of every command that works on a cluster.
var connectionFlags = []flag{
	{
		name:   "--existing-replica-id",
		wanted: func(o UpgradeOptions) bool { return o.ExistingReplicaID != "" },
		value:  func(o UpgradeOptions) string { return o.ExistingReplicaID },
	},
	{
		name:   "--ucp-url",
		wanted: func(o UpgradeOptions) bool { return o.UCP.URL != "" },
		value:  func(o UpgradeOptions) string { return userInfo.ReplaceAllString(o.UCP.URL, "$1") },
	},
	{
		name:   "--ucp-username",
		wanted: func(o UpgradeOptions) bool { return o.UCP.Username != "" },
		value:  func(o UpgradeOptions) string { return o.UCP.Username },
	},
	{
		name:   "--ucp-insecure-tls",
		wanted: func(o UpgradeOptions) bool { return o.UCP.Insecure },
	},
}

// userInfo is a user and a password in a URL. It reaches to the last @, since a
// password may hold one that is not escaped.
var userInfo = regexp.MustCompile(`(?i)^([a-z]+://)?.*@`)

// UpgradeCommand gives the arguments and the environment of the container that
// upgrades a cluster to target. The password and the CA are in the environment
// alone.
func UpgradeCommand(target *semver.Version, o UpgradeOptions) (args, env []string) {
	return command("upgrade", upgradeFlags, target, o)
}

// BackupCommand gives the arguments and the environment of the container that
// writes a backup of a cluster to its standard output, as a tar archive.
func BackupCommand(running *semver.Version, existingReplicaID string, ucp UCP) (args, env []string) {
	return command("backup", connectionFlags, running, UpgradeOptions{ExistingReplicaID: existingReplicaID, UCP: ucp})
}

func command(name string, flags []flag, target *semver.Version, o UpgradeOptions) (args, env []string) {
	args = []string{name}
	for _, f := range flags {
		if !f.versions.contains(target) || !f.wanted(o) {
			continue
		}
		args = append(args, f.name)
		if f.value != nil {
			args = append(args, f.value(o))
		}
	}
	for _, e := range []struct{ name, value string }{
		{"UCP_CA", o.UCP.CA},
		{"UCP_PASSWORD", o.UCP.Password},
	} {
		if e.value != "" {
			env = append(env, e.name+"="+e.value)
		}
	}
	return args, env
}
