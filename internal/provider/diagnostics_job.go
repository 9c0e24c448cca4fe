package provider

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/registry"
)

// jobDiagnostics words the errors of jobs and of the vulnerability database.
func jobDiagnostics(err error) diag.Diagnostics {
	var (
		failed   *job.Error
		database *job.DatabaseError
		file     *dtr.FileError
		api      *dtr.APIError
	)
	switch {
	case errors.As(err, &failed):
		return jobFailed(failed).failures()
	case errors.As(err, &database):
		return databaseFailed(database).failures()
	case errors.As(err, &file):
		return diag.Diagnostics{badDatabaseFile(file.Err)}
	case errors.As(err, &api) && api.Code == dtr.CodeScanningNotEnabled:
		return message{
			Summary: "Image scanning is not enabled in DTR", Seen: preflight.Sentence(err),
			Todo: "Without it DTR has no vulnerability database. Enable it under System > Security in DTR's web interface, or remove the resource.",
		}.failures()
	case errors.As(err, &api) && api.Code == dtr.CodeNoSuchJob:
		return message{
			Summary: "DTR has no such job", Seen: preflight.Sentence(err),
			Todo: "Look for its id under System > Job Logs in DTR's web interface. DTR may have dropped the job from its history.",
		}.failures()
	}
	return nil
}

// registryDiagnostics words the errors of image registries.
func registryDiagnostics(err error) diag.Diagnostics {
	tags, ok := errors.AsType[*registry.Error](err)
	if !ok {
		return nil
	}
	return message{
		Summary: "The registry does not list the tags of the repository", Seen: preflight.Sentence(tags),
		Todo: "Check the repository's name, and that its tags can be listed without a login. " +
			"The provider logs in to the DTR that it is configured for, and to no other registry.",
	}.failures()
}

func jobFailed(e *job.Error) message {
	m := message{
		Summary: "The job " + e.Action + " failed",
		Seen:    fmt.Sprintf("Job: %s\nStatus: %s\nAttempts: %d", e.Job.ID, e.Job.Status, e.Attempts),
		Todo:    fmt.Sprintf("The job's log is at %s under System > Job Logs. Fix its cause, then run it again.", e.URL),
		Log:     e.Log,
	}
	if e.Cause != nil {
		m.Seen += "\nError: " + e.Cause.Error()
		m.Summary = "The outcome of the job " + e.Action + " is not known"
		m.Todo = fmt.Sprintf("Look at %s under System > Job Logs for what has become of it.", e.URL)
		if _, unknown := errors.AsType[*dtr.UnknownStatusError](e.Cause); unknown {
			m.Summary = "The job " + e.Action + " has an unknown status"
		}
	}
	return m
}

func databaseFailed(e *job.DatabaseError) message {
	m := message{Log: e.Log}
	seen := "Job: " + orNone(e.Job.ID)
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
		m.Summary, m.Todo = "The update of the vulnerability database has an unknown status", logs+"Apply again once it has ended."
	case errors.Is(e.Cause, job.ErrBusy):
		m.Summary, m.Todo = "The vulnerability database is being updated", logs+"Apply again once that update has ended."
	case errors.As(e.Cause, &early):
		m.Summary, m.Todo = "DTR's scanner does not become ready", "Check that dtr-scanningstore of every replica runs. "+adviceApplyAgain
	case e.Cause != nil:
		m.Summary, m.Todo = "The update of the vulnerability database has stopped", logs+adviceApplyAgain
	default:
		m.Summary, m.Todo = "The vulnerability database could not be updated", logs+"Fix the cause shown there. "+adviceApplyAgain
	}
	if e.Cause != nil {
		seen += "\nError: " + e.Cause.Error()
	}
	m.Seen = seen
	return m
}

// databaseNotNewer says that an update has changed nothing.
func databaseNotNewer(status dtr.ScanStatus) diag.Diagnostic {
	return message{
		Summary: "The vulnerability database is no newer after its update",
		Seen:    fmt.Sprintf("Database: version %d of %s", status.DBVersion, status.DBUpdatedAt.UTC().Format(time.RFC3339)),
		Todo:    "DTR ended the update well, and found nothing newer than it has. If scans fail, or if the file was to be a newer one, update the database again.",
	}.warning()
}

// badDatabaseFile says that there is no file to upload.
func badDatabaseFile(err error) diag.Diagnostic {
	return message{
		Attribute: "file", Summary: "The vulnerability database's file cannot be read", Seen: preflight.Sentence(err),
		Todo: "The file must exist, and be readable, where Terraform plans and where it applies.",
	}.failure()
}

// databaseForgotten says what destroying means.
func databaseForgotten(id string) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Destroying this resource leaves the vulnerability database as it is",
		fmt.Sprintf("DTR at %s keeps its vulnerability database. Terraform only removes it from the state.\n\nTo manage it again, import it.", id))
}

// scanningSwitchedOff says why a refresh has seen nothing.
func scanningSwitchedOff(id string) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Image scanning is not enabled in DTR",
		fmt.Sprintf("DTR at %s does not report its vulnerability database while scanning is disabled. The state is left as it was.\n\n"+
			"Enable it under System > Security in DTR's web interface, or remove the resource.", id))
}

// notConnectedData is the error of a data source that is read too early.
func notConnectedData(e *notConnectedError) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The provider is not connected",
		preflight.Sentence(e)+"\n\nA data source is read by the plan. To have it read by the apply, name the resource that those values come from in its depends_on; "+
			"or apply that resource first, for example with -target.")
}
