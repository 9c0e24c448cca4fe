package upgrade

import (
	"fmt"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// backupChecks are the checks of what is asked for in the way of a backup.
type backupChecks struct{ *checks }

// checkBackup finds what keeps a backup from being taken, or that there is none.
func checkBackup(all *checks) {
	p := backupChecks{all}
	if p.stage.backedUp || !p.Due() { // a refused plan begins nothing
		return
	}
	hops, progress := p.Hops, p.progress()
	if progress != hopNotBegun {
		hops = hops[1:]
	}
	switch {
	case progress == hopTried && p.triedWithoutBackup():
	case len(hops) == 0:
		p.noneUnderWay()
	case p.o.Backup == nil:
		p.noneConfigured(hops)
	case p.o.Backup.File != "":
		p.file(hops)
	}
}

// progress is how far the first hop of the plan has come.
func (p backupChecks) progress() hopProgress {
	if p.Resume != nil || len(p.Hops) == 0 {
		return hopNotBegun
	}
	ours, found := p.obs.UpgradeContainer()
	return progressOf(p.obs.Inventory, p.Hops[0], found && ours.State != cluster.StateCreated)
}

// triedWithoutBackup finds a bootstrapper that was started, and has replaced
// nothing yet, before the backup was taken that is configured by now.
func (p backupChecks) triedWithoutBackup() bool {
	name, from := p.o.backupFile(), p.Hops[0].From
	if name == "" || p.record().isFor(name, from) {
		return false
	}
	ours, _ := p.obs.UpgradeContainer()
	todo := "To back up the database as it is now, remove that container."
	if ours.Running() {
		todo = "To back up the database as it is, wait for the container's end, and remove it."
	}
	p.add(preflight.Error, "The upgrade was tried before there was a backup",
		fmt.Sprintf("Container: %s\nImage: %s\nStatus: %s\nEvery container of DTR still runs %s, but the database may have been changed already.",
			ours.Name, ours.Image, ours.Status, from),
		"To continue without a backup, configure none. "+todo)
	return true
}

func (p backupChecks) record() backupRecord {
	container, _ := p.obs.BackupRecord()
	return recordOf(container.Name, container.Labels, p.obs.Host)
}

func (p backupChecks) noneUnderWay() {
	switch name := p.o.backupFile(); {
	case name == "" || p.record().uploaded:
	case p.obs.Backup.Exists && p.record().sum != "" && p.o.Backup.Upload:
		p.add(preflight.Warning, "The backup of an upgrade that is under way is not uploaded",
			fmt.Sprintf("File: %s\nThe hop to %s was begun before it was.", name, p.o.Target),
			"If it is of before the upgrade, bring it to a safe place by hand.")
	case !p.obs.Backup.Exists:
		p.add(preflight.Warning, "No backup is taken of an upgrade that is under way",
			fmt.Sprintf("The file %s does not exist, and the hop to %s was begun.", name, p.o.Target),
			"Look for the backup on the machine that began the upgrade.")
	}
}

func (p backupChecks) noneConfigured(hops []transition.Hop) {
	i := slices.IndexFunc(hops, func(h transition.Hop) bool {
		return h.Rule == transition.MinorUpgrade || h.Rule == transition.MajorUpgrade
	})
	if i < 0 {
		return
	}
	p.find(preflight.Finding{
		Check:   preflight.Backup,
		Summary: "No backup is taken before the upgrade",
		Seen: fmt.Sprintf("This plan goes from %s to %s, which migrates data. The only way back is to restore a backup.",
			hops[i].From, hops[i].To),
		Advice: []preflight.Advice{{Kind: preflight.AddBackup}},
	})
}

// file checks that the backup can be written. What is under way is finished
// in any case: the backup is then a matter of the hop after it.
func (p backupChecks) file(hops []transition.Hop) {
	name, seen := p.o.Backup.File, p.obs.Backup
	taken, problem := preflight.Error, preflight.Error
	if p.Resume != nil || len(hops) < len(p.Hops) {
		taken, problem = preflight.Warning, preflight.Warning
	} else if !p.stage.applying {
		problem = preflight.Warning // a plan may be made on another machine
	}
	switch {
	case p.record().wrote(seen, name, hops[0].From):
		return
	case seen.Exists:
		p.add(taken, "The file of the backup exists already",
			fmt.Sprintf("File: %s\nLast changed: %s\nIt was not written for this upgrade, or more than a day ago.", name, seen.Modified.UTC().Format(time.RFC3339)),
			"No file is overwritten. Move it away, or name another.")
	case seen.Problem != nil:
		p.add(problem, "The backup cannot be written", fmt.Sprintf("File: %s\n%s", name, preflight.Sentence(seen.Problem)),
			"Its directory must exist on the machine that applies.")
	}
	if taken == preflight.Error {
		p.image(hops[0])
	}
	if p.o.HCPTerraform && !p.o.Backup.Upload && !p.stage.applying {
		p.add(preflight.Warning, LostWithWorker.Summary, fmt.Sprintf(LostWithWorker.Seen, name),
			"Set upload of backup to have it sent to an object store. On an agent of your own, name a file on a disk that stays.")
	}
}

// LostWithWorker is what a plan in HCP Terraform says of a file that is not uploaded.
var LostWithWorker = preflight.Finding{
	Summary: "The backup will be lost with the worker of HCP Terraform",
	Seen:    "File: %s\nIt is written on the worker of the apply, which is thrown away after the run.",
}

func (p backupChecks) add(s preflight.Severity, summary, seen, todo string) {
	p.find(preflight.Finding{Check: preflight.Backup, Severity: s, Attribute: "backup.file", Summary: summary, Seen: seen, Todo: todo})
}

// image checks that the bootstrapper of the version that takes a backup, the
// one that runs, is available.
func (p backupChecks) image(hop transition.Hop) {
	version := hop.From.String()
	image := p.o.Images.Bootstrapper(hop.From)
	state, asked := p.obs.Images.States[image]
	if !asked || state.Present {
		return
	}
	if p.o.Images.FromArchive(image) {
		if err := p.obs.Images.Archives[version]; err != nil {
			p.findings = append(p.findings, archiveFinding(version, p.o.Images.Archives[version], preflight.Sentence(err), archiveAdvice))
		}
		return
	}
	if p.obs.Images.Available(image) {
		return
	}
	seen := "Missing: " + images.Location{Image: image, Node: p.obs.Images.Node}.String()
	if state.Remote != nil {
		seen += "\n" + state.Remote.Error()
	}
	p.find(preflight.Finding{
		Check: preflight.Image, Severity: preflight.Error, Attribute: "image",
		Summary: "The image that takes the backup is not available", Seen: seen,
		Todo:   "A backup is taken with the version that runs. Load its image on the replicas' nodes.",
		Advice: []preflight.Advice{{Kind: preflight.AddArchive, Value: version}},
	})
}
