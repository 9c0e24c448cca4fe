package standin

import (
	"context"
	"fmt"
)

// Points of a bootstrapper's run.
const (
	// Started: a container of an upgrade, a join or a removal has started and read its flags.
	Started = "bootstrapper-started"
	// Finished: such a container is about to end, well or not.
	Finished = "bootstrapper-finished"
	// BackupStarted: a backup container has started and read its flags.
	BackupStarted = "backup-started"
	// BackupHalfway: half of the archive is written.
	BackupHalfway = "backup-halfway"
	// BackupFinished: a backup container is about to end, well or not.
	BackupFinished = "backup-finished"
	// JoinStarted: the first container of a joining replica is about to be created.
	JoinStarted = "join-started"
	// RemoveStarted: the first container of a leaving replica is about to be removed.
	RemoveStarted = "remove-started"
)

// ReplicaStarted is the point before the first container of the k-th replica
// (from 1, in ascending order of ids) is replaced. A replica that already runs the
// target is skipped, and has no such point.
func ReplicaStarted(k int) string { return fmt.Sprintf("replica-%d-started", k) }

// ReplicaReplaced is the point after the k-th replica became healthy at the
// target.
func ReplicaReplaced(k int) string { return fmt.Sprintf("replica-%d-replaced", k) }

// Hooks tie a bootstrapper to the cluster that runs it in its own process.
type Hooks struct {
	Faults func() Faults
	Reach  func(ctx context.Context, point string) // is called at each point of the run
	// Lists reports whether DTR's database has a replica; with nil only those exist
	// that have a container.
	Lists func(replica string) bool
}
