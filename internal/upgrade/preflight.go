package upgrade

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// staleAfter is how old a replica's health report may be. DTR's own limit is not
// published; its replicas report every few seconds.
const staleAfter = 2 * time.Minute

// maxReplicas is the largest cluster that the vendor describes.
const maxReplicas = 7

// Preflight judges an observation: what is left to do, and everything that
// speaks against it at once. When nothing is due there are no findings, but for
// a replica that UCP does not show: what it runs is not known.
func Preflight(obs *Observation, o Options) (Plan, Findings) {
	p := &preflight{obs: obs, o: o}
	p.plan()
	p.replicasShown()
	if len(p.findings) == 0 && !p.Due() {
		return p.Plan, nil
	}
	for _, check := range []func(){
		p.foreignUpgrade, p.pendingMigration, p.replicaHealth, p.existingReplica, p.replicaCount, p.garbageCollection,
		p.memory, p.images, p.archives, p.contentTrust, p.ucpVersion, p.engineVersions, p.backup, p.advisories, p.window,
	} {
		check()
	}
	return p.Plan, p.findings
}

// due says whether anything is to be done, whatever speaks against it.
func (obs *Observation) due(o Options) bool {
	if o.Target == nil {
		return false // a replica joins or leaves
	}
	p := &preflight{obs: obs, o: o}
	p.plan()
	return p.Due()
}

type preflight struct {
	Plan
	obs      *Observation
	o        Options
	findings Findings
}

// find reports what a check found. A check that may be skipped, and is, warns.
func (p *preflight) find(check Check, severity Severity, attribute, summary, seen, todo string) {
	if severity == Error && slices.Contains(SkippableChecks(), check) {
		if p.o.SkipChecks[check] || p.adopts() {
			severity = Warning
		} else {
			todo += fmt.Sprintf(" To go on all the same, add %q to skip_checks.", check)
		}
	}
	p.findings = append(p.findings, Finding{
		Check: check, Severity: severity, Attribute: attribute, Summary: summary, Detail: seen + "\n\n" + todo,
	})
}

// adopts says whether the bootstrapper of the next hop is at work. No check that
// may be skipped must then keep the run from seeing it through.
func (p *preflight) adopts() bool {
	ours, found := p.obs.bootstrapper()
	return found && running(ours) && p.Due() && isForHop(ours.Labels, p.next())
}

// finishes says whether the next hop is one that is under way already.
func (p *preflight) finishes() bool {
	_, found := p.obs.bootstrapper()
	return p.Due() && (found || p.Resume != nil || len(p.obs.Versions()) > 1)
}

func (p *preflight) plan() {
	stops := p.o.stops()
	hops, err := transition.PlanMixed(p.obs.Versions(), stops)
	var refusal *transition.Refusal
	var mixed *transition.MixedError
	switch {
	case errors.As(err, &refusal):
		p.findings = append(p.findings, Finding{
			Check: CheckTransition, Severity: Error, Attribute: refusal.Attribute(),
			Summary: refusal.Summary(), Detail: refusal.Detail(),
		})
	case errors.As(err, &mixed):
		p.findings = append(p.findings, Finding{
			Check: CheckMixedVersions, Severity: Error, Attribute: "target_version",
			Summary: mixed.Summary(), Detail: mixed.Detail(),
		})
	case err != nil:
		p.find(CheckTransition, Error, "target_version", "No way to the target version", sentence(err), "Check target_version and via.")
	default:
		p.Hops, p.Resume = hops, p.obs.resume(p.o)
	}
	for _, r := range p.obs.Replicas {
		for _, part := range bootstrap.Parts {
			if c, ok := r.Containers[part.Name]; ok && c.Version == nil {
				p.find(CheckMixedVersions, Error, "", fmt.Sprintf("The version of container %s cannot be told", c.Name),
					fmt.Sprintf("Neither the image tag nor the labels of %s on node %s name a version.", c.Name, r.Node),
					"Run that container from an image with a version tag, then plan again.")
			}
		}
	}
}

// attributeOf is the attribute that names the version.
func (p *preflight) attributeOf(v *semver.Version) string {
	if slices.ContainsFunc(p.o.Via, v.Equal) {
		return "via"
	}
	return "target_version"
}

