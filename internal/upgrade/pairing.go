package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
)

// pairing is what was released together: the only public word on which UCP and
// Engine a DTR goes with (release notes of Docker Enterprise 2.0, 2.1 and 3.0).
type pairing struct {
	dtr, ucp string
	engines  []string
}

var pairings = []pairing{
	{"2.5", "3.0", []string{"17.06", "18.03"}},
	{"2.6", "3.1", []string{"18.09"}},
	{"2.7", "3.2", []string{"19.03"}},
}

// pairing finds the row of the last version that the plan reaches.
func (p *preflight) pairing() (pairing, bool) {
	i := slices.IndexFunc(pairings, func(row pairing) bool { return row.dtr == minor(p.o.Target.String()) })
	if i < 0 {
		return pairing{}, false
	}
	return pairings[i], true
}

// minor is the first two numbers of a version as it is written: Engine 18.09 is
// no semantic version.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

const pairingAdvice = "The order is Engine, then UCP, then DTR."

func (p *preflight) ucpVersion() {
	row, known := p.pairing()
	if v := p.obs.Version.UCP; known && v != "" && minor(v) != row.ucp {
		p.find(CheckUCPVersion, Warning, "", "UCP is not the version that DTR was released with",
			fmt.Sprintf("UCP runs %s; DTR %s was released with UCP %s.", v, row.dtr, row.ucp), pairingAdvice)
	}
}

func (p *preflight) engineVersions() {
	row, known := p.pairing()
	var before, after, outside []string // nodes, on either side of 18.09 and off the pairing
	for _, n := range p.obs.Nodes {
		label := n.Hostname + " (" + n.EngineVersion + ")"
		if minor(n.EngineVersion) < "18.09" {
			before = append(before, label)
		} else {
			after = append(after, label)
		}
		if known && !slices.Contains(row.engines, minor(n.EngineVersion)) && slices.Contains(p.obs.replicaNodes(), n.Hostname) {
			outside = append(outside, label)
		}
	}
	if len(before) > 0 && len(after) > 0 {
		p.find(CheckEngineVersion, Warning, "", "The nodes are on both sides of Engine 18.09",
			fmt.Sprintf("Before 18.09: %s\n18.09 or later: %s", strings.Join(before, ", "), strings.Join(after, ", ")),
			"From 18.09 on every node takes an address of each swarm network. Finish the engines first, managers before workers, and schedule nothing new meanwhile.")
	}
	if len(outside) > 0 {
		p.find(CheckEngineVersion, Warning, "", "Nodes do not run the Engine that DTR was released with",
			fmt.Sprintf("%s; DTR %s was released with Engine %s.", strings.Join(outside, ", "), row.dtr, strings.Join(row.engines, " or ")), pairingAdvice)
	}
}

// images checks that every image that the plan needs is there or can be had.
func (p *preflight) images() {
	nodes := p.obs.replicaNodes()
	for _, hop := range p.Hops {
		if p.o.Archives[hop.To.String()] != "" {
			continue // archives has its say
		}
		var absent []string
		var cause error
		if image := bootstrap.Image(p.o.Repository, hop.To); !p.available(image) {
			absent, cause = append(absent, image), p.obs.Images[image].Remote
		}
		for _, image := range bootstrap.ComponentImages(p.o.Repository, hop.To) {
			state, asked := p.obs.Images[image]
			if !asked || p.o.Pull != PullNever && state.Remote == nil {
				continue
			}
			if missing := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return state.Nodes[n] }); len(missing) > 0 {
				absent = append(absent, fmt.Sprintf("%s on %s", image, strings.Join(missing, ", ")))
				if cause == nil {
					cause = state.Remote
				}
			}
		}
		if len(absent) == 0 {
			continue
		}
		seen := "Missing: " + strings.Join(absent, "\nMissing: ")
		todo := "Check image.repository and the version, and that the nodes reach the registry; or load the images on every replica's node."
		switch {
		case p.o.Pull == PullNever:
			seen += "\nPulling is turned off."
			todo = `Load the images on every replica's node, or set image.pull to "missing".`
		case cause != nil:
			seen += "\n" + cause.Error()
		}
		p.find(CheckImage, Error, "image", fmt.Sprintf("Images of DTR %s cannot be had", hop.To), seen, todo)
	}
}

// available says whether the bootstrapper's image is there or can be pulled.
// An image that was not asked for is looked at when its hop begins.
func (p *preflight) available(image string) bool {
	state, asked := p.obs.Images[image]
	if !asked {
		return true
	}
	switch p.o.Pull {
	case PullNever:
		return state.Present
	case PullAlways:
		return state.Remote == nil
	}
	return state.Present || state.Remote == nil
}
