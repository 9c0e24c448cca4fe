package upgrade

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// Preflight returns what is left to do by an observation, and all findings against
// it at once. When nothing is due the only findings are of containers that UCP does
// not show or whose version is not known.
func Preflight(obs *Observation, o Options) (Plan, preflight.Findings) {
	return runChecks(obs, o, stage{})
}

func runChecks(obs *Observation, o Options, s stage) (Plan, preflight.Findings) {
	p := &checks{obs: obs, o: o, stage: s}
	p.transition()
	p.containerVersions()
	p.replicasShown()
	if len(p.findings) == 0 && !p.Due() {
		return p.Plan, nil
	}
	for _, check := range []func(){
		p.foreignUpgrade, p.pendingMigration, p.replicaHealth, p.existingReplica, p.replicaCount, p.garbageCollection,
		p.memory, p.images, p.archives, p.contentTrust, p.ucpVersion, p.engineVersions, backupChecks{p}.run, p.advisories, p.window,
	} {
		check()
	}
	return p.Plan, p.findings
}

// transition plans the hops.
func (p *checks) transition() {
	hops, err := transition.PlanMixed(p.obs.Versions(), p.o.stops())
	if err == nil {
		p.Hops, p.Resume = hops, p.obs.resume(p.o)
		return
	}
	refused := preflight.Finding{Check: preflight.Transition, Severity: preflight.Error, Err: err}
	if mixed := (*transition.MixedError)(nil); errors.As(err, &mixed) {
		refused.Check = preflight.MixedVersions
	}
	p.find(refused)
}

// containerVersions finds containers whose version is not known.
func (p *checks) containerVersions() {
	for _, r := range p.obs.Replicas {
		for _, part := range bootstrap.Parts {
			if c, ok := r.Containers[part.Name]; ok && c.Version == nil {
				p.find(preflight.Finding{
					Check: preflight.MixedVersions, Severity: preflight.Error,
					Summary: fmt.Sprintf("The version of container %s is not known", c.Name),
					Seen:    fmt.Sprintf("Neither the image tag nor the labels of %s on node %s name a version.", c.Name, r.Node),
					Todo:    "Run that container from an image with a version tag, then plan again.",
				})
			}
		}
	}
}

func (p *checks) advisories() {
	for _, hop := range p.Hops {
		for _, a := range transition.Advisories(hop.From, hop.To) {
			p.find(preflight.Finding{
				Check: preflight.ReleaseAdvisory, Attribute: p.attributeOf(hop.To),
				Summary: a.Summary, Seen: fmt.Sprintf("This plan goes from %s to %s.", hop.From, hop.To), Todo: a.Detail,
			})
		}
	}
}

// existingReplica is part of the health check that cannot be skipped: there is
// nothing that the bootstrapper could connect to.
func (p *checks) existingReplica() {
	id := p.o.ExistingReplicaID
	if _, ok := p.obs.ExistingReplica(id); ok || id == "" {
		return
	}
	p.findings = append(p.findings, preflight.Finding{
		Check: preflight.ReplicaHealth, Severity: preflight.Error, Attribute: "existing_replica_id",
		Summary: "The cluster has no replica " + id,
		Seen:    "Replicas: " + strings.Join(p.obs.IDs(), ", "),
		Todo:    "Name one of them, or none.",
	})
}
