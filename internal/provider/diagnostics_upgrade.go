package provider

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

func upgradeDiagnostics(err error) diag.Diagnostics {
	var backup *upgrade.BackupError
	var upload *upgrade.UploadError
	var closed *upgrade.ClosedWindowError
	var migration *migration.Error
	var changed *upgrade.ClusterChangedError
	var unfinished *upgrade.UnfinishedError
	switch {
	case errors.As(err, &unfinished):
		return withProgress(unfinished)
	case errors.As(err, &backup):
		return noBackup(backup).failures()
	case errors.As(err, &upload):
		return notUploaded(upload).failures()
	case errors.As(err, &closed):
		return windowClosed(closed).failures()
	case errors.As(err, &migration):
		return migrationFailed(migration).failures()
	case errors.As(err, &changed) && len(changed.Missing) > 0:
		return message{
			Summary: "The cluster is not whole any more", Seen: preflight.Sentence(err),
			Todo: "Nothing was started. Look at the nodes in UCP. " + adviceApplyAgain,
		}.failures()
	case errors.As(err, &changed):
		return message{
			Summary: "The cluster has changed since it was looked at", Seen: preflight.Sentence(err),
			Todo: "Nothing was started. Plan again: another upgrade of this cluster is running, or has finished.",
		}.failures()
	}
	return nil
}

// withProgress words the error of a run that had begun a hop, and says under it how far
// the cluster is.
func withProgress(e *upgrade.UnfinishedError) diag.Diagnostics {
	far := fmt.Sprintf("Hop: %s -> %s", e.Hop.From, e.Hop.To)
	if e.Hop.From.Equal(e.Hop.To) {
		far = fmt.Sprintf("Version: %s", e.Hop.To)
	}
	if e.Replicas > 0 {
		far += fmt.Sprintf(", %d of %d replicas", e.Done, e.Replicas)
	} else {
		far += "; how many replicas are done is not known, since the cluster could not be read"
	}
	far += "\nDTR answers at its address."
	if e.Ping != nil {
		far = strings.TrimSuffix(far, "answers at its address.") + "does not answer well at its address: " + preflight.Sentence(e.Ping)
	}
	var diags diag.Diagnostics
	for _, d := range diagnose(e.Err) {
		m := message{Summary: d.Summary(), Seen: d.Detail(), Todo: far}
		if at, ok := d.(diag.DiagnosticWithPath); ok {
			m.Attribute = at.Path().String()
		}
		diags.Append(m.failure())
	}
	return diags
}

// createPlanned says what a create will do that its plan leaves open, and why an import
// is better.
func createPlanned(host string, path []transition.Hop) diag.Diagnostic {
	versions := []string{path[0].From.String()}
	for _, hop := range path {
		versions = append(versions, hop.To.String())
	}
	return message{
		Summary: "This plan upgrades a cluster that is not in the state",
		Seen:    fmt.Sprintf("DTR at %s: %s", host, strings.Join(versions, " -> ")),
		Todo: fmt.Sprintf("Best import it first: terraform import dtr_upgrade.<name> %s. Without a state Terraform cannot tell that the cluster "+
			"has changed between plan and apply: an apply then ends in an inconsistent final plan, and nothing is done. In that case plan again.", host),
	}.warning()
}

func noBackup(e *upgrade.BackupError) message {
	untouched, again := "The hop was not begun. ", adviceApplyAgain
	if e.Alone {
		untouched, again = "", "Then run the action again."
	}
	m := message{Attribute: "backup.file", Summary: "The backup of DTR failed", Seen: "File: " + e.File}
	if e.Exists {
		m.Summary = "The file of the backup exists already"
		m.Seen += "\nIt was not written for this upgrade, or appeared meanwhile."
		m.Todo = untouched + "No file is overwritten. Move it away, or name another."
		if e.Alone {
			m.Attribute, m.Seen = "file", "File: "+e.File
		}
		return m
	}
	if e.Bootstrapper != nil {
		ended := bootstrapperFailed(e.Bootstrapper)
		m.Seen += "\n" + ended.Seen
		m.Log = ended.Log
	}
	if e.Cause != nil {
		m.Seen += "\nError: " + preflight.Sentence(e.Cause)
	}
	m.Todo = untouched + "Fix what is named above. " + again
	if e.Alone {
		m.Attribute = "file"
	}
	return m
}

