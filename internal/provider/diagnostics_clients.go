package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// The services that are asked, as the clients call them in their errors.
const (
	dtrService = "DTR"
	ucpService = "UCP"
)

// clientDiagnostics words the errors of the clients of DTR, UCP and the engine.
func clientDiagnostics(err error) diag.Diagnostics {
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
		return clientFailure("The provider is not connected", preflight.Sentence(err),
			"Apply what those values depend on first, for example with -target, then plan again.")
	case errors.As(err, &notDTR):
		return clientFailure("There is no DTR at the configured address", preflight.Sentence(err),
			"Set url of the provider to the address of DTR, or to that of the load balancer in front of it.")
	case errors.As(err, &lostJob):
		return clientFailure("It is not known whether DTR started a job", preflight.Sentence(err),
			"Look for the job under System > Job Logs in DTR's web interface. "+adviceApplyAgain)
	case errors.As(err, &dtrAPI) && dtrAPI.Unauthorized():
		return clientFailure("DTR refuses the user name or the password", preflight.Sentence(err),
			"Check username and password of the provider. An access token serves as the password too.")
	case errors.As(err, &dtrAPI) && dtrAPI.Forbidden():
		return clientFailure("The DTR user is not an administrator", preflight.Sentence(err),
			"Set username of the provider to a DTR administrator.")
	case errors.As(err, &ucpAPI) && ucpAPI.Unauthorized() && ucpAPI.Service == ucpService:
		return clientFailure("UCP refuses the user name or the password", preflight.Sentence(err),
			"Check username and password of the provider's ucp. It takes the password itself, not a token.")
	case errors.As(err, &ucpAPI) && errdefs.IsPermissionDenied(err) && ucpAPI.Service == ucpService:
		return clientFailure("The UCP user is not an administrator", preflight.Sentence(err),
			"Set username of the provider's ucp to a UCP administrator.")
	case errors.As(err, &certificate):
		return clientFailure(fmt.Sprintf("The certificate of %s is not trusted", certificate.Service),
			fmt.Sprintf("Host: %s\nTrusted: %s\nError: %v", certificate.Host, certificate.Roots, certificate.Err),
			fmt.Sprintf("Set %s of the provider to the PEM text of the CA that signed it.", caAttribute(certificate.Service)))
	case errors.As(err, &redirect):
		return clientFailure("The address redirects to another host", preflight.Sentence(err),
			"The password is sent to no other host than the configured one.")
	case errors.As(err, &unreachable):
		return clientFailure(preflight.Capital(unreachable.Service)+" does not answer", preflight.Sentence(err),
			"Check that the address is correct and that it can be reached from here. "+adviceRetry)
	case errors.As(err, &response):
		return clientFailure(response.Service+" sent an unexpected response", preflight.Sentence(err),
			"Check that the address leads to "+response.Service+" itself, and not to a portal or a proxy. "+adviceRetry)
	case errors.As(err, &dtrAPI):
		return clientFailure("DTR answers with an error", preflight.Sentence(err), adviceRetry)
	case errors.As(err, &ucpAPI):
		return clientFailure(preflight.Capital(ucpAPI.Service)+" answers with an error", preflight.Sentence(err), adviceRetry)
	}
	return nil
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

// isTransient reports whether a look that failed may succeed by itself later: nobody
// answered, or somebody who is not up yet. A refused password or certificate
// will not.
func isTransient(err error) bool {
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

func clientFailure(summary, seen, todo string) diag.Diagnostics {
	return message{Summary: summary, Seen: seen, Todo: todo}.failures()
}
