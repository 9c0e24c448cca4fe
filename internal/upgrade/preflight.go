package upgrade

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// Preflight returns what is left to do by an observation, and all findings against
// it at once. When nothing is due and the cluster was verified, the only findings are
// of containers that UCP does not show or whose version is not known.
func Preflight(obs *Observation, o Options) (Plan, preflight.Findings) {
	return runChecks(obs, o, stage{})
}

func runChecks(obs *Observation, o Options, s stage) (Plan, preflight.Findings) {
	p := &checks{obs: obs, o: o, stage: s}
	checkTransition(p)
	checkOlderParts(p)
	checkContainerVersions(p)
	checkReplicasShown(p)
	refused := len(p.findings) > 0
	if p.Due() || p.Verify || refused {
		checkLeftOver(p)
		checkReplicaHealth(p)
		checkAddress(p)
	}
	if !p.Due() && !refused {
		return p.Plan, p.findings
	}
	for _, check := range []func(*checks){
		checkForeignUpgrade, checkPendingMigration, checkExistingReplica, checkReplicaCount, checkGarbageCollection,
		checkMemory, checkImages, checkArchives, checkContentTrust, checkUCPVersion, checkEngineVersions, checkBackup,
		checkAdvisories, checkWindow, checkUnfinished, checkNodes,
	} {
		check(p)
	}
	return p.Plan, p.findings
}

// checkTransition plans the hops.
func checkTransition(p *checks) {
	hops, err := transition.PlanMixed(p.obs.Versions(), p.o.stops())
	if err == nil {
		p.Hops, p.Resume = hops, p.obs.resume(p.o)
		p.Verify = !p.Due() && !p.o.verified()
		return
	}
	refused := preflight.Finding{Check: preflight.Transition, Severity: preflight.Error, Err: err}
	if mixed := (*transition.MixedError)(nil); errors.As(err, &mixed) {
		refused.Check = preflight.MixedVersions
	}
	p.find(refused)
}

// checkOlderParts finds replicas of versions whose parts are others: such a cluster can
// never be seen whole.
func checkOlderParts(p *checks) {
	if !p.Due() && !p.Verify {
		return
	}
	var old []string
	for _, r := range p.obs.Replicas {
		old = append(old, r.Old...)
	}
	if len(old) == 0 {
		return
	}
	p.require(preflight.Finding{
		Check:   preflight.Transition,
		Summary: fmt.Sprintf("DTR before %s is not supported", minor(bootstrap.LowestVersion.String())),
		Seen: fmt.Sprintf("The cluster runs %s. Its replicas have containers that only earlier versions have: %s.",
			p.obs.CurrentVersion(), strings.Join(old, ", ")),
		Todo: fmt.Sprintf("The lowest version that can be upgraded from here is %s. Go there with the vendor's own command first.", bootstrap.LowestVersion),
	})
}

// checkContainerVersions finds containers whose version is not known.
func checkContainerVersions(p *checks) {
	var names, seen []string
	for _, r := range p.obs.Replicas {
		for _, part := range bootstrap.Parts {
			if c, ok := r.Containers[part.Name]; ok && c.Version == nil {
				names = append(names, c.Name)
				seen = append(seen, fmt.Sprintf("%s on node %s: %s", c.Name, r.Node, imageAndTag(c.Image)))
			}
		}
	}
	if len(names) == 0 {
		return
	}
	summary := fmt.Sprintf("The version of container %s is not known", names[0])
	if len(names) > 1 {
		summary = fmt.Sprintf("The versions of %d containers are not known", len(names))
	}
	p.find(preflight.Finding{
		Check: preflight.MixedVersions, Severity: preflight.Error,
		Summary: summary,
		Seen:    "Neither the image's tag nor the container's labels name a version:\n" + strings.Join(seen, "\n"),
		Todo:    "Run each from an image whose tag is DTR's version, such as 2.6.15 or 2.6.15-corp1, then plan again.",
	})
}

// imageAndTag words an image and its tag.
func imageAndTag(image string) string {
	if _, tag := cluster.ParseImage(image); tag != "" {
		return fmt.Sprintf("image %s, tag %s", image, tag)
	}
	return fmt.Sprintf("image %s, no tag", image)
}

func checkAdvisories(p *checks) {
	for _, hop := range p.Hops {
		for _, a := range transition.Advisories(hop.From, hop.To) {
			p.find(preflight.Finding{
				Check: preflight.ReleaseAdvisory, Attribute: p.attributeOf(hop.To),
				Summary: a.Summary, Seen: fmt.Sprintf("This plan goes from %s to %s.", hop.From, hop.To), Todo: a.Detail,
			})
		}
	}
}

// checkExistingReplica is part of the health check that cannot be skipped: there is
// nothing that the bootstrapper could connect to.
func checkExistingReplica(p *checks) {
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
