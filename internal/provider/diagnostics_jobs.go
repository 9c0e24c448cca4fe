package provider

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/registry"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// jobError words the errors of jobs, of the vulnerability database and of image
// registries; none for any other.
func jobError(err error) diag.Diagnostics {
	var (
		detached *upgrade.JobDetachedError
		job      *upgrade.JobError
		database *upgrade.DatabaseError
		file     *dtr.FileError
		api      *dtr.APIError
		tags     *registry.Error
	)
	switch {
	case errors.As(err, &detached):
		seen, todo := jobDetached(detached)
		return failure("Terraform stopped waiting for a job of DTR", seen, todo)
	case errors.As(err, &job):
		return failure(jobFailed(job))
	case errors.As(err, &database):
		return failure(databaseFailed(database))
	case errors.As(err, &file):
		return diag.Diagnostics{badDatabaseFile(file.Err)}
	case errors.As(err, &tags):
		return failure("The registry does not list the tags of the repository", sentence(tags),
			"Check the repository's name, and that its tags can be listed without a login. "+
				"The provider logs in to the DTR that it is configured for, and to no other registry.")
	case errors.As(err, &api) && api.Code == dtr.CodeScanningNotEnabled:
		return failure("Image scanning is not enabled in DTR", sentence(err),
			"Without it DTR has no vulnerability database. Enable it under System > Security in DTR's web interface, or remove the resource.")
	case errors.As(err, &api) && api.Code == dtr.CodeNoSuchJob:
		return failure("DTR has no such job", sentence(err),
			"Look for its id under System > Job Logs in DTR's web interface. DTR may have dropped the job from its history.")
	}
	return nil
}

func jobDetached(e *upgrade.JobDetachedError) (seen, todo string) {
	seen = fmt.Sprintf("Action: %s\nReason: %s", e.Action, reason(e.Cause))
	where := fmt.Sprintf("Look at %s under System > Job Logs", e.URL)
	if e.Job == "" {
		return seen + "\nWhether DTR has started the job is not known.", where + ". Run Terraform again: it looks for the job first."
	}
	return fmt.Sprintf("%s\nJob: %s\nThe job goes on by itself; it was not stopped.", seen, e.Job),
		where + " to see how it ends, or run Terraform again: while the job is at work it is waited for."
}

func jobFailed(e *upgrade.JobError) (summary, seen, todo string) {
	seen = fmt.Sprintf("Job: %s\nStatus: %s\nAttempts: %d", e.Job.ID, e.Job.Status, e.Attempts)
	summary = "The job " + e.Action + " failed"
	todo = fmt.Sprintf("The job's log is at %s under System > Job Logs. Mend its cause, then run it again.", e.URL)
	if e.Cause != nil {
		seen += "\nError: " + e.Cause.Error()
		summary = "The job " + e.Action + " cannot be followed"
		todo = fmt.Sprintf("Look at %s under System > Job Logs for what has become of it.", e.URL)
		if unknown := (*dtr.UnknownStatusError)(nil); errors.As(e.Cause, &unknown) {
			summary = "The job " + e.Action + " has an unknown status"
		}
	}
	return summary, seen, todo + logLines(e.Log)
}

func databaseFailed(e *upgrade.DatabaseError) (summary, seen, todo string) {
	seen = "Job: " + orNone(e.Job.ID)
	if e.Job.ID != "" {
		seen += "\nStatus: " + string(e.Job.Status)
	}
	if !e.Before.DBUpdatedAt.IsZero() {
		seen += fmt.Sprintf("\nDatabase: version %d of %s", e.Before.DBVersion, e.Before.DBUpdatedAt.UTC().Format(time.RFC3339))
	}
	logs := fmt.Sprintf("The job's log is at %s under System > Job Logs. ", e.URL)
	unknown, early := (*dtr.UnknownStatusError)(nil), (*dtr.APIError)(nil)
	switch {
	case errors.As(e.Cause, &unknown):
		summary, todo = "The update of the vulnerability database has an unknown status", logs+"Apply again once it has ended."
	case errors.As(e.Cause, &early):
		summary, todo = "DTR's scanner does not get ready", "Check that dtr-scanningstore of every replica runs. "+again
	case e.Cause != nil:
		summary, todo = "The update of the vulnerability database has stopped", logs+again
	case e.Failed():
		summary, todo = "The vulnerability database could not be updated", logs+"Mend what it complains about. "+again
	default:
		summary = "The vulnerability database is no newer after its update"
		todo = logs + "DTR ended the update well, and may have found nothing newer than it has. Apply again when there is, or upload a newer file."
	}
	if e.Cause != nil {
		seen += "\nError: " + e.Cause.Error()
	}
	return summary, seen, todo + logLines(e.Log)
}

// badDatabaseFile says that there is no file to upload.
func badDatabaseFile(err error) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(path.Root("file"), "The vulnerability database's file cannot be read",
		sentence(err)+"\n\nThe file has to be there, and readable, where Terraform plans and where it applies.")
}

// databaseForgotten says what destroying means.
func databaseForgotten(id string) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Destroying this resource leaves the vulnerability database as it is",
		fmt.Sprintf("DTR at %s keeps its vulnerability database. Terraform only forgets it.\n\nTo manage it again, import it.", id))
}

// scanningSwitchedOff says why a refresh has seen nothing.
func scanningSwitchedOff(id string) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Image scanning is not enabled in DTR",
		fmt.Sprintf("DTR at %s does not tell of its vulnerability database while scanning is switched off. The state is left as it was.\n\n"+
			"Enable it under System > Security in DTR's web interface, or remove the resource.", id))
}

// notConnectedData is the error of a data source that is read too early.
func notConnectedData(e *notConnectedError) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The provider is not connected",
		sentence(e)+"\n\nA data source is read by the plan. To have it read by the apply, name the resource that those values come from in its depends_on; "+
			"or apply that resource first, for example with -target.")
}
