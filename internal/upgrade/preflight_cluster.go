package upgrade

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

const (
	// maxReplicas is the largest cluster that the vendor describes.
	maxReplicas = 7
	// minMemory is the vendor's requirement for the node that runs the upgrade, 16
	// GB. It is decimal: a machine with 16 GiB reports a little less than that.
	minMemory = 16_000_000_000
)

// checkForeignUpgrade finds what else is at work on the cluster. A backup is no upgrade:
// the run waits for its end.
func checkForeignUpgrade(p *checks) {
	busy := func(c ucp.Container, f preflight.Finding) {
		f.Check, f.Severity = preflight.ForeignUpgrade, preflight.Error
		f.Seen = fmt.Sprintf("Container: %s\nImage: %s\n%s", c.Name, c.Image, f.Seen)
		p.find(f)
	}
	ours, hasOurs := p.obs.UpgradeContainer()
	if hasOurs && ours.Running() && !p.leadsTo(ours) {
		from, to := ours.Labels[cluster.LabelFrom], ours.Labels[cluster.LabelTo]
		busy(ours, preflight.Finding{
			Attribute: attributeTarget,
			Summary:   "An upgrade to another version is running",
			Seen:      fmt.Sprintf("It was started for %s -> %s.", from, to),
			Todo:      "Finish it first.",
			Advice:    []preflight.Advice{{Kind: preflight.UpgradeTo, Value: to}},
		})
	}
	if p.Resume != nil && !p.obs.couldBeMade(*p.Resume) {
		busy(ours, preflight.Finding{
			Summary: "A container claims an upgrade that it cannot have made",
			Seen: fmt.Sprintf("Its labels say that it was made for %s. But it is newer than every container of DTR, or lacks what this provider notes before a data migration.",
				hopName(*p.Resume)),
			Todo: "Find out who made it, and remove it. Then plan again.",
		})
	}
	change, changing := p.obs.MembershipChange()
	if changing && change.Running() {
		busy(change, preflight.Finding{
			Summary: "A replica is joining or leaving the cluster",
			Seen:    fmt.Sprintf("It was started by this provider: %s.", cluster.Purpose(change.Labels)),
			Todo:    "Wait until that is done, then plan again.",
			Advice:  []preflight.Advice{{Kind: preflight.OrderResources}},
		})
	}
	for _, c := range p.obs.Lost() {
		busy(c, preflight.Finding{
			Summary: "A DTR bootstrapper is on a node that is down",
			Seen:    fmt.Sprintf("Node %s is down. The bootstrapper ran there when UCP last reached it, and may still be running.", c.Node),
			Todo:    fmt.Sprintf("Bring node %s back. If its machine is gone for good, remove the node from UCP. Then plan again.", c.Node),
		})
	}
	backup, _ := p.obs.BackupContainer()
	for _, c := range p.obs.Foreign(hasOurs || changing || backup.Running()) {
		busy(c, preflight.Finding{
			Summary: "Another DTR bootstrapper is running",
			Seen:    fmt.Sprintf("Status: %s\nIt was not started by this provider for this cluster.", c.Status),
			Todo:    "Wait until it has ended, then plan again.",
		})
	}
}

// leadsTo reports whether what an upgrade's container is at work on is asked for: the hop
// to work on or, where the way is refused, one of its stops.
func (p *checks) leadsTo(c ucp.Container) bool {
	if p.Due() {
		return isForHop(c.Labels, p.next())
	}
	to := cluster.LabelledVersion(c.Labels, cluster.LabelTo)
	return to != nil && slices.ContainsFunc(p.o.stops(), to.Equal)
}

