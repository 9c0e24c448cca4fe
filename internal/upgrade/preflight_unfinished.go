package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// checkUnfinished says what the apply does besides the hops that are still to be begun: it
// goes on with a rollout, makes containers that are missing, has a migration done, or waits
// for a backup or tidies up after one.
func checkUnfinished(p *checks) {
	if p.stage.applying || !p.Due() {
		return
	}
	p.backup()
	hop := p.next()
	ours, found := p.obs.UpgradeContainer()
	found = found && isForHop(ours.Labels, hop)
	switch {
	case found || len(p.obs.Versions()) > 1:
		p.rollout(hop, ours, found)
	case p.Resume != nil && p.obs.HalfDone():
		p.find(preflight.Finding{
			Check:   preflight.Unfinished,
			Summary: fmt.Sprintf("Containers of DTR %s are made again", hop.To),
			Seen:    "Seen: " + cluster.ProblemsText(p.obs.Problems(hop.To)),
			Todo:    fmt.Sprintf("The apply starts the bootstrapper of %s for that, though no version changes.", hop.To),
		})
	}
	if p.Resume != nil && len(hop.MigrationJobs) > 0 {
		p.unfinishedMigration(hop)
	}
}

// backup says that another apply takes a backup, or that one was broken off.
func (p *checks) backup() {
	c, found := p.obs.BackupContainer()
	if !found {
		return
	}
	f := preflight.Finding{
		Check:   preflight.Unfinished,
		Summary: "A backup was broken off",
		Seen:    fmt.Sprintf("Container: %s\nStatus: %s\nIt was to write %s.", c.Name, c.State, c.Labels[cluster.LabelBackup]),
		Todo:    "The apply removes the container",
	}
	switch {
	case c.Running():
		f.Summary = "A backup of the cluster is being taken"
		f.Seen = fmt.Sprintf("Container: %s\nIt writes %s.", c.Name, c.Labels[cluster.LabelBackup])
		f.Todo = "The apply waits for its end. If the apply that began it was killed, nothing is kept of it."
	case p.o.Backup == nil:
		f.Todo += "."
	default:
		f.Todo += ", and takes a backup of its own."
	}
	p.find(f)
}

// rollout says how far a rollout is that the apply goes on with. The container is the
// hop's bootstrapper, where there is one.
func (p *checks) rollout(hop transition.Hop, ours ucp.Container, found bool) {
	done, all := replicasAt(p.obs.Inventory, hop)
	f := preflight.Finding{
		Check:   preflight.Unfinished,
		Summary: fmt.Sprintf("A rollout from %s to %s is under way", hop.From, hop.To),
		Seen:    fmt.Sprintf("%s, %d of %d replicas", hopName(hop), done, all),
		Todo:    "The apply starts the bootstrapper again where its work is not done.",
	}
	phase2 := slices.ContainsFunc(p.obs.Bootstrappers, func(c ucp.Container) bool { return cluster.IsPhase2(c) && c.Running() })
	switch name := cluster.BaseName(ours.Name); {
	case found && ours.Running():
		f.Seen += fmt.Sprintf(", container %s is at work", name)
		f.Todo = "The apply starts no other one, and waits for its end."
	case phase2:
		f.Seen += fmt.Sprintf(", container %s is at work", cluster.Phase2Name)
		f.Todo = "The apply waits for its end, and starts the bootstrapper again where its work is not done."
	case found && ours.State == cluster.StateCreated:
		f.Seen += fmt.Sprintf(", container %s was not started", name)
	case found:
		f.Seen += fmt.Sprintf(", container %s has ended", name)
	default:
		f.Seen += ", no bootstrapper's container\nSeen: " + cluster.ProblemsText(p.obs.Problems(hop.To))
		f.Todo = "The apply starts the bootstrapper, which replaces what is not at " + hop.To.String() + "."
	}
	p.find(f)
}

// unfinishedMigration says that the apply waits for a migration, or starts it.
func (p *checks) unfinishedMigration(hop transition.Hop) {
	f := preflight.Finding{
		Check:   preflight.Unfinished,
		Summary: "The migration to " + minor(hop.To.String()) + " is waited for",
		Seen:    fmt.Sprintf("The cluster runs %s, and DTR lists no job %s.", hop.To, strings.Join(hop.MigrationJobs, ", ")),
		Todo:    "The apply waits for the job before anything else, and starts it where DTR does not.",
	}
	if pending := p.obs.PendingMigration(); pending != nil {
		f.Seen = fmt.Sprintf("Job: %s %s\nStatus: %s\nThe cluster runs %s.", pending.Action, pending.Job.ID, pending.Job.Status, hop.To)
	}
	p.find(f)
}

// replicasAt counts the replicas that DTR lists, and those of them that a hop has
// brought to its target.
func replicasAt(i *cluster.Inventory, hop transition.Hop) (done, all int) {
	for _, r := range i.Listed("") {
		all++
		if (&cluster.Inventory{Replicas: []cluster.Replica{r}}).At(hop.To) {
			done++
		}
	}
	return done, all
}
