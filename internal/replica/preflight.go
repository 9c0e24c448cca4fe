package replica

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// What UCP says of a node that can take a replica.
const (
	nodeReady   = "ready"
	nodeActive  = "active"
	roleManager = "manager"
	osWindows   = "windows"
)

// maxReplicas is the largest cluster that the vendor describes.
const maxReplicas = 7

// checks collects what speaks against a join or a removal.
type checks struct {
	seen     *cluster.Snapshot
	findings preflight.Findings
}

func (p *checks) add(f preflight.Finding) { p.findings = append(p.findings, f) }

// PreflightJoin finds all that speaks against a join. While another join or
// removal of this provider is at work or being verified, or any bootstrapper on an engine
// that is not reached, the cluster is in motion and its turn is waited for: only the node
// is judged then.
func PreflightJoin(seen *cluster.Snapshot, o Options) preflight.Findings {
	p := &checks{seen: seen}
	p.node(o.Node)
	if _, moves := seen.MembershipChange(); moves || seen.HiddenElsewhere() {
		return p.findings
	}
	made := replicaJoinedOn(seen, o.Node) // by an earlier join that was interrupted
	p.noOtherBootstrapper()
	p.nodeFree(o.Node, made)
	p.oneVersion(made)
	p.healthy(made)
	p.existingReplica(o.ExistingReplicaID)
	switch n := len(seen.Listed(made)) + 1; {
	case n > maxReplicas:
		p.add(preflight.Finding{
			Check: preflight.ReplicaCount, Severity: preflight.Error,
			Summary: fmt.Sprintf("The cluster has %d replicas already", n-1),
			Seen:    fmt.Sprintf("A cluster has at most %d.", maxReplicas),
			Todo:    "Remove a replica first.",
		})
	case n%2 == 0:
		p.evenCount(n)
	}
	return p.findings
}

// PreflightReplace is PreflightJoin for a join that may follow the removal of the
// replica that the options name. Where no replica can join as long as that one is there,
// it is judged as if that one were gone, and the removal is judged as well.
func PreflightReplace(seen *cluster.Snapshot, o Options) preflight.Findings {
	findings := PreflightJoin(seen, o)
	now := findings.Errors()
	if _, there := seen.Replica(o.ReplicaID); !there || len(now) == 0 {
		return findings
	}
	rest := *seen.Inventory
	leaves := func(r cluster.Replica) bool { return r.ID == o.ReplicaID }
	rest.Replicas = slices.DeleteFunc(slices.Clone(rest.Replicas), leaves)
	rest.Unlisted = slices.DeleteFunc(slices.Clone(rest.Unlisted), leaves)
	after := PreflightJoin(&cluster.Snapshot{Inventory: &rest, Status: seen.Status, Nodes: seen.Nodes}, o)
	kept := func(f preflight.Finding) bool {
		return slices.ContainsFunc(after, func(other preflight.Finding) bool { return other.Summary == f.Summary })
	}
	solved := slices.DeleteFunc(now, kept)
	if len(solved) == 0 {
		return findings
	}
	after = append(after, slices.DeleteFunc(PreflightRemove(seen, o).Errors(), kept)...)
	var summaries []string
	for _, f := range solved {
		summaries = append(summaries, f.Summary)
	}
	return append(after, preflight.Finding{
		Check:   preflight.Node,
		Summary: fmt.Sprintf("Replica %s must be removed before another one joins", o.ReplicaID),
		Seen:    fmt.Sprintf("While it is there, no replica can join on node %s:\n  %s", o.Node, strings.Join(summaries, "\n  ")),
		Advice:  []preflight.Advice{{Kind: preflight.ReplaceReplica}},
	})
}

// PreflightRemove finds all that speaks against the removal of a replica. A
// replica that is gone is nothing to remove.
func PreflightRemove(seen *cluster.Snapshot, o Options) preflight.Findings {
	p, id := &checks{seen: seen}, o.ReplicaID
	replica, found := seen.Replica(id)
	other, moves := seen.MembershipChange()
	if !found || moves && other.Running() || seen.HiddenElsewhere() {
		return nil
	}
	others := seen.Listed(id)
	if len(others) == 0 {
		p.add(preflight.Finding{
			Check: preflight.ReplicaCount, Severity: preflight.Error,
			Summary: fmt.Sprintf("Replica %s is the last one", id),
			Seen:    fmt.Sprintf("DTR at %s has no other replica, and its data would be lost with this one.", seen.Host),
			Todo:    "Join another replica first.",
			Advice:  []preflight.Advice{{Kind: preflight.ForgetReplica}},
		})
		return p.findings
	}
	if moves {
		return nil
	}
	p.noOtherBootstrapper()
	p.oneVersion(id)
	p.healthy(id)
	p.quorum(replica, others)
	if n := len(others); n%2 == 0 {
		p.evenCount(n)
	}
	return p.findings
}