// checkPendingMigration finds a migration that has to be over first. One that DTR may still
// bring to its end is no obstacle: the apply waits for it.
func checkPendingMigration(p *checks) {
	pending := p.obs.PendingMigration()
	if pending == nil {
		p.owedMigration()
		return
	}
	if !p.Due() || p.obs.OwnMigration(p.next(), pending.Action) || p.adopts() {
		return // this very run waits for it, or for the bootstrapper
	}
	current := p.obs.CurrentVersion()
	const log = "Its log is under System > Job Logs in DTR's web interface."
	f := preflight.Finding{
		Check: preflight.PendingMigration, Severity: preflight.Error,
		Seen: fmt.Sprintf("Job: %s %s\nStatus: %s\nThe cluster runs %s.", pending.Action, pending.Job.ID, pending.Job.Status, current),
	}
	switch {
	case pending.Err != nil:
		f.Summary = "A migration job has an unknown status"
		f.Seen += "\n" + preflight.Sentence(pending.Err)
		f.Todo = "Look at the job under System > Job Logs in DTR's web interface. Plan again once it is done."
	case pending.Phase == job.GaveUp && pending.Action == migration.MetadataStore:
		f.Summary, f.Attribute = "An earlier migration has failed", attributeTarget
		f.Todo = "Finish it first. " + log
		f.Advice = []preflight.Advice{{Kind: preflight.RepeatMigration, Value: current.String()}}
	case pending.Phase == job.GaveUp:
		f.Summary = "An earlier migration has failed"
		f.Todo = "Start the job again with a POST to /api/v0/jobs, wait until it is done, then plan again. " + log
	case p.stage.applying:
		return
	default:
		f.Summary, f.Severity = "The upgrade waits for a migration", preflight.Warning
		f.Todo = "DTR runs this job by itself. The apply waits until it is done, and only then starts the upgrade. " + log
	}
	p.find(f)
}

// owedMigration warns of a cluster on 2.6 that shows no sign of its migration.
func (p *checks) owedMigration() {
	leaves := func(h transition.Hop) bool {
		return minor(h.From.String()) == migration.MetadataStoreVersion && minor(h.To.String()) != migration.MetadataStoreVersion
	}
	if p.Resume != nil || !slices.ContainsFunc(p.Hops, leaves) || !p.obs.OwesMigration(p.obs.CurrentVersion()) {
		return
	}
	current := p.obs.CurrentVersion()
	p.find(preflight.Finding{
		Check:   preflight.PendingMigration,
		Summary: "No record of the metadata store migration",
		Seen:    fmt.Sprintf("The cluster runs %s, online garbage collection is off, and DTR lists no job %s.", current, migration.MetadataStore),
		Todo:    "If this cluster ever ran 2.5, have the migration done first.",
		Advice:  []preflight.Advice{{Kind: preflight.RepeatMigration, Value: current.String()}},
	})
}

// checkReplicasShown finds replicas of which UCP shows nothing: their containers are
// gone, or their node has left UCP. The verification could not succeed without them.
// Where nothing else is due and the cluster was known to be at the target, an upgrade
// only mentions it.
func checkReplicasShown(p *checks) {
	for _, r := range p.obs.Replicas {
		if len(r.Containers) > 0 {
			continue
		}
		f := preflight.Finding{
			Check:   preflight.ReplicaHealth,
			Summary: "UCP shows no container of replica " + r.ID,
			Seen:    fmt.Sprintf("DTR lists replica %s on node %s. Which version it runs is not known.", r.ID, r.Node),
			Todo:    "Bring its node back, and look for its containers there.",
		}
		p.orRemove(&f, r.ID)
		if p.o.verified() && !p.Due() {
			p.find(f)
		} else {
			p.require(f)
		}
	}
}

// orRemove adds to a finding how to go on without the replica. Replicas leave a
// cluster at one version only; in the middle of an upgrade the vendor's command alone
// removes one.
func (p *checks) orRemove(f *preflight.Finding, id string) {
	if _, atWork := p.replacer(); atWork {
		f.Todo += " It may be the replica that is being replaced: leave it in the cluster."
		return
	}
	versions := p.obs.Versions()
	if _, begun := p.obs.UpgradeContainer(); !begun && len(versions) == 1 && len(p.obs.Replicas) > 1 {
		f.Advice = append(f.Advice, preflight.Advice{Kind: preflight.RemoveReplica, Value: id})
		return
	}
	if len(p.obs.Replicas) > 1 && len(versions) > 0 {
		f.Todo += fmt.Sprintf(" If it is gone for good, remove it with the vendor's command: docker run -it --rm %s remove --force --replica-ids %s.",
			bootstrap.Image(p.o.Images.Repository, versions[0]), id)
	}
}

