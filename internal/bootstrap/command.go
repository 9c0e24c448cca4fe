package bootstrap

import (
	"time"

	"github.com/Masterminds/semver/v3"
)

// UCP is how the bootstrapper reaches UCP.
type UCP struct {
	URL, Username, Password string
	CA                      string // PEM text
	Insecure                bool
}

// UpgradeOptions are the choices of an upgrade.
type UpgradeOptions struct {
	ExistingReplicaID string
	UCP               UCP
	Debug             bool
	NoImageCheck      bool          // 2.6 only
	MaxWait           time.Duration // 2.9 and later
}

// UpgradeCommand gives the arguments and the environment of an upgrade.
func UpgradeCommand(target *semver.Version, o UpgradeOptions) (args, env []string) { return nil, nil }
