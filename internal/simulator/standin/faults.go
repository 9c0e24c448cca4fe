package standin

import "errors"

// Faults say how a bootstrapper goes wrong. The zero value: it does not.
type Faults struct {
	// DieAtReplica ends phase 2 with status 1 in the middle of the k-th replica
	// (from 1, in ascending order of ids); a negative number ends
	// phase 1 before any replica is touched. A replica that joins or leaves is the
	// first.
	DieAtReplica int
	// SkipReplica leaves the k-th replica unchanged.
	SkipReplica int
	// LeaveOldPart leaves this part ("nginx") of every replica unchanged; a replica
	// that joins does not get it.
	LeaveOldPart string
	// ClaimSuccess writes no failure and exits with 0, whatever happened.
	ClaimSuccess bool
	// ExitStatus is the exit status, whatever happened.
	ExitStatus *int
	// FatalRecord is the text of a fatal record at the end. It replaces the one
	// of a run that died, and does not change the exit status of one that did not.
	FatalRecord string
	// Silent writes no output at all.
	Silent bool
	// LongLine writes a record with a message of this many bytes.
	LongLine int
	// Unfinished ends the output in the middle of a line.
	Unfinished bool

	// BackupCut ends a backup in the middle of its archive, with status 0 and no
	// message.
	BackupCut bool
	// BackupGarbage writes text in place of a backup's archive.
	BackupGarbage bool
	// BackupVersion is the version that the archive of a backup names.
	BackupVersion string
	// BackupUnnamed leaves out of the archive what names its version.
	BackupUnnamed bool
}

// partsBeforeDeath is how many containers of a replica DieAtReplica lets a
// bootstrapper replace.
const partsBeforeDeath = 4

var errDied = errors.New("died, as it was told to")
