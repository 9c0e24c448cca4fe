package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// What UCP says of a node that can take a replica.
const (
	nodeReady   = "ready"
	nodeActive  = "active"
	roleManager = "manager"
	osWindows   = "windows"
)

// replicaPreflight collects what speaks against a join or a removal.
type replicaPreflight struct {
	obs      *Observation
	findings Findings
}

func (p *replicaPreflight) find(check Check, severity Severity, attribute, summary, seen, todo string) {
	p.findings = append(p.findings, Finding{Check: check, Severity: severity, Attribute: attribute, Summary: summary, Detail: seen + "\n\n" + todo})
}

// PreflightJoin finds all that speaks against a join. While another join or
// removal of this provider is at work or being verified, the cluster is in motion
// and its turn is waited for: only the node is judged then.
func PreflightJoin(obs *Observation, o ReplicaOptions) Findings {
	p := &replicaPreflight{obs: obs}
	p.node(o.Node)
	if _, moves := obs.scaling(); moves {
		return p.findings
	}
	made := obs.joined(o.Node) // by an earlier join that was interrupted
	p.atRest()
	p.taken(o.Node, made)
	p.whole(made)
	p.healthy(made)
	if id := o.ExistingReplicaID; id != "" {
		if replica, ok := obs.replica(id); !ok || !replica.Listed {
			p.find(CheckReplicaHealth, Error, "existing_replica_id", "The cluster has no replica "+id,
				"Replicas: "+strings.Join(obs.ids(), ", "), "Name one of them, or leave existing_replica_id out.")
		}
	}
	switch n := len(obs.listed(made)) + 1; {
	case n > maxReplicas:
		p.find(CheckReplicaCount, Error, "", fmt.Sprintf("The cluster has %d replicas already", n-1),
			fmt.Sprintf("A cluster has at most %d.", maxReplicas), "Remove a replica first.")
	case n%2 == 0:
		p.even(n)
	}
	return p.findings
}

// PreflightRemove finds all that speaks against the removal of a replica. A
// replica that is gone is nothing to remove.
func PreflightRemove(obs *Observation, o ReplicaOptions) Findings {
	p, id := &replicaPreflight{obs: obs}, o.ReplicaID
	replica, found := obs.replica(id)
	other, moves := obs.scaling()
	if !found || moves && running(other) {
		return nil
	}
	others := obs.listed(id)
	if len(others) == 0 {
		p.find(CheckReplicaCount, Error, "", fmt.Sprintf("Replica %s is the last one", id),
			fmt.Sprintf("DTR at %s has no other replica, and its data would be lost with this one.", obs.Host),
			"Join another replica first; or, to leave this one as it is and only forget it, run terraform state rm on the resource.")
		return p.findings
	}
	if moves {
		return nil
	}
	p.atRest()
	p.whole(id)
	p.healthy(id)
	p.quorum(replica, others)
	if n := len(others); n%2 == 0 {
		p.even(n)
	}
	return p.findings
}

// scaling is the container of a join or a removal of this provider that is at
// work, or has ended and is still looked at.
func (obs *Observation) scaling() (ucp.Container, bool) {
	i := slices.IndexFunc(obs.Bootstrappers, func(c ucp.Container) bool {
		return isOurs(c, obs.Host) && !isUpgrade(c.Labels) && c.State != "created"
	})
	if i < 0 {
		return ucp.Container{}, false
	}
	return obs.Bootstrappers[i], true
}

// joined is the replica that an earlier join of this provider has made on the
// node, or has begun to make, "" when none is known.
func (obs *Observation) joined(node string) string {
	for _, c := range obs.Bootstrappers {
		if c.Labels[labelCluster] == obs.Host && isRecord(c.Labels) && c.Labels[labelNode] == node && c.State != "created" {
			return c.Labels[labelReplica]
		}
	}
	return ""
}

// anchor is the replica that the bootstrapper of a join or a removal connects to:
// the wanted one, or else the first healthy one by id, but never the one that is
// excepted. A wanted one that is gone by now is passed over.
func (obs *Observation) anchor(wanted, except string) (Replica, bool) {
	listed := obs.listed(except)
	i := slices.IndexFunc(listed, func(r Replica) bool { return r.ID == wanted })
	if i < 0 {
		i = slices.IndexFunc(listed, func(r Replica) bool {
			return obs.Status.Health[r.ID] == dtr.HealthOK && len(r.Containers) > 0
		})
	}
	if i < 0 {
		return Replica{}, false
	}
	return listed[i], true
}

// node judges the node itself.
func (p *replicaPreflight) node(name string) {
	i := slices.IndexFunc(p.obs.Nodes, func(n ucp.Node) bool { return n.Hostname == name })
	if i < 0 {
		var names []string
		for _, n := range p.obs.Nodes {
			names = append(names, n.Hostname)
		}
		slices.Sort(names)
		p.find(CheckNode, Error, "node", "UCP has no node "+name,
			"Nodes: "+strings.Join(names, ", "), "Set node to the host name of one of UCP's workers, as UCP lists it.")
		return
	}
	n := p.obs.Nodes[i]
	switch {
	case n.State != nodeReady:
		p.find(CheckNode, Error, "node", fmt.Sprintf("Node %s is not ready", name),
			"UCP says that it is "+n.State+".", "Bring the node back, or choose another one.")
	case n.Availability != nodeActive:
		p.find(CheckNode, Error, "node", fmt.Sprintf("Node %s takes no new containers", name),
			"Its availability is "+n.Availability+".", "Set it to active in UCP, or choose another node.")
	}
	if n.Role == roleManager {
		p.find(CheckNode, Error, "node", fmt.Sprintf("Node %s is a manager", name),
			"DTR runs on workers: on a manager UCP itself has the ports.", "Choose a worker.")
	}
	if strings.EqualFold(n.OS, osWindows) {
		p.find(CheckNode, Error, "node", fmt.Sprintf("Node %s runs Windows", name),
			"DTR's containers run on Linux alone.", "Choose a worker that runs Linux.")
	}
}

