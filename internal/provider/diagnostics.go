package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// What stands under every failure: a run is continued by running it again, and
// needs no repair of the state.
const (
	again = "Then apply again: it goes on from where the cluster is."
	once  = "Once that is mended, run Terraform again: it goes on from where the cluster is."
)

// The services that are asked, as the clients call them in their errors.
const (
	dtrService = "DTR"
	ucpService = "UCP"
)

// diagnose turns an error of a look or a run into diagnostics; none for nil.
//
// Every typed error of the packages below has its text here and nowhere else.
// The order matters: the errors of a run wrap those of the clients.
func diagnose(err error) diag.Diagnostics {
	if err == nil {
		return nil
	}
	var (
		replica      *upgrade.ReplicaError
		preflight    *upgrade.PreflightError
		closed       *upgrade.ClosedWindowError
		detached     *upgrade.DetachedError
		bootstrapper *upgrade.BootstrapperError
		verify       *upgrade.VerifyError
		migration    *upgrade.MigrationError
		digest       *upgrade.DigestError
		foreign      *upgrade.ForeignContainerError
		moved        *upgrade.MovedError
		noReplicas   *upgrade.NoReplicasError
		other        *upgrade.OtherClusterError
		refusal      *transition.Refusal
		mixed        *transition.MixedError
	)
	if diags := fileProblem(err); diags != nil {
		return diags
	}
	switch {
	case errors.As(err, &replica):
		return replicaFailure(replica)
	case errors.As(err, &other):
		return diag.Diagnostics{changedCluster(other.Want, other.Got)}
	case errors.As(err, &preflight):
		return findings(preflight.Findings.Errors())
	case errors.As(err, &closed):
		return windowClosed(closed)
	case errors.As(err, &detached):
		return failure(stoppedWaiting(detached))
	case errors.As(err, &bootstrapper):
		return failure(bootstrapperFailed(bootstrapper))
	case errors.As(err, &verify):
		return failure(notVerified(verify))
	case errors.As(err, &migration):
		return failure(migrationFailed(migration))
	case errors.As(err, &digest):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root("image").AtName("digests"),
			"The bootstrapper's image is not the one that was asked for",
			fmt.Sprintf("Image: %s\nExpected: %s\nFound: %s\n\nNothing was started. Correct the digest, or find out who changed the image.",
				digest.Image, digest.Want, orNone(strings.Join(digest.Got, ", "))))}
	case errors.As(err, &foreign):
		return failure("Another container has the name of the bootstrapper's",
			fmt.Sprintf("Container: %s\nImage: %s\nStatus: %s", foreign.Container, foreign.Image, foreign.Status),
			"The name is the lock against two upgrades at a time. Wait until that container has ended, or remove it if it is a left-over. "+again)
	case errors.As(err, &moved):
		return failure("The cluster has moved since it was looked at", sentence(err),
			"Nothing was started. Plan again: somebody else is upgrading this cluster, or has.")
	case errors.As(err, &noReplicas):
		return failure("UCP shows no replica of DTR",
			sentence(err),
			"Check that the provider's ucp is the UCP that this DTR runs on, and that its user may see all containers.")
	case errors.As(err, &refusal):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root(refusal.Attribute()), refusal.Summary(), refusal.Detail())}
	case errors.As(err, &mixed):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root("target_version"), mixed.Summary(), mixed.Detail())}
	}
	if diags := jobError(err); diags != nil {
		return diags
	}
	if diags := cacheError(err); diags != nil {
		return diags
	}
	return clientError(err)
}