// checkReplicaHealth finds replicas that are not healthy, and containers that do not run.
// In a rollout that was interrupted that only warns: a replica that was left half done
// is healthy again only after the bootstrapper has run once more. Where the plan is refused
// meanwhile, to skip the check would not help either.
func checkReplicaHealth(p *checks) {
	severity := preflight.Error
	if p.finishes() || p.blockedByRollout() {
		severity = preflight.Warning
	}
	for _, r := range p.obs.Replicas {
		if len(r.Containers) == 0 {
			continue // replicasShown has reported it
		}
		if r.HostDown() {
			f := preflight.Finding{
				Check:   preflight.ReplicaHealth,
				Summary: fmt.Sprintf("Node %s of replica %s is down", r.Node, r.ID),
				Seen:    fmt.Sprintf("UCP does not reach node %s. What it shows of the replica's containers is what it knew last.", r.Node),
				Todo:    "Bring the node back.",
			}
			p.orRemove(&f, r.ID)
			p.require(f)
			continue
		}
		if problems := r.NotRunning(); len(problems) > 0 {
			f := preflight.Finding{
				Check: preflight.ReplicaHealth, Severity: severity,
				Summary: fmt.Sprintf("Containers of replica %s do not run", r.ID),
				Seen:    fmt.Sprintf("Node: %s\n%s", r.Node, strings.ReplaceAll(cluster.ProblemsText(problems), "; ", "\n")),
				Todo:    "Start them, and look at their logs.",
			}
			if _, atWork := p.replacer(); atWork {
				f.Todo = p.healthAdvice() // started by hand, they get in the bootstrapper's way
			}
			if p.Due() || severity == preflight.Warning {
				p.find(f) // the bootstrapper makes them anew
			} else {
				p.require(f)
			}
		}
		if summary, seen := p.obs.UnhealthyReason(r); summary != "" {
			p.find(preflight.Finding{
				Check: preflight.ReplicaHealth, Severity: severity, Summary: summary, Seen: seen,
				Todo: p.healthAdvice(),
			})
		}
	}
}

// acceptedHealth are the replicas that are not healthy and that are upgraded all the
// same, since the configuration says so.
func (obs *Observation) acceptedHealth(o Options) map[string]bool {
	accepted := map[string]bool{}
	for _, r := range obs.Replicas {
		if summary, _ := obs.UnhealthyReason(r); summary != "" && o.SkipChecks[preflight.ReplicaHealth] {
			accepted[r.ID] = true
		}
	}
	return accepted
}

// checkAddress asks of DTR's address what the verification will: where a load balancer or a
// proxy does not let the question pass, that is better known before.
func checkAddress(p *checks) {
	if p.obs.Ping == nil {
		return
	}
	f := preflight.Finding{
		Check:   preflight.Address,
		Summary: "DTR's address does not tell DTR's health",
		Seen:    preflight.Sentence(p.obs.Ping),
		Todo: "The upgrade is verified by DTR's /_ping at its address, or /health where the version has that. " +
			"Have the load balancer or proxy before DTR let it pass, without a login.",
	}
	if _, answered := errors.AsType[*cluster.UnhealthyError](p.obs.Ping); !answered {
		p.require(f)
		return
	}
	if len(p.obs.acceptedHealth(p.o)) > 0 || p.finishes() {
		return // any replica may have answered, and of one it is known
	}
	f.Summary, f.Todo = "DTR says at its address that it is not healthy", "Bring the replica that answered back to health."
	p.require(f)
}

// checkLeftOver finds containers of replicas that DTR does not list.
func checkLeftOver(p *checks) {
	change, changing := p.obs.MembershipChange()
	var seen []string
	for _, r := range p.obs.Unlisted {
		if changing && change.Labels[cluster.LabelReplica] == r.ID {
			continue // foreignUpgrade has it, if it is at work
		}
		var names []string
		for _, part := range slices.Sorted(maps.Keys(r.Containers)) {
			names = append(names, r.Containers[part].Name)
		}
		seen = append(seen, fmt.Sprintf("Replica %s on node %s: %s", r.ID, r.Node, strings.Join(append(names, r.Old...), ", ")))
	}
	if len(seen) == 0 {
		return
	}
	p.find(preflight.Finding{
		Check:   preflight.LeftOver,
		Summary: "There are containers of replicas that DTR does not list",
		Seen:    strings.Join(seen, "\n"),
		Todo:    "They are left as they are, and do not count. If they are left of a replica that was removed, remove them; they may also be another DTR's.",
	})
}

// healthAdvice is what to do about a replica that is not healthy. While a rollout is
// under way that may be the replica that is being replaced.
func (p *checks) healthAdvice() string {
	const leave = "It may be the replica that is being replaced: leave it in the cluster. "
	if p.finishes() {
		return leave + "The apply goes on with the rollout, and ends well only once every replica is healthy."
	}
	if c, atWork := p.replacer(); atWork {
		return leave + fmt.Sprintf("Container %s is at work.", cluster.BaseName(c.Name))
	}
	if len(p.obs.Versions()) > 1 {
		return "Bring the replica back to health."
	}
	return "Bring the replica back to health, or remove it from the cluster."
}