// taken finds a replica on the node other than the one that we have made.
func (p *replicaPreflight) taken(node, made string) {
	for _, r := range p.obs.Replicas {
		if r.Node != node || r.ID == made {
			continue
		}
		p.find(CheckNode, Error, "node", fmt.Sprintf("Node %s has a replica already", node),
			fmt.Sprintf("Replica %s runs there, and nothing tells that it was joined by this resource.", r.ID),
			fmt.Sprintf("To manage that replica, import it with the id %s. To join another one, choose another node.", r.ID))
	}
}

// atRest finds what else is at work on the cluster, or half done.
func (p *replicaPreflight) atRest() {
	upgrade, upgrades := p.obs.bootstrapper()
	ours := upgrades
	switch {
	case upgrades && running(upgrade):
		p.find(CheckForeignUpgrade, Error, "", "An upgrade of the cluster is running",
			fmt.Sprintf("Container: %s\nImage: %s\nIt was started for %s -> %s.", upgrade.Name, upgrade.Image, upgrade.Labels[labelFrom], upgrade.Labels[labelTo]),
			"Wait until it has ended, then plan again. Where both are in one configuration, name dtr_upgrade in depends_on of this resource.")
	case upgrades:
		p.find(CheckForeignUpgrade, Error, "", "An upgrade of the cluster is not finished",
			fmt.Sprintf("Container: %s\nImage: %s\nIt is left of the upgrade %s -> %s.", upgrade.Name, upgrade.Image, upgrade.Labels[labelFrom], upgrade.Labels[labelTo]),
			"Apply dtr_upgrade first: that sees the upgrade through.")
	}
	if backup := p.obs.backupContainer(); running(backup) {
		ours = true
		p.find(CheckForeignUpgrade, Error, "", "A backup of the cluster is being taken",
			fmt.Sprintf("Container: %s\nImage: %s\nIt was started for the upgrade %s -> %s.", backup.Name, backup.Image, backup.Labels[labelFrom], backup.Labels[labelTo]),
			"Wait until the upgrade has ended, then plan again. Where both are in one configuration, name dtr_upgrade in depends_on of this resource.")
	}
	for _, c := range p.obs.Bootstrappers {
		ours = ours || isOurs(c, p.obs.Host)
	}
	for _, c := range p.obs.Bootstrappers {
		if !running(c) || isBackup(c, p.obs.Host) || isOurs(c, p.obs.Host) || ours && baseName(c.Name) == phase2Name {
			continue
		}
		p.find(CheckForeignUpgrade, Error, "", "Somebody else runs the DTR bootstrapper",
			fmt.Sprintf("Container: %s\nImage: %s\nStatus: %s\nIt was not started by this provider for this cluster.", c.Name, c.Image, c.Status),
			"Wait until it has ended, then plan again.")
	}
}

// whole finds a rollout that was interrupted: replicas at several versions, or
// without some of their containers.
func (p *replicaPreflight) whole(except string) {
	rest := &Inventory{Replicas: slices.DeleteFunc(slices.Clone(p.obs.Replicas), func(r Replica) bool { return r.ID == except })}
	current := rest.CurrentVersion()
	if current == nil {
		p.find(CheckMixedVersions, Error, "", "The version of the cluster is not known",
			"UCP shows no container of the other replicas that tells it.", "Bring them back, then plan again.")
		return
	}
	if problems := rest.Problems(current); len(problems) > 0 {
		p.find(CheckMixedVersions, Error, "", "The cluster is not at one version",
			fmt.Sprintf("It runs %s, but for this: %s.", current, problemsText(problems)),
			"Finish the upgrade that was interrupted: apply dtr_upgrade first.")
	}
}

func (p *replicaPreflight) healthy(except string) {
	for _, r := range p.obs.Replicas {
		if r.ID == except {
			continue
		}
		if summary, seen := p.obs.ailment(r); summary != "" {
			p.find(CheckReplicaHealth, Error, "", summary, seen,
				"Replicas join and leave a cluster that is well. Bring this one back to health, or remove it first.")
		}
	}
}

// quorum makes sure that the database can agree to the removal: more than half of
// the replicas that it counts must be well, the one that leaves among them.
func (p *replicaPreflight) quorum(leaving Replica, others []Replica) {
	n, well := len(others), 0
	if leaving.Listed {
		n++
		others = append(others, leaving)
	}
	for _, r := range others {
		if summary, _ := p.obs.ailment(r); summary == "" {
			well++
		}
	}
	if well < n/2+1 {
		p.find(CheckReplicaHealth, Error, "", fmt.Sprintf("The removal of replica %s would break the quorum", leaving.ID),
			fmt.Sprintf("%d of %d replicas are healthy; the database needs %d.", well, n, n/2+1),
			"Bring the replicas back to health first.")
	}
}

func (p *replicaPreflight) even(n int) {
	p.find(CheckReplicaCount, Warning, "", "The cluster will have an even number of replicas",
		fmt.Sprintf("With this change alone there will be %d, which survive no more failures than %d do.", n, n-1),
		"On the way to other workers that is as it must be. In the end have 1, 3, 5 or 7.")
}