// clientError words the errors of the clients of DTR, UCP and the engine.
func clientError(err error) diag.Diagnostics {
	var (
		notConnected *notConnectedError
		notDTR       *dtr.NotDTRError
		dtrAPI       *dtr.APIError
		ucpAPI       *ucp.APIError
		lostJob      *dtr.LostJobError
		certificate  *endpoint.CertificateError
		redirect     *endpoint.RedirectError
		unreachable  *endpoint.UnreachableError
		response     *endpoint.ResponseError
	)
	switch {
	case errors.As(err, &notConnected):
		return failure("The provider is not connected", sentence(err),
			"Apply what those values depend on first, for example with -target, then plan again.")
	case errors.As(err, &notDTR):
		return failure("There is no DTR at the configured address", sentence(err),
			"Set url of the provider to the address of DTR, or to that of the load balancer in front of it.")
	case errors.As(err, &lostJob):
		return failure("It is not known whether DTR started a job", sentence(err),
			"Look for the job under System > Job Logs in DTR's web interface. "+again)
	case errors.As(err, &dtrAPI) && dtrAPI.Unauthorized():
		return failure("DTR refuses the user name or the password", sentence(err),
			"Check username and password of the provider. An access token serves as the password too.")
	case errors.As(err, &dtrAPI) && dtrAPI.Forbidden():
		return failure("The DTR user is not an administrator", sentence(err),
			"Set username of the provider to a DTR administrator.")
	case errors.As(err, &ucpAPI) && ucpAPI.Unauthorized() && ucpAPI.Service == ucpService:
		return failure("UCP refuses the user name or the password", sentence(err),
			"Check username and password of the provider's ucp. It takes the password itself, not a token.")
	case errors.As(err, &ucpAPI) && errdefs.IsPermissionDenied(err) && ucpAPI.Service == ucpService:
		return failure("The UCP user is not an administrator", sentence(err),
			"Set username of the provider's ucp to a UCP administrator.")
	case errors.As(err, &certificate):
		return failure(fmt.Sprintf("The certificate of %s is not trusted", certificate.Service),
			fmt.Sprintf("Host: %s\nTrusted: %s\nError: %v", certificate.Host, certificate.Roots, certificate.Err),
			fmt.Sprintf("Set %s of the provider to the PEM text of the CA that signed it.", caAttribute(certificate.Service)))
	case errors.As(err, &redirect):
		return failure("The address redirects to another host", sentence(err),
			"The password is sent to no other host than the configured one.")
	case errors.As(err, &unreachable):
		return failure(capital(unreachable.Service)+" does not answer", sentence(err),
			"Check that the address is right and that it can be reached from here. "+once)
	case errors.As(err, &response):
		return failure("The answer of "+response.Service+" makes no sense", sentence(err),
			"Check that the address leads to "+response.Service+" itself, and not to a portal or a proxy. "+once)
	case errors.As(err, &dtrAPI):
		return failure("DTR answers with an error", sentence(err), once)
	case errors.As(err, &ucpAPI):
		return failure(capital(ucpAPI.Service)+" answers with an error", sentence(err), once)
	case errors.Is(err, context.Canceled):
		return failure("Terraform was interrupted", "The cluster was being looked at; nothing was changed.", "Run it again.")
	}
	return failure("The cluster could not be worked on", sentence(err), once)
}

// caAttribute is the attribute of the provider that holds a service's CA.
func caAttribute(service string) string {
	switch service {
	case dtrService:
		return "ca_cert"
	case ucpService:
		return "ucp.ca_cert"
	}
	return "docker.ca_cert"
}

// mayHeal says whether a look that failed may succeed by itself later: nobody
// answered, or somebody who is not up yet. A refused password or certificate
// will not.
func mayHeal(err error) bool {
	var notConnected *notConnectedError
	var unreachable *endpoint.UnreachableError
	var response *endpoint.ResponseError
	var dtrAPI *dtr.APIError
	var ucpAPI *ucp.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &notConnected), errors.As(err, &unreachable), errors.As(err, &response):
		return true
	case errors.As(err, &dtrAPI):
		return dtrAPI.StatusCode >= 500
	case errors.As(err, &ucpAPI):
		return ucpAPI.StatusCode >= 500
	}
	return errdefs.IsInternal(err) || errdefs.IsUnavailable(err) || errdefs.IsDeadlineExceeded(err)
}

