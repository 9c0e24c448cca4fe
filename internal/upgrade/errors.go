package upgrade

import (
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// ClosedWindowError says that a bootstrapper is due, and the maintenance window
// closed. Images may have been pulled for it; nothing of DTR was touched.
type ClosedWindowError struct {
	Hop    transition.Hop
	Window string
	Opens  time.Time // zero when it never does again
	// TooLate: the run may wait for it, and its time limit would pass before.
	TooLate bool
}

func (e *ClosedWindowError) Error() string {
	return fmt.Sprintf("hop %s was not begun: the maintenance window (%s) opens at %s", hopName(e.Hop), e.Window, e.Opens.Format(time.RFC3339))
}

// UnfinishedError is the error of a run that ended after a hop was begun, with how far
// that hop is.
type UnfinishedError struct {
	Hop            transition.Hop
	Done, Replicas int   // replicas that are at the hop's target, of how many; 0 of 0 if the cluster could not be read
	Ping           error // of DTR's address after the run; nil when DTR answered well
	Err            error
}

func (e *UnfinishedError) Error() string { return fmt.Sprintf("hop %s: %v", hopName(e.Hop), e.Err) }

func (e *UnfinishedError) Unwrap() error { return e.Err }

// BackupError says that there is no backup. Nothing was begun, and nothing is left
// of what was written.
type BackupError struct {
	File         string
	Alone        bool                      // no hop was to follow
	Exists       bool                      // the file was there before, and is as it was
	Bootstrapper *runner.BootstrapperError // how the backup's container ended, unless that was well
	Cause        error                     // what is wrong with the file, or with what was to be written to it
}

func (e *BackupError) Error() string {
	switch {
	case e.Exists:
		return fmt.Sprintf("backup file %s exists", e.File)
	case e.Bootstrapper != nil:
		return fmt.Sprintf("backup to %s: %v", e.File, e.Bootstrapper)
	}
	return fmt.Sprintf("backup to %s: %v", e.File, e.Cause)
}

func (e *BackupError) Unwrap() error { return e.Cause }

// UploadError says that a backup is not in the store that it was to be sent to. Its file
// is complete, and is kept. Nothing was begun.
type UploadError struct {
	File, Host string
	Alone      bool  // no hop was to follow
	Err        error // of package endpoint, or of the file
}

func (e *UploadError) Error() string {
	return fmt.Sprintf("upload of %s to %s: %v", e.File, e.Host, e.Err)
}

func (e *UploadError) Unwrap() error { return e.Err }

// ClusterChangedError says that the cluster is no longer where a hop begins: it was
// changed, or another bootstrapper is at work on it. The hop was not begun.
type ClusterChangedError struct {
	Hop          transition.Hop
	Versions     []*semver.Version // that run; nil when the change was found otherwise
	Bootstrapper string            // that is at work: its container, or the version that it leads to; or ""
	Missing      []cluster.Problem // what UCP showed before, and does not any more
}

func (e *ClusterChangedError) Error() string {
	if e.Bootstrapper != "" {
		return fmt.Sprintf("hop %s was not begun: another bootstrapper is at work (%s)", hopName(e.Hop), e.Bootstrapper)
	}
	if len(e.Missing) > 0 {
		return fmt.Sprintf("hop %s was not begun: the cluster is not whole any more: %s", hopName(e.Hop), cluster.ProblemsText(e.Missing))
	}
	var versions []string
	for _, v := range e.Versions {
		versions = append(versions, v.String())
	}
	return fmt.Sprintf("hop %s was not begun: the cluster runs %s by now", hopName(e.Hop), strings.Join(versions, ", "))
}

func hopName(hop transition.Hop) string { return hop.From.String() + " -> " + hop.To.String() }
