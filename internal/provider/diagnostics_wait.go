package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/contentcache"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// waitDiagnostics words what is left to go on when a run stops waiting. Joins and
// removals have texts of their own.
func waitDiagnostics(err error) diag.Diagnostics {
	e, ok := errors.AsType[*wait.DetachedError](err)
	if !ok {
		return nil
	}
	m := message{
		Summary: "Terraform stopped before the DTR upgrade was finished",
		Seen:    fmt.Sprintf("Step: %s\nReason: %s", e.Step, detachedReason(e)),
		Todo:    "Nothing was stopped on the cluster. Apply again; it continues from the cluster's current state.",
	}
	switch {
	case e.Step == job.Step:
		m = stoppedWaitingForJob(e)
	case e.Step == contentcache.Step:
		m.Summary = "Terraform stopped waiting for content cache " + e.Name
		m.Seen = "Reason: " + detachedReason(e)
		if len(e.Seen) > 0 {
			m.Seen += "\nLast seen:\n  " + strings.Join(e.Seen, "\n  ")
		}
		m.Todo = "What was started on the cluster continues by itself; it was not stopped. Apply again to wait for it."
	case !e.Opens.IsZero():
		m.Summary = "Terraform stopped waiting for the maintenance window"
		m.Seen = fmt.Sprintf("Opens next: %s\nReason: %s\nNo hop was begun meanwhile.", e.Opens.Format(time.RFC3339), detachedReason(e))
		m.Todo = "Apply again; it continues from the cluster's current state."
	case e.Step == upgrade.StepBackupAlone && len(e.Seen) > 0:
		m.Summary = "Terraform stopped before a backup of DTR was complete"
		m.Seen += waitedFor(e)
		m.Todo = "No backup was begun. Run the action again to wait for it."
	case e.Step == upgrade.StepBackupAlone:
		m.Summary = "Terraform stopped before a backup of DTR was complete"
		m.Todo = "The backup was abandoned, and its file removed. Nothing was stopped on the cluster. Run the action again."
	case e.Step == upgrade.StepUploadAlone:
		m.Summary = "Terraform stopped before a backup of DTR was complete"
		m.Todo = "The backup is complete in its file, and was not uploaded. Send the file by other means, or move it away and run the action again, which takes another backup."
	case e.Step == upgrade.StepUpload:
		m.Summary = "Terraform stopped before the DTR upgrade was begun"
		m.Todo = "The backup is complete, and was not uploaded. Apply again within a day: the file is sent as it is."
	case e.Step == upgrade.StepBackup && len(e.Seen) > 0:
		m.Summary = "Terraform stopped before the DTR upgrade was begun"
		m.Seen += waitedFor(e)
		m.Todo = "No backup was begun. Apply again to wait for it."
	case e.Step == upgrade.StepBackup:
		m.Summary = "Terraform stopped before the DTR upgrade was begun"
		m.Todo = "The backup that this apply was writing was abandoned, and its file removed. Nothing was stopped on the cluster. Apply again."
	case e.Container != "":
		m.Summary = "Terraform stopped waiting for the DTR upgrade"
		m.Seen += fmt.Sprintf("\nContainer: %s\n%s", e.Container, bootstrapperGoesOn)
		m.Todo = adviceAdopt
	case e.Job != "":
		m.Summary = "Terraform stopped waiting for the migration job"
		m.Seen += fmt.Sprintf("\nJob: %s\nThe job continues by itself; it was not stopped.", e.Job)
		m.Todo = "Apply again to wait for it."
	case len(e.Seen) > 0:
		m.Seen += waitedFor(e)
	}
	return m.failures()
}

// waitedFor names what was in the way when the waiting ended.
func waitedFor(e *wait.DetachedError) string { return "\nWaited for: " + strings.Join(e.Seen, ", ") }

// detachedReason is why the waiting ended, and who did not answer then.
func detachedReason(e *wait.DetachedError) string {
	if e.LastError == nil {
		return reason(e.Cause)
	}
	return reason(e.Cause) + "\nLast error: " + preflight.Sentence(e.LastError)
}

const (
	bootstrapperGoesOn = "The bootstrapper continues by itself; it was not stopped."
	adviceAdopt        = "Apply again to wait for it: the run is adopted, and no second one is started."
)

func stoppedWaitingForJob(e *wait.DetachedError) message {
	m := message{
		Summary: "Terraform stopped waiting for a job of DTR",
		Seen:    fmt.Sprintf("Action: %s\nReason: %s", e.Name, detachedReason(e)),
	}
	where := fmt.Sprintf("Look at %s under System > Job Logs", e.URL)
	if e.Job == "" {
		m.Seen += "\nWhether DTR has started the job is not known."
		m.Todo = where + ". Run Terraform again: it looks for the job first."
		return m
	}
	m.Seen += fmt.Sprintf("\nJob: %s\nThe job continues by itself; it was not stopped.", e.Job)
	m.Todo = where + " to see how it ends, or run Terraform again, which waits for the job while it runs."
	return m
}