// checkNodes finds nodes of replicas on which UCP starts no containers.
func checkNodes(p *checks) {
	for _, r := range p.obs.Replicas {
		i := slices.IndexFunc(p.obs.Nodes, func(n ucp.Node) bool { return strings.EqualFold(n.Hostname, r.Node) })
		if i < 0 || r.HostDown() { // replicaHealth has reported that
			continue
		}
		switch n := p.obs.Nodes[i]; {
		case n.State != "" && n.State != "ready":
			p.find(preflight.Finding{
				Check: preflight.Node, Summary: fmt.Sprintf("Node %s of replica %s is not ready", r.Node, r.ID),
				Seen: "UCP reports its state as " + n.State + ".", Todo: "Bring the node back before the upgrade: the replica's containers are replaced there.",
			})
		case n.Availability != "" && n.Availability != "active":
			p.find(preflight.Finding{
				Check: preflight.Node, Summary: fmt.Sprintf("Node %s of replica %s takes no new containers", r.Node, r.ID),
				Seen: "Its availability is " + n.Availability + ".", Todo: "Set it to active in UCP before the upgrade: the replica's containers are replaced there.",
			})
		}
	}
}

func checkReplicaCount(p *checks) {
	f := preflight.Finding{Check: preflight.ReplicaCount}
	switch n := len(p.obs.Replicas); {
	case n > maxReplicas:
		f.Summary = "The cluster has more replicas than the vendor supports"
		f.Seen = fmt.Sprintf("There are %d replicas; a cluster has 1, 3, 5 or 7.", n)
		f.Todo = "Remove replicas after the upgrade."
	case n%2 == 0:
		f.Summary = "The cluster has an even number of replicas"
		f.Seen = fmt.Sprintf("There are %d replicas, which survive no more failures than %d do.", n, n-1)
		f.Todo = "Join or remove a replica after the upgrade."
	default:
		return
	}
	p.find(f)
}

func checkGarbageCollection(p *checks) {
	if holder := p.obs.Status.GCLockHolder; holder != "" {
		p.find(preflight.Finding{
			Check: preflight.GarbageCollection, Severity: preflight.Error,
			Summary: "A garbage collection is running", Seen: "Lock holder: " + holder, Todo: "Wait until it has ended, then plan again.",
		})
	}
}

func checkContentTrust(p *checks) {
	switch {
	case p.obs.ContentTrustErr != nil:
		p.find(preflight.Finding{
			Check:   preflight.ContentTrust,
			Summary: "UCP's content trust setting could not be read",
			Seen:    preflight.Sentence(p.obs.ContentTrustErr),
			Todo:    "Make sure that UCP does not require signed images during the upgrade.",
		})
	case p.obs.ContentTrust:
		p.find(preflight.Finding{
			Check: preflight.ContentTrust, Severity: preflight.Error,
			Summary: "UCP requires signed images",
			Seen:    "trust_configuration.require_content_trust is true, and UCP refuses DTR's images under it.",
			Todo:    "Turn content trust off during the upgrade.",
		})
	}
}

// checkMemory checks the total memory of the machine that runs the bootstrapper. How
// much of it is available no engine tells.
func checkMemory(p *checks) {
	memory, where := p.obs.RunnerMemory, "The Docker host that runs the bootstrapper"
	if memory == 0 {
		replica, ok := p.obs.ExistingReplica(p.o.ExistingReplicaID)
		if !ok {
			return // existingReplica and replicaHealth have said why
		}
		where = "Node " + replica.Node
		if i := slices.IndexFunc(p.obs.Nodes, func(n ucp.Node) bool { return n.Hostname == replica.Node }); i >= 0 {
			memory = p.obs.Nodes[i].MemoryBytes
		}
	}
	switch {
	case memory == 0:
		p.find(preflight.Finding{
			Check:   preflight.Memory,
			Summary: "The memory of the upgrade's node is not known",
			Seen:    fmt.Sprintf("UCP does not report how much memory it has: %s.", where),
			Todo:    "Make sure that 16 GB of memory are available there.",
		})
	case memory < minMemory:
		p.find(preflight.Finding{
			Check: preflight.Memory, Severity: preflight.Error,
			Summary: "Too little memory for the upgrade",
			Seen: fmt.Sprintf("%s has %.1f GB in all; the vendor asks for 16 GB of available memory on the node that runs the upgrade. "+
				"Only the total is checked: no Docker Engine reports how much of it is available.", where, float64(memory)/1e9),
			Todo:   "Run the upgrade from a larger node.",
			Advice: []preflight.Advice{{Kind: preflight.RunElsewhere}},
		})
	}
}