// notUploaded is the error of a backup that did not come to its store. Of the store's URL
// it has the host alone.
func notUploaded(e *upgrade.UploadError) message {
	m := message{
		Attribute: "backup.upload", Summary: "The backup of DTR was not uploaded",
		Seen: fmt.Sprintf("File: %s\nHost: %s", e.File, e.Host),
	}
	fix := "Fix what is named above. "
	var status *endpoint.StatusError
	var redirect *endpoint.RedirectError
	var unreachable *endpoint.UnreachableError
	var unusable *endpoint.ResponseError
	var untrusted *endpoint.CertificateError
	switch {
	case errors.As(e.Err, &status):
		m.Seen += fmt.Sprintf("\nStatus: %d %s", status.StatusCode, http.StatusText(status.StatusCode))
		if status.Code+status.Message != "" {
			m.Seen += "\nAnswer: " + strings.TrimPrefix(status.Code+": "+status.Message, ": ")
		}
		if status.StatusCode == http.StatusForbidden || status.StatusCode == http.StatusUnauthorized {
			fix = "A pre-signed URL is for PUT, ends at its time, and takes exactly the headers that it was signed with: make a new one, and check headers. "
		}
	case errors.As(e.Err, &redirect):
		m.Seen += fmt.Sprintf("\nIt redirects to %s, which was not followed.", redirect.To)
		fix = "Use a URL of the host that takes the file itself; with S3, that of the bucket's region. "
	case errors.As(e.Err, &unreachable):
		m.Seen += fmt.Sprintf("\nAttempts: %d\nError: %s", unreachable.Attempts, preflight.Sentence(unreachable.Err))
	case errors.As(e.Err, &unusable):
		m.Seen += fmt.Sprintf("\nStatus: %d %s\nError: The answer cannot be believed: %s.", unusable.StatusCode, http.StatusText(unusable.StatusCode), unusable.Err)
	case errors.As(e.Err, &untrusted):
		m.Seen += "\nError: Its certificate is not trusted: " + untrusted.Err.Error() + "."
		fix = adviceCertificate(untrusted, "Add the CA that signed it to those of the machine that runs Terraform.") + " "
	default:
		m.Seen += "\nError: " + preflight.Sentence(e.Err)
	}
	m.Todo = "The hop was not begun. The backup is complete, and its file is kept. " + fix +
		"Then apply again within a day: the file is sent as it is."
	if e.Alone {
		m.Attribute = "upload"
		m.Todo = "The backup is complete, and its file is kept. " + fix + "Send the file by other means, or move it away and run the action again, which takes another backup."
	}
	if path := (*fs.PathError)(nil); errors.Is(e.Err, endpoint.ErrChanged) || errors.As(e.Err, &path) {
		again := "apply"
		if e.Alone {
			again = "run the action"
		}
		m.Todo = "The file is no longer the backup that was taken, and what the store has may not be it either. " +
			"Find out what has changed it, move it away and " + again + " again: another backup is taken."
	}
	return m
}

// windowClosed is the error of an apply that a maintenance window keeps from going on.
func windowClosed(e *upgrade.ClosedWindowError) message {
	m := message{
		Attribute: "maintenance_window", Summary: "The maintenance window is closed",
		Seen: fmt.Sprintf("Window: %s\nOpens next: %s\nThe hop from %s to %s was not begun.", e.Window, e.Opens.Format(time.RFC3339), e.Hop.From, e.Hop.To),
		Todo: "Apply again then, or set wait of maintenance_window to true. To upgrade at once, remove maintenance_window.",
	}
	if e.TooLate {
		m.Todo = "The time limit of this apply passes before that. Apply again then, or raise create and update of timeouts."
	}
	return m
}

func migrationFailed(e *migration.Error) message {
	m := message{
		Summary: "The migration job " + e.Action + " failed",
		Seen:    fmt.Sprintf("Job: %s\nStatus: %s\nAttempts: %d", e.Job.ID, e.Job.Status, e.Attempts),
		Todo:    fmt.Sprintf("The job's log is at %s under System > Job Logs. Once its cause is fixed, apply again: the job is started again.", e.URL),
		Log:     e.Log,
	}
	var unknown *dtr.UnknownStatusError
	switch {
	case errors.As(e.Cause, &unknown):
		m.Summary = "The migration job " + e.Action + " has an unknown status"
		m.Todo = fmt.Sprintf("Look at the job at %s under System > Job Logs. Apply again once it has ended.", e.URL)
	case e.Job.ID == "":
		m.Summary = "DTR did not start the migration job " + e.Action
		m.Seen = "DTR starts the job by itself after the upgrade, and lists none."
		m.Todo = fmt.Sprintf("Look at %s under System > Job Logs. To have it started, set retriggers of migration to 1 or more and apply again.", e.URL)
	}
	if e.Cause != nil {
		m.Seen += "\nError: " + e.Cause.Error()
	}
	return m
}

// clusterChangedDiagnostic is the error of a plan whose state is not what runs.
func clusterChangedDiagnostic(was, is string) diag.Diagnostic {
	return message{
		Summary: "DTR is not at the version that the state was read with",
		Seen:    fmt.Sprintf("The state says that the cluster runs %s, and it runs %s.", was, is), Todo: "Plan again, with a refresh.",
	}.failure()
}

// notUsed warns of an archive or a digest that no hop asks for.
func notUsed(attribute, version string, hops []transition.Hop) diag.Diagnostic {
	var targets []*semver.Version
	for _, h := range hops {
		targets = append(targets, h.To)
	}
	return message{
		Attribute: fmt.Sprintf("%s[%q]", attribute, version), Summary: "No hop of this plan is to that version",
		Seen: fmt.Sprintf("%s names %s, and the hops of this plan are to %s.", attribute, version, versionList(targets)),
		Todo: "If it was meant for one of these, correct the version. Otherwise it is not used, and may be removed.",
	}.warning()
}

// forgotten says what destroying means.
func forgotten(m *upgradeModel) diag.Diagnostic {
	return message{
		Summary: "Destroying this resource leaves DTR as it is",
		Seen: fmt.Sprintf("DTR at %s goes on running %s. Terraform only removes it from the state.",
			m.ID.ValueString(), m.CurrentVersion.ValueString()),
		Todo: "To manage it again, import it.",
	}.warning()
}