func (p *preflight) foreignUpgrade() {
	ours, hasOurs := p.obs.bootstrapper()
	if hasOurs && running(ours) && p.Due() {
		if !isForHop(ours.Labels, p.next()) {
			p.find(CheckForeignUpgrade, Error, "target_version", "An upgrade to another version is running",
				fmt.Sprintf("Container: %s\nImage: %s\nIt was started for %s -> %s.", ours.Name, ours.Image, ours.Labels[labelFrom], ours.Labels[labelTo]),
				fmt.Sprintf("Finish it first: set target_version to %q, or name that version in via, and apply.", ours.Labels[labelTo]))
		}
	}
	scaling, hasScaling := p.obs.scaling()
	if hasScaling && running(scaling) {
		p.find(CheckForeignUpgrade, Error, "", "The cluster's replicas are being changed",
			fmt.Sprintf("Container: %s\nImage: %s\nIt was started by this provider: %s.", scaling.Name, scaling.Image, purpose(scaling.Labels)),
			"Wait until that is done, then plan again. Where both are in one configuration, name the resource that comes first in depends_on of the other.")
	}
	backup := p.obs.backupContainer()
	for _, c := range p.obs.Bootstrappers {
		// A backup is no upgrade: the run waits for its end. The second phase is
		// ours as long as our own container is there.
		if !running(c) || isOurs(c, p.obs.Host) || isBackup(c, p.obs.Host) ||
			(hasOurs || hasScaling || running(backup)) && baseName(c.Name) == phase2Name {
			continue
		}
		p.find(CheckForeignUpgrade, Error, "", "Somebody else runs the DTR bootstrapper",
			fmt.Sprintf("Container: %s\nImage: %s\nStatus: %s\nIt was not started by this provider for this cluster.", c.Name, c.Image, c.Status),
			"Wait until it has ended, then plan again.")
	}
}

func (p *preflight) pendingMigration() {
	current := p.obs.CurrentVersion()
	pending := p.obs.pendingMigration(current)
	if pending == nil {
		if p.Resume == nil && len(p.Hops) > 0 && p.obs.owesMigration(p.Hops[0].From) {
			p.find(CheckPendingMigration, Warning, "", "No metadata store migration is known of",
				fmt.Sprintf("The cluster runs %s, online garbage collection is off, and DTR lists no job %s.", current, metadataStoreMigration),
				fmt.Sprintf("If this cluster ever ran 2.5, apply target_version %q first: that sees the migration through.", current))
		}
		return
	}
	if p.Resume != nil && slices.Contains(p.Resume.MigrationJobs, pending.action) {
		return // this very run sees it through
	}
	if _, ours := p.obs.bootstrapper(); ours && len(p.obs.Versions()) > 1 {
		return // DTR may start the job of the hop that is being finished at any moment
	}
	seen := fmt.Sprintf("Job: %s %s\nStatus: %s\nThe cluster runs %s.", pending.action, pending.job.ID, pending.job.Status, current)
	switch {
	case pending.err != nil:
		p.find(CheckPendingMigration, Error, "", "A migration job has an unknown status", seen+"\n"+sentence(pending.err),
			"Look at the job under System > Job Logs in DTR's web interface. Plan again once it is done.")
	case pending.phase == migrationGaveUp && pending.action == metadataStoreMigration:
		p.find(CheckPendingMigration, Error, "target_version", "An earlier migration has failed", seen,
			fmt.Sprintf("See it through first: set target_version to %q and apply, which starts the job again. Its log is under System > Job Logs in DTR's web interface.", current))
	case pending.phase == migrationGaveUp:
		p.find(CheckPendingMigration, Error, "", "An earlier migration has failed", seen,
			"Start the job again with a POST to /api/v0/jobs, wait until it is done, then plan again. Its log is under System > Job Logs in DTR's web interface.")
	default:
		p.find(CheckPendingMigration, Error, "", "An earlier migration is not finished", seen, "Wait until it is done, then plan again.")
	}
}

// replicasShown finds replicas of which UCP shows nothing: their node is down, or
// their containers are gone. Where nothing else is due and the cluster was known
// to be at the target, that is none of an upgrade's business but to mention it.
func (p *preflight) replicasShown() {
	severity := Error
	if !p.Due() && p.o.Applied != nil && p.o.Applied.Equal(p.o.Target) {
		severity = Warning
	}
	for _, r := range p.obs.Replicas {
		if len(r.Containers) == 0 {
			p.find(CheckReplicaHealth, severity, "", fmt.Sprintf("Replica %s is not to be seen on UCP", r.ID),
				fmt.Sprintf("DTR lists replica %s on node %s, and UCP shows no container of it. Which version it runs is not known.", r.ID, r.Node),
				"Bring its node back, or remove the replica from the cluster.")
		}
	}
}