// replicaJoinedOn is the replica that an earlier join of this provider has made on
// the node, or has begun to make, "" when none is known.
func replicaJoinedOn(seen *cluster.Snapshot, node string) string {
	for _, c := range seen.Bootstrappers {
		if c.Labels[cluster.LabelCluster] == seen.Host && cluster.IsRecord(c.Labels) && c.Labels[cluster.LabelNode] == node && c.State != cluster.StateCreated {
			return c.Labels[cluster.LabelReplica]
		}
	}
	return ""
}

// existingReplicaFor is the replica that the bootstrapper of a join or a removal
// connects to: the wanted one, or else the first healthy one by id, but never the
// one that is excepted. A wanted one that is gone by now is passed over.
func existingReplicaFor(seen *cluster.Snapshot, wanted, except string) (cluster.Replica, bool) {
	listed := seen.Listed(except)
	i := slices.IndexFunc(listed, func(r cluster.Replica) bool { return r.ID == wanted })
	if i < 0 {
		i = slices.IndexFunc(listed, func(r cluster.Replica) bool {
			return seen.Status.Health[r.ID] == dtr.HealthOK && len(r.Containers) > 0
		})
	}
	if i < 0 {
		return cluster.Replica{}, false
	}
	return listed[i], true
}

func (p *checks) existingReplica(id string) {
	if replica, ok := p.seen.Replica(id); id == "" || ok && replica.Listed {
		return
	}
	p.add(preflight.Finding{
		Check: preflight.ReplicaHealth, Severity: preflight.Error, Attribute: "existing_replica_id",
		Summary: "The cluster has no replica " + id,
		Seen:    "Replicas: " + strings.Join(p.seen.IDs(), ", "),
		Todo:    "Name one of them, or none.",
	})
}

// node judges the node itself.
func (p *checks) node(name string) {
	problem := func(summary, seen, todo string) {
		p.add(preflight.Finding{
			Check: preflight.Node, Severity: preflight.Error, Attribute: "node", Summary: summary, Seen: seen, Todo: todo,
		})
	}
	i := slices.IndexFunc(p.seen.Nodes, func(n ucp.Node) bool { return n.Hostname == name })
	if i < 0 {
		var names []string
		for _, n := range p.seen.Nodes {
			names = append(names, n.Hostname)
		}
		slices.Sort(names)
		problem("UCP has no node "+name, "Nodes: "+strings.Join(names, ", "), "Name one of UCP's workers by its host name, as UCP lists it.")
		return
	}
	n := p.seen.Nodes[i]
	switch {
	case n.State != nodeReady:
		problem(fmt.Sprintf("Node %s is not ready", name), "UCP reports its state as "+n.State+".", "Bring the node back, or choose another one.")
	case n.Availability != nodeActive:
		problem(fmt.Sprintf("Node %s takes no new containers", name), "Its availability is "+n.Availability+".", "Set it to active in UCP, or choose another node.")
	}
	if n.Role == roleManager {
		problem(fmt.Sprintf("Node %s is a manager", name), "DTR runs on workers: on a manager UCP itself uses the ports.", "Choose a worker.")
	}
	if strings.EqualFold(n.OS, osWindows) {
		problem(fmt.Sprintf("Node %s runs Windows", name), "DTR's containers run on Linux only.", "Choose a worker that runs Linux.")
	}
}

// nodeFree finds a replica on the node other than the one that we have made.
func (p *checks) nodeFree(node, made string) {
	for _, r := range slices.Concat(p.seen.Replicas, p.seen.Unlisted) {
		if r.Node != node || r.ID == made || !r.Listed && len(r.NotRunning()) == len(r.Containers) {
			continue
		}
		p.add(preflight.Finding{
			Check: preflight.Node, Severity: preflight.Error, Attribute: "node",
			Summary: fmt.Sprintf("Node %s has a replica already", node),
			Seen:    fmt.Sprintf("Replica %s runs there, and nothing shows that it was joined by this resource.", r.ID),
			Todo:    "To join another replica, choose another node.",
			Advice:  []preflight.Advice{{Kind: preflight.ImportReplica, Value: r.ID}},
		})
	}
}