func stoppedWaiting(e *upgrade.DetachedError) (summary, seen, todo string) {
	seen = fmt.Sprintf("Step: %s\nReason: %s", e.Step, reason(e.Cause))
	switch {
	case !e.Opens.IsZero():
		return stoppedWaitingForWindow(e)
	case e.Step == upgrade.StepBackup:
		return "Terraform stopped before the DTR upgrade was begun", seen,
			"A backup that this apply was writing is given up, and its file removed. Nothing was stopped on the cluster. Apply again."
	case e.Container != "":
		return "Terraform stopped waiting for the DTR upgrade",
			fmt.Sprintf("%s\nContainer: %s\nThe bootstrapper goes on by itself; it was not stopped.", seen, e.Container),
			"Apply again to wait for it: the run is adopted, and no second one is started."
	case e.Job != "":
		return "Terraform stopped waiting for the migration job",
			fmt.Sprintf("%s\nJob: %s\nThe job goes on by itself; it was not stopped.", seen, e.Job),
			"Apply again to wait for it."
	}
	return "Terraform stopped before the DTR upgrade was finished", seen, "Nothing was stopped on the cluster. Apply again: it goes on from where the cluster is."
}

func reason(cause error) string {
	if errors.Is(cause, context.Canceled) {
		return "Terraform was interrupted."
	}
	return sentence(cause)
}

func bootstrapperFailed(e *upgrade.BootstrapperError) (summary, seen, todo string) {
	lines := []string{"Image: " + e.Image, "Container: " + e.Container}
	if e.Missing {
		return "The DTR bootstrapper's container was removed", strings.Join(lines, "\n") + "\nIt was removed by somebody else before its exit status could be read.",
			"Make sure that nothing cleans up containers during the upgrade. " + again
	}
	lines = append(lines, fmt.Sprintf("Exit status: %d", e.ExitCode))
	if e.Fatal != "" {
		lines = append(lines, "Message: "+e.Fatal)
	}
	switch {
	case e.Failure != nil:
		lines = append(lines, "Cause: "+e.Failure.Cause)
		todo = strings.TrimSuffix(e.Failure.Remedy, ".") + ". " + again
	case len(e.Log) > 0:
		todo = "Mend what its log complains about. " + again
	default:
		todo = "It left no log. Look for the reason on the node that ran it. " + again
	}
	return "The DTR bootstrapper failed", strings.Join(lines, "\n"), todo + logLines(e.Log)
}

func notVerified(e *upgrade.VerifyError) (summary, seen, todo string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s after the bootstrapper ended, the cluster is not whole at %s:", e.After.Round(time.Second), e.Target)
	who := e.Problems[0].ReplicaID
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %s", p)
		if p.ReplicaID != who {
			who = ""
		}
	}
	summary = fmt.Sprintf("DTR did not come up whole at %s", e.Target)
	if who != "" {
		summary = fmt.Sprintf("Replica %s did not come up whole at %s", who, e.Target)
	}
	return summary, b.String(), "A bootstrapper that says it succeeded is no proof. Look at what is named above. " + again
}

func migrationFailed(e *upgrade.MigrationError) (summary, seen, todo string) {
	seen = fmt.Sprintf("Job: %s\nStatus: %s\nAttempts: %d", e.Job.ID, e.Job.Status, e.Attempts)
	todo = fmt.Sprintf("The job's log is at %s under System > Job Logs. Once its cause is mended, apply again: the job is started anew.", e.URL)
	summary = "The migration job " + e.Action + " failed"
	var unknown *dtr.UnknownStatusError
	switch {
	case errors.As(e.Cause, &unknown):
		summary = "The migration job " + e.Action + " has an unknown status"
		todo = fmt.Sprintf("Look at the job at %s under System > Job Logs. Apply again once it has ended.", e.URL)
	case e.Job.ID == "":
		summary = "DTR did not start the migration job " + e.Action
		seen = "DTR starts the job by itself after the upgrade, and none is to be found."
		todo = fmt.Sprintf("Look at %s under System > Job Logs. To have it started, set retriggers of migration to 1 or more and apply again.", e.URL)
	}
	if e.Cause != nil {
		seen += "\nError: " + e.Cause.Error()
	}
	return summary, seen, todo + logLines(e.Log)
}

