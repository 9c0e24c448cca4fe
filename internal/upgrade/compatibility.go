package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
)

// compatibleRelease is what was released together: the only published statement on
// which UCP and Engine a DTR goes with (release notes of Docker Enterprise 2.0, 2.1
// and 3.0).
type compatibleRelease struct {
	dtr, ucp string
	engines  []string
}

var compatibleReleases = []compatibleRelease{
	{"2.5", "3.0", []string{"17.06", "18.03"}},
	{"2.6", "3.1", []string{"18.09"}},
	{"2.7", "3.2", []string{"19.03"}},
}

// compatibleRelease finds the row of the last version that the plan reaches. A transition
// that is refused reaches none.
func (p *checks) compatibleRelease() (compatibleRelease, bool) {
	if !p.Due() {
		return compatibleRelease{}, false
	}
	i := slices.IndexFunc(compatibleReleases, func(row compatibleRelease) bool { return row.dtr == minor(p.o.Target.String()) })
	if i < 0 {
		return compatibleRelease{}, false
	}
	return compatibleReleases[i], true
}

const upgradeOrder = "Upgrade the Engines first, then UCP, then DTR."

func checkUCPVersion(p *checks) {
	row, known := p.compatibleRelease()
	if v := p.obs.Version.UCP; known && v != "" && minor(v) != row.ucp {
		p.find(preflight.Finding{
			Check:   preflight.UCPVersion,
			Summary: "UCP is not the version that DTR was released with",
			Seen:    fmt.Sprintf("UCP runs %s; DTR %s was released with UCP %s.", v, row.dtr, row.ucp),
			Todo:    upgradeOrder,
		})
	}
}

func checkEngineVersions(p *checks) {
	row, known := p.compatibleRelease()
	var before, after, outside []string // nodes, on either side of 18.09 and not of the release
	for _, n := range p.obs.Nodes {
		if n.EngineVersion == "" { // not known
			continue
		}
		label := n.Hostname + " (" + n.EngineVersion + ")"
		if minor(n.EngineVersion) < "18.09" {
			before = append(before, label)
		} else {
			after = append(after, label)
		}
		if known && !slices.Contains(row.engines, minor(n.EngineVersion)) && slices.Contains(p.obs.ReplicaNodes(), n.Hostname) {
			outside = append(outside, label)
		}
	}
	if len(before) > 0 && len(after) > 0 {
		p.find(preflight.Finding{
			Check:   preflight.EngineVersion,
			Summary: "The nodes are on both sides of Engine 18.09",
			Seen:    fmt.Sprintf("Before 18.09: %s\n18.09 or later: %s", strings.Join(before, ", "), strings.Join(after, ", ")),
			Todo: "From 18.09 on every node takes an address of each swarm network. " +
				"Upgrade the remaining engines first, managers before workers, and schedule nothing new meanwhile.",
		})
	}
	if len(outside) > 0 {
		p.find(preflight.Finding{
			Check:   preflight.EngineVersion,
			Summary: "Nodes do not run the Engine that DTR was released with",
			Seen:    fmt.Sprintf("%s; DTR %s was released with Engine %s.", strings.Join(outside, ", "), row.dtr, strings.Join(row.engines, " or ")),
			Todo:    upgradeOrder,
		})
	}
}

// minor is the first two numbers of a version as it is written: Engine 18.09 is
// no semantic version.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
