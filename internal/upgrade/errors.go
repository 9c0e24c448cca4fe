package upgrade

import (
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// PreflightError stops a run before anything is touched.
type PreflightError struct {
	Findings Findings // warnings among them
}

func (e *PreflightError) Error() string {
	var summaries []string
	for _, f := range e.Findings.Errors() {
		summaries = append(summaries, f.Summary)
	}
	return "preflight: " + strings.Join(summaries, "; ")
}

// DetachedError says that the run stopped waiting while the cluster works on.
// What was started goes on by itself; the next run continues from there.
type DetachedError struct {
	Step      string
	Container string    // the bootstrapper that goes on; "" when none is running
	Job       string    // the id of the migration job that goes on; "" when none is known
	Opens     time.Time // when the maintenance window opens that was waited for; zero when none was
	Cause     error     // context.Canceled, the cause of a time limit, or what was out of reach for too long
}

func (e *DetachedError) Error() string {
	switch {
	case e.Container != "":
		return fmt.Sprintf("stopped waiting in step %s, container %s goes on: %v", e.Step, e.Container, e.Cause)
	case e.Job != "":
		return fmt.Sprintf("stopped waiting in step %s, job %s goes on: %v", e.Step, e.Job, e.Cause)
	}
	return fmt.Sprintf("stopped in step %s: %v", e.Step, e.Cause)
}

func (e *DetachedError) Unwrap() error { return e.Cause }

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

// BootstrapperError says that the bootstrapper failed, by its exit status or by
// a fatal record, or could not be run at all.
type BootstrapperError struct {
	Image     string
	Container string
	ExitCode  int                // meaningless when Missing
	Missing   bool               // the container was removed before its exit status could be read
	Fatal     string             // the record that tells of the failure, "" when there is none
	Failure   *bootstrap.Failure // the known failure that it is, if it is one
	Log       []string           // the last lines
}

func (e *BootstrapperError) Error() string {
	switch {
	case e.Missing:
		return fmt.Sprintf("bootstrapper %s: container %s was removed by somebody else", e.Image, e.Container)
	case e.Fatal != "":
		return fmt.Sprintf("bootstrapper %s: exit status %d: %s", e.Image, e.ExitCode, e.Fatal)
	}
	return fmt.Sprintf("bootstrapper %s: exit status %d", e.Image, e.ExitCode)
}

// VerifyError says that the cluster is not what the bootstrapper's end promised.
type VerifyError struct {
	Target   *semver.Version
	After    time.Duration
	Problems []Problem // never empty
}

// Problem is one thing that keeps a cluster from being verified.
type Problem struct {
	ReplicaID string // "" for the cluster as a whole
	Container string // "" for the replica as a whole
	Text      string // "runs 2.5.6", "health: ..."
}

func (p Problem) String() string {
	switch {
	case p.Container != "":
		return p.Container + " " + p.Text
	case p.ReplicaID != "":
		return "replica " + p.ReplicaID + " " + p.Text
	}
	return p.Text
}

func (e *VerifyError) Error() string {
	return fmt.Sprintf("not at %s after %s: %s", e.Target, e.After.Round(time.Second), problemsText(e.Problems))
}

func problemsText(problems []Problem) string {
	texts := make([]string, 0, len(problems))
	for _, p := range problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}

// MigrationError says that a migration job did not get done.
type MigrationError struct {
	Action   string
	Job      dtr.Job // the last attempt; zero when DTR never started one
	Attempts int
	Log      []string // the last lines of the last attempt
	URL      string   // of DTR's web interface
	// Cause is a *dtr.UnknownStatusError for a status word that is not known, an error
	// that says that no worker has the job any more, or nil.
	Cause error
}

func (e *MigrationError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("job %s %s: %v", e.Action, e.Job.ID, e.Cause)
	}
	if e.Job.ID == "" {
		return fmt.Sprintf("job %s was never started", e.Action)
	}
	return fmt.Sprintf("job %s failed after %d attempts, the last (%s) ended as %q", e.Action, e.Attempts, e.Job.ID, e.Job.Status)
}

func (e *MigrationError) Unwrap() error { return e.Cause }

// BackupError says that there is no backup. Nothing was begun, and nothing is left
// of what was written.
type BackupError struct {
	File         string
	Exists       bool               // the file was there before, and is as it was
	Bootstrapper *BootstrapperError // how the backup's container ended, unless that was well
	Cause        error              // what is wrong with the file, or with what was to be written to it
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

// ArchiveError says that an archive did not bring the images of its version to
// where they are needed.
type ArchiveError struct {
	Version string
	File    string
	Missing []string // images, with the node that lacks them
	Cause   error    // why it could not be loaded; nil when it was
}

func (e *ArchiveError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("load images from %s: %v", e.File, e.Cause)
	}
	return fmt.Sprintf("images that are not there after %s was loaded: %s", e.File, strings.Join(e.Missing, ", "))
}

func (e *ArchiveError) Unwrap() error { return e.Cause }

// DigestError says that an image is not the one that was asked for.
type DigestError struct {
	Image string
	Want  string
	Got   []string
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("image %s has digest %s, not %s", e.Image, strings.Join(e.Got, ", "), e.Want)
}

// ForeignContainerError says that the name of the bootstrapper's container is
// taken by one that this provider did not start.
type ForeignContainerError struct {
	Container string
	Image     string
	Status    string
}

func (e *ForeignContainerError) Error() string {
	return fmt.Sprintf("container %s (%s, %s) was not started by this provider", e.Container, e.Image, e.Status)
}

// MovedError says that the cluster is no longer where a hop begins: somebody else
// has changed it, or is at work on it. The hop was not begun.
type MovedError struct {
	Hop          transition.Hop
	Versions     []*semver.Version // that run; nil when that was not what told
	Bootstrapper string            // that is at work: its container, or the version that it leads to; or ""
}

func (e *MovedError) Error() string {
	if e.Bootstrapper != "" {
		return fmt.Sprintf("hop %s was not begun: another bootstrapper is at work (%s)", hopName(e.Hop), e.Bootstrapper)
	}
	var versions []string
	for _, v := range e.Versions {
		versions = append(versions, v.String())
	}
	return fmt.Sprintf("hop %s was not begun: the cluster runs %s by now", hopName(e.Hop), strings.Join(versions, ", "))
}

// OtherClusterError says that another cluster answers than the one that was meant.
type OtherClusterError struct{ Want, Got string }

func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("this is DTR at %s, not at %s", e.Got, e.Want)
}