// logLines is the end of a log as the end of a detail.
func logLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\n\nThe last lines of its log:\n  " + strings.Join(lines, "\n  ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func failure(summary, seen, todo string) diag.Diagnostics {
	return diag.Diagnostics{diag.NewErrorDiagnostic(summary, seen+"\n\n"+todo)}
}

// findings turns what preflight found into diagnostics, on the attribute that
// the user can change.
func findings(found upgrade.Findings) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, f := range found {
		d := diag.Diagnostic(diag.NewErrorDiagnostic(f.Summary, f.Detail))
		if f.Severity == upgrade.Warning {
			d = diag.NewWarningDiagnostic(f.Summary, f.Detail)
		}
		if f.Attribute != "" {
			d = diag.WithPath(attributeAt(f.Attribute), d)
		}
		diags.Append(d)
	}
	return diags
}

// followUps are the warnings of a run that its plan has not shown already.
func followUps(warnings upgrade.Findings) diag.Diagnostics {
	var after upgrade.Findings
	for _, f := range warnings {
		switch f.Check {
		case upgrade.FollowUpContentCache, upgrade.FollowUpVulnerabilityDatabase, upgrade.FollowUpInterruption:
			after = append(after, f)
		}
	}
	return findings(after)
}

// notChecked warns of a plan that was made without a look at the cluster.
func notChecked(why error) diag.Diagnostic {
	return diag.NewWarningDiagnostic("The plan was not checked against the DTR cluster",
		sentence(why)+"\n\nWhat apply would do is not known. Apply looks at the cluster first, and changes nothing where it finds an error.")
}

// moved is the error of a plan whose state is not what runs.
func moved(was, is string) diag.Diagnostic {
	return diag.NewErrorDiagnostic("DTR is not at the version that the state was read with",
		fmt.Sprintf("The state says that the cluster runs %s, and it runs %s.\n\nPlan again, with a refresh.", was, is))
}

// forgotten says what destroying means.
func forgotten(m *upgradeModel) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Destroying this resource leaves DTR as it is",
		fmt.Sprintf("DTR at %s goes on running %s. Terraform only forgets it.\n\nTo manage it again, import it.", m.ID.ValueString(), m.CurrentVersion.ValueString()))
}

// gone says why a resource is removed from the state.
func gone(id string, e *dtr.NotDTRError) diag.Diagnostic {
	return diag.NewWarningDiagnostic("There is no DTR at the configured address any more",
		fmt.Sprintf("%s\n\nTerraform forgets %s. If DTR only moved, correct the provider's url and import it again.", sentence(e), id))
}

func otherCluster(asked, found string) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The provider is connected to another DTR cluster",
		fmt.Sprintf("The import is for %q, and the external host of the DTR at the provider's url is %q.\n\nImport %q, or point the provider at the other cluster.", asked, found, found))
}

// changedCluster says that the state is that of another cluster than the one that
// answers.
func changedCluster(known, found string) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The provider is connected to another DTR cluster",
		fmt.Sprintf("The state, or the plan, is that of %q, and the external host of the DTR at the provider's url is %q.\n\n"+
			"Point the provider at the cluster of the state. If it is the same cluster under a new name, remove the resource from the state with terraform state rm, and import it again.", known, found))
}

var errNoBool = errors.New("it takes true or false")

// missingSetting is an attribute of the provider that is set nowhere.
func missingSetting(at path.Path, env string) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(at, "A setting of the provider is missing",
		fmt.Sprintf("Neither the provider's %s nor the environment variable %s is set.\n\nSet one of them.", at, env))
}

func badEnvironment(at path.Path, env string, err error) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(at, fmt.Sprintf("The environment variable %s cannot be used", env), sentence(err))
}