// replicaHealth finds replicas that are not well. In a rollout that was
// interrupted that only warns: a replica that was left half done is healthy again
// only after the bootstrapper has run once more.
func (p *preflight) replicaHealth() {
	severity := Error
	if p.finishes() {
		severity = Warning
	}
	for _, r := range p.obs.Replicas {
		if len(r.Containers) == 0 {
			continue // replicasShown has said it
		}
		if summary, seen := p.obs.ailment(r); summary != "" {
			p.find(CheckReplicaHealth, severity, "", summary, seen, "Bring the replica back to health, or remove it from the cluster.")
		}
	}
}

// clockOf is DTR's own time of a status; where it does not tell it, that of the
// latest report of any replica.
func clockOf(status dtr.ClusterStatus) time.Time {
	now := status.Date
	if now.IsZero() {
		for _, t := range status.Timestamp {
			if now.Before(t) {
				now = t
			}
		}
	}
	return now
}

// existingReplica is part of the health check that cannot be skipped: there is
// nothing that the bootstrapper could connect to.
func (p *preflight) existingReplica() {
	id := p.o.ExistingReplicaID
	if _, ok := p.obs.existingReplica(id); ok || id == "" {
		return
	}
	var ids []string
	for _, r := range p.obs.Replicas {
		ids = append(ids, r.ID)
	}
	p.findings = append(p.findings, Finding{
		Check: CheckReplicaHealth, Severity: Error, Attribute: "existing_replica_id",
		Summary: "The cluster has no replica " + id,
		Detail:  fmt.Sprintf("Replicas: %s\n\nName one of them, or leave existing_replica_id out.", strings.Join(ids, ", ")),
	})
}

func (p *preflight) replicaCount() {
	switch n := len(p.obs.Replicas); {
	case n > maxReplicas:
		p.find(CheckReplicaCount, Warning, "", "The cluster has more replicas than the vendor supports",
			fmt.Sprintf("There are %d replicas; a cluster has 1, 3, 5 or 7.", n), "Remove replicas after the upgrade.")
	case n%2 == 0:
		p.find(CheckReplicaCount, Warning, "", "The cluster has an even number of replicas",
			fmt.Sprintf("There are %d replicas, which survive no more failures than %d do.", n, n-1), "Join or remove a replica after the upgrade.")
	}
}

func (p *preflight) garbageCollection() {
	if holder := p.obs.Status.GCLockHolder; holder != "" {
		p.find(CheckGarbageCollection, Error, "", "A garbage collection is running",
			"Lock holder: "+holder, "Wait until it has ended, then plan again.")
	}
}

func (p *preflight) contentTrust() {
	switch {
	case p.obs.ContentTrustErr != nil:
		p.find(CheckContentTrust, Warning, "", "UCP's content trust setting could not be read", sentence(p.obs.ContentTrustErr),
			"Make sure that UCP does not require signed images during the upgrade.")
	case p.obs.ContentTrust:
		p.find(CheckContentTrust, Error, "", "UCP requires signed images",
			"trust_configuration.require_content_trust is true, and UCP refuses DTR's images under it.",
			"Turn content trust off for the time of the upgrade.")
	}
}

func (p *preflight) advisories() {
	for _, hop := range p.Hops {
		for _, a := range transition.Advisories(hop.From, hop.To) {
			p.find(CheckReleaseAdvisory, Warning, p.attributeOf(hop.To), a.Summary, fmt.Sprintf("This plan goes from %s to %s.", hop.From, hop.To), a.Detail)
		}
	}
}

// existingReplica is the replica that the bootstrapper connects to: the one that
// is asked for, or the first healthy one by id. Where none is healthy, and
// skip_checks says to go on, it is the first that is there.
func (obs *Observation) existingReplica(id string) (Replica, bool) {
	if id != "" {
		return obs.replica(id)
	}
	visible := slices.DeleteFunc(slices.Clone(obs.Replicas), func(r Replica) bool { return len(r.Containers) == 0 })
	i := slices.IndexFunc(visible, func(r Replica) bool { return obs.Status.Health[r.ID] == dtr.HealthOK })
	if len(visible) == 0 {
		return Replica{}, false
	}
	return visible[max(i, 0)], true
}

// sentence makes an error's text one that can stand in a detail.
func sentence(err error) string { return capital(strings.TrimSuffix(err.Error(), ".")) + "." }

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