// noOtherBootstrapper finds what else is at work on the cluster, or half done.
func (p *checks) noOtherBootstrapper() {
	busy := func(c ucp.Container, summary, seen, todo string, advice ...preflight.Advice) {
		p.add(preflight.Finding{
			Check: preflight.ForeignUpgrade, Severity: preflight.Error, Summary: summary,
			Seen: fmt.Sprintf("Container: %s\nImage: %s\n%s", c.Name, c.Image, seen), Todo: todo, Advice: advice,
		})
	}
	order := preflight.Advice{Kind: preflight.OrderResources}
	hop := func(c ucp.Container) string {
		return c.Labels[cluster.LabelFrom] + " -> " + c.Labels[cluster.LabelTo]
	}
	upgrade, upgrades := p.seen.UpgradeContainer()
	switch {
	case upgrades && upgrade.Running():
		busy(upgrade, "An upgrade of the cluster is running", fmt.Sprintf("It was started for %s.", hop(upgrade)),
			"Wait until it has ended, then plan again.", order)
	case upgrades:
		busy(upgrade, "An upgrade of the cluster is not finished", fmt.Sprintf("It is left of the upgrade %s.", hop(upgrade)),
			"Finish that upgrade first.", preflight.Advice{Kind: preflight.FinishUpgrade})
	}
	backup, _ := p.seen.BackupContainer()
	if backup.Running() {
		busy(backup, "A backup of the cluster is being taken", fmt.Sprintf("It was started for the upgrade %s.", hop(backup)),
			"Wait until the upgrade has ended, then plan again.", order)
	}
	ours := upgrades || backup.Running() || slices.ContainsFunc(p.seen.Bootstrappers, func(c ucp.Container) bool { return cluster.IsOurs(c, p.seen.Host) })
	for _, c := range p.seen.Foreign(ours) {
		busy(c, "Another DTR bootstrapper is running", fmt.Sprintf("Status: %s\nIt was not started by this provider for this cluster.", c.Status),
			"Wait until it has ended, then plan again.")
	}
}

// oneVersion finds a rollout that was interrupted: replicas at several versions, or
// without some of their containers.
func (p *checks) oneVersion(except string) {
	rest := &cluster.Inventory{Replicas: slices.DeleteFunc(slices.Clone(p.seen.Replicas), func(r cluster.Replica) bool { return r.ID == except })}
	current := rest.CurrentVersion()
	if current == nil {
		p.add(preflight.Finding{
			Check: preflight.MixedVersions, Severity: preflight.Error,
			Summary: "The version of the cluster is not known",
			Seen:    "UCP shows no container of the other replicas whose version is known.",
			Todo:    "Bring them back, then plan again.",
		})
		return
	}
	if problems := rest.Problems(current); len(problems) > 0 {
		p.add(preflight.Finding{
			Check: preflight.MixedVersions, Severity: preflight.Error,
			Summary: "The cluster is not at one version",
			Seen:    fmt.Sprintf("It runs %s, except: %s.", current, cluster.ProblemsText(problems)),
			Todo:    "Finish the upgrade that was interrupted first.",
			Advice:  []preflight.Advice{{Kind: preflight.FinishUpgrade}},
		})
	}
}

func (p *checks) healthy(except string) {
	for _, r := range p.seen.Replicas {
		if r.ID == except {
			continue
		}
		if summary, seen := p.seen.UnhealthyReason(r); summary != "" {
			p.add(preflight.Finding{
				Check: preflight.ReplicaHealth, Severity: preflight.Error, Summary: summary, Seen: seen,
				Todo: "Replicas join and leave a healthy cluster only. Bring this one back to health, or remove it first.",
			})
		}
	}
}

// quorum makes sure that the database can agree to the removal: more than half of
// the replicas that it counts must be healthy, the one that leaves among them.
func (p *checks) quorum(leaving cluster.Replica, others []cluster.Replica) {
	n, healthy := len(others), 0
	if leaving.Listed {
		n++
		others = append(others, leaving)
	}
	for _, r := range others {
		if summary, _ := p.seen.UnhealthyReason(r); summary == "" {
			healthy++
		}
	}
	if healthy < n/2+1 {
		p.add(preflight.Finding{
			Check: preflight.ReplicaHealth, Severity: preflight.Error,
			Summary: fmt.Sprintf("The removal of replica %s would break the quorum", leaving.ID),
			Seen:    fmt.Sprintf("%d of %d replicas are healthy; the database needs %d.", healthy, n, n/2+1),
			Todo:    "Bring the replicas back to health first.",
		})
	}
}

func (p *checks) evenCount(n int) {
	p.add(preflight.Finding{
		Check: preflight.ReplicaCount, Severity: preflight.Warning,
		Summary: "The cluster will have an even number of replicas",
		Seen:    fmt.Sprintf("With this change alone there will be %d, which survive no more failures than %d do.", n, n-1),
		Todo:    "Expected while moving to other workers; finish with 1, 3, 5 or 7.",
	})
}
