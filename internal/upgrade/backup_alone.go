package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TakeBackup takes a checked backup of the version that runs, and uploads it if that is
// asked for, as a run does before its first hop; no hop is made. Of the options it uses the
// backup, the images and the replica that the bootstrapper connects to. Nothing tells of the
// backup afterwards but its file. The function say is told what happens. Errors:
// *BackupError, *UploadError, *wait.DetachedError, *images.BringError, *images.DigestError,
// *runner.ForeignContainerError, and those of the clients.
func TakeBackup(ctx context.Context, c cluster.Cluster, o Options, say func(string)) error {
	err := takeBackup(ctx, newRun(c, o), say)
	if e, ok := errors.AsType[*BackupError](err); ok {
		e.Alone = true
	}
	if e, ok := errors.AsType[*UploadError](err); ok {
		e.Alone = true
	}
	if e, ok := errors.AsType[*wait.DetachedError](err); ok {
		if e.Step == StepUpload {
			e.Step = StepUploadAlone
		} else {
			e.Step = StepBackupAlone
		}
	}
	return err
}

func takeBackup(ctx context.Context, r *run, say func(string)) error {
	file := r.o.Backup.File
	switch seen := backup.Look(file); {
	case seen.Exists:
		return &BackupError{File: file, Exists: true}
	case seen.Problem != nil:
		return &BackupError{File: file, Cause: seen.Problem}
	}
	snapshot, err := cluster.Look(ctx, r.cluster)
	if err != nil {
		return wait.Detached(ctx, StepBackup, err)
	}
	if err := atRest(snapshot.Inventory); err != nil {
		return &BackupError{File: file, Cause: err}
	}
	if _, found := snapshot.ExistingReplica(r.o.ExistingReplicaID); !found {
		return &BackupError{File: file, Cause: fmt.Errorf("DTR has no replica %s", r.o.ExistingReplicaID)}
	}
	r.runner.Host, r.o.Target = snapshot.Host, snapshot.CurrentVersion()
	b := r.backupStep(&Observation{Seen: migration.Seen{Snapshot: snapshot}}, transition.Hop{From: r.o.Target, To: r.o.Target})
	b.alone = true
	say(fmt.Sprintf("A backup of DTR %s is written to %s", r.o.Target, file))
	_, err = r.runner.Perform(ctx, runner.Task{
		Step: StepBackup, Name: "backup of " + r.o.Target.String(),
		Spec:        b.spec,
		Owns:        func(runner.Container) bool { return false }, // as in an upgrade
		Conflict:    b.conflictAlone,
		CheckImage:  r.checkImage(b.obs, r.o.Target),
		StillNeeded: b.stillPossible,
		Run:         b.write,
	})
	if err == nil && b.taken == nil {
		err = &BackupError{File: file, Cause: errors.New("nothing was written")}
	}
	if err != nil {
		return err
	}
	say("The backup is complete")
	if r.o.Backup.Upload {
		say("The backup is being uploaded")
		if err := r.o.Backup.upload(ctx, b.sum); err != nil {
			return wait.Detached(ctx, StepUpload, err)
		}
		say("The backup is uploaded to " + r.o.Backup.Object.Host())
	}
	return nil
}

// atRest is an error if a cluster cannot be backed up for itself: it is between two
// versions, or a bootstrapper is at work, or is to go on with what it has begun. Another
// backup at work is waited for.
func atRest(i *cluster.Inventory) error {
	if versions := i.Versions(); len(versions) != 1 {
		var texts []string
		for _, v := range versions {
			texts = append(texts, v.String())
		}
		return fmt.Errorf("the cluster runs %s: finish that upgrade first", strings.Join(texts, " and "))
	}
	if c, found := i.UpgradeContainer(); found {
		return unfinishedUpgrade(c.Name, c.Labels)
	}
	for _, c := range i.Bootstrappers {
		if (c.Running() || c.Lost()) && !cluster.IsPhase2(c) && (!cluster.IsOurs(c, i.Host) || !cluster.IsBackup(c.Labels)) {
			return fmt.Errorf("another bootstrapper is at work: container %s", c.Name)
		}
	}
	return nil
}

func unfinishedUpgrade(container string, labels map[string]string) error {
	return fmt.Errorf("the upgrade to %s is not finished: container %s", labels[cluster.LabelTo], container)
}

// conflictAlone is the error of another task that is at work, or is to go on.
func (b *backupStep) conflictAlone(c runner.Container) error {
	file := b.upgrade.o.Backup.File
	switch {
	case cluster.IsUpgrade(c.Labels):
		return &BackupError{File: file, Cause: unfinishedUpgrade(c.Name, c.Labels)}
	case c.Running() && !cluster.IsBackup(c.Labels):
		return &BackupError{File: file, Cause: fmt.Errorf("another bootstrapper is at work: %s", cluster.Purpose(c.Labels))}
	}
	return nil
}

// stillPossible looks once more, under the lock, whether the cluster can be backed up.
func (b *backupStep) stillPossible(ctx context.Context, _ runner.Earlier) (bool, error) {
	inventory, err := cluster.InspectAll(ctx, b.upgrade.cluster)
	if err != nil {
		return false, err
	}
	err = atRest(inventory)
	if err == nil && !inventory.CurrentVersion().Equal(b.hop.From) {
		err = fmt.Errorf("the cluster runs %s by now", inventory.CurrentVersion())
	}
	if err != nil {
		return false, &BackupError{File: b.upgrade.o.Backup.File, Cause: err}
	}
	return true, nil
}
