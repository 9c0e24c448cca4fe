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

// flag is one flag of a command with the options O.
type flag[O any] struct {
	name     string
	versions span
	wanted   func(O) bool
	value    func(O) string // nil: the flag is a switch
}

// upgradeFlags are those of an upgrade. One that the target does not know ends the
// bootstrapper at once, hence the versions. Secrets are not among them: arguments can be read in the process
// list, and in the container's inspection by more people than its environment.
var upgradeFlags = append([]flag[UpgradeOptions]{
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
	text("--existing-replica-id", func(o UpgradeOptions) string { return o.ExistingReplicaID }),
}, ucpFlags(func(o UpgradeOptions) UCP { return o.UCP })...)

// ucpFlags are the flags by which every command reaches UCP.
func ucpFlags[O any](login func(O) UCP) []flag[O] {
	return []flag[O]{
		text("--ucp-url", func(o O) string { return userInfo.ReplaceAllString(login(o).URL, "$1") }),
		text("--ucp-username", func(o O) string { return login(o).Username }),
		{
			name:   "--ucp-insecure-tls",
			wanted: func(o O) bool { return login(o).Insecure },
		},
	}
}

// text is a flag that is given when it has a value.
func text[O any](name string, value func(O) string) flag[O] {
	return flag[O]{name: name, wanted: func(o O) bool { return value(o) != "" }, value: value}
}

// userInfo is a user and a password in a URL. It reaches to the last @, since a
// password may hold one that is not escaped.
var userInfo = regexp.MustCompile(`(?i)^([a-z]+://)?.*@`)

// UpgradeCommand gives the arguments and the environment of the container that
// upgrades a cluster to target. The password and the CA are in the environment
// alone.
func UpgradeCommand(target *semver.Version, o UpgradeOptions) (args, env []string) {
	return command("upgrade", upgradeFlags, target, o), o.UCP.env()
}

// backupFlags are those by which a backup reaches the cluster; it has no others.
var backupFlags = append([]flag[BackupOptions]{
	text("--existing-replica-id", func(o BackupOptions) string { return o.ExistingReplicaID }),
}, ucpFlags(func(o BackupOptions) UCP { return o.UCP })...)

// BackupOptions are the choices of a backup.
type BackupOptions struct {
	ExistingReplicaID string // the replica that the bootstrapper connects to
	UCP               UCP
}

// BackupCommand gives the arguments and the environment of the container that
// writes a backup of a cluster to its standard output, as a tar archive.
func BackupCommand(running *semver.Version, o BackupOptions) (args, env []string) {
	return command("backup", backupFlags, running, o), o.UCP.env()
}

func command[O any](name string, flags []flag[O], version *semver.Version, o O) []string {
	args := []string{name}
	for _, f := range flags {
		if !f.versions.contains(version) || !f.wanted(o) {
			continue
		}
		args = append(args, f.name)
		if f.value != nil {
			args = append(args, f.value(o))
		}
	}
	return args
}

func (u UCP) env() (env []string) {
	for _, e := range []struct{ name, value string }{
		{"UCP_CA", u.CA},
		{"UCP_PASSWORD", u.Password},
	} {
		if e.value != "" {
			env = append(env, e.name+"="+e.value)
		}
	}
	return env
}
