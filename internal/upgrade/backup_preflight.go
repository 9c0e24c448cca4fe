package upgrade

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// attempted says how far the first hop of the plan has come.
func (p *preflight) attempted() attempt {
	if p.Resume != nil || len(p.Hops) == 0 {
		return attemptNone
	}
	ours, found := p.obs.bootstrapper()
	return p.obs.attempted(p.Hops[0], found && ours.State != "created", running(ours))
}

// backup checks what is asked for in the way of a backup.
func (p *preflight) backup() {
	const check, attribute = CheckBackup, "backup.file"
	if p.o.backedUp {
		return
	}
	hops, seen, container := p.Hops, p.obs.Backup, p.obs.backupContainer()
	attempt := p.attempted()
	if attempt != attemptNone {
		hops = hops[1:]
	}
	named := p.o.Backup != nil && p.o.Backup.File != ""
	if named && attempt == attemptEnded && !vouches(container.Labels, p.o.Backup.File, p.Hops[0].From) {
		ours, _ := p.obs.bootstrapper()
		p.find(check, Error, attribute, "The upgrade was tried before there was a backup",
			fmt.Sprintf("Container: %s\nImage: %s\nStatus: %s\nEvery container of DTR runs %s still, but the database may have been changed already.",
				ours.Name, ours.Image, ours.Status, p.Hops[0].From),
			"To go on without a backup, remove the backup attribute. To have one of the database as it is now, remove that container.")
		return
	}
	if len(hops) == 0 {
		if named && !seen.Exists {
			p.find(check, Warning, attribute, "No backup is taken of an upgrade that is under way",
				fmt.Sprintf("The file %s does not exist, and the hop to %s was begun.", p.o.Backup.File, p.o.Target),
				"Look for the backup on the machine that began the upgrade.")
		}
		return
	}
	if p.o.Backup == nil {
		if i := slices.IndexFunc(hops, func(h transition.Hop) bool {
			return h.Rule == transition.MinorUpgrade || h.Rule == transition.MajorUpgrade
		}); i >= 0 {
			p.find(check, Warning, "", "No backup is taken before the upgrade",
				fmt.Sprintf("This plan goes from %s to %s, which migrates data, and there is no way back but a restored backup.", hops[i].From, hops[i].To),
				`To have one taken before anything is touched, set backup = { file = "..." }.`)
		}
		return
	}
	name := p.o.Backup.File
	// What is under way is finished in any case: the backup is a matter of the hop
	// after it, and by then an error.
	taken, problem := Error, Error
	if p.Resume != nil || len(hops) < len(p.Hops) {
		taken, problem = Warning, Warning
	} else if !p.o.applying {
		problem = Warning // a plan may be made on another machine
	}
	switch {
	case name == "":
		return
	case seen.Exists && seen.wrote(container.Labels, name, hops[0].From):
		return
	case seen.Exists:
		p.find(check, taken, attribute, "The file of the backup exists already",
			fmt.Sprintf("File: %s\nLast changed: %s\nIt was not written for this upgrade, or more than a day ago.", name, seen.Modified.UTC().Format(time.RFC3339)),
			"No file is overwritten. Move it away, or name another.")
	case seen.Problem != nil:
		p.find(check, problem, attribute, "The backup cannot be written", fmt.Sprintf("File: %s\n%s", name, sentence(seen.Problem)),
			"Its directory must exist on the machine that applies.")
	}
	if taken == Error {
		p.backupImage(hops[0].From)
	}
}

// backupImage checks that the bootstrapper of the version that runs is to be had.
func (p *preflight) backupImage(version *semver.Version) {
	image := bootstrap.Image(p.o.Repository, version)
	state, asked := p.obs.Images[image]
	if !asked || state.Present {
		return
	}
	if p.o.archived(image) {
		if err := p.obs.Archives[version.String()]; err != nil {
			p.findings = append(p.findings, archiveFinding(version.String(), p.o.Archives[version.String()], sentence(err), archiveAdvice))
		}
		return
	}
	if p.available(image) {
		return
	}
	seen := "Missing: " + image
	if state.Remote != nil {
		seen += "\n" + state.Remote.Error()
	}
	p.find(CheckImage, Error, "image", "The image that takes the backup cannot be had", seen,
		fmt.Sprintf("A backup is taken with the version that runs. Load its image on the replicas' nodes, or add the archive of %s to image.archives.", version))
}

// lookForBackupImage asks for the bootstrapper's image of the version that runs.
func (obs *Observation) lookForBackupImage(ctx context.Context, c Cluster, o Options) error {
	versions := obs.Versions()
	if o.Backup == nil || len(versions) != 1 || !versions[0].LessThan(o.Target) {
		return nil
	}
	current := versions[0]
	if name := o.Archives[current.String()]; name != "" {
		obs.Archives[current.String()] = lookAtArchive(name)
	}
	image := bootstrap.Image(o.Repository, current)
	state := ImageState{Present: obs.onRunner[image]}
	if !state.Present {
		engine, err := (&run{cluster: c}).runner(ctx)
		if err != nil {
			return err
		}
		if state.Remote = askRegistry(ctx, engine, o, image); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	obs.Images[image] = state
	return nil
}
