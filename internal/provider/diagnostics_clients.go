package provider

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
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
		session      *ucp.SessionError
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
	case errors.As(err, &dtrAPI) && dtrAPI.Code == "" && (dtrAPI.Unauthorized() || dtrAPI.Forbidden()):
		return clientFailure("Something at the address of DTR refuses the request", preflight.Sentence(err),
			"The answer is not in DTR's form. Check that url of the provider leads to DTR itself, and not to UCP, a proxy or a login page. If it does, check username and password.")
	case errors.As(err, &dtrAPI) && dtrAPI.Unauthorized():
		return clientFailure("DTR refuses the user name or the password", preflight.Sentence(err),
			"Check username and password of the provider. An access token serves as the password too.")
	case errors.As(err, &dtrAPI) && dtrAPI.Forbidden():
		return clientFailure("The DTR user is not an administrator", preflight.Sentence(err),
			"Set username of the provider to a DTR administrator.")
	case errors.As(err, &session):
		return clientFailure("UCP ends each session before it is used", preflight.Sentence(err),
			"The user name and the password are right. UCP keeps a limited number of sessions of one user and ends the one used least recently at each new login. "+
				"Raise per_user_limit in UCP's settings (Login session controls), give each configuration a UCP user of its own, or run fewer of them at once (-parallelism). "+
				"If nobody else uses this user, check that a load balancer in front of UCP leads to controllers of one and the same UCP.")
	case errors.As(err, &ucpAPI) && isNotUCP(ucpAPI):
		return clientFailure("There is no UCP at the configured address",
			fmt.Sprintf("No UCP answers at %s: it answered %s %s with status %d.", ucpAPI.URL, ucpAPI.Method, ucpAPI.Path, ucpAPI.StatusCode)+triedFor(err),
			"Check ucp.url of the provider: it is the address of UCP, and url is that of DTR.")
	case errors.As(err, &ucpAPI) && isRefusedOnTheWay(ucpAPI):
		return clientFailure("Something in front of UCP refuses the request", preflight.Sentence(err),
			"UCP answers that request without a login, so this says nothing of the user. Check that ucp.url of the provider leads to UCP itself, and what a proxy or a firewall in between (HTTPS_PROXY, NO_PROXY) lets pass.")
	case errors.As(err, &ucpAPI) && ucpAPI.LoginRefused():
		return clientFailure("UCP refuses the user name or the password", preflight.Sentence(err),
			"Check username and password of the provider's ucp. It takes the password itself, not a token.")
	case errors.As(err, &ucpAPI) && errdefs.IsPermissionDenied(err) && ucpAPI.Service == ucpService:
		return clientFailure("The UCP user is not an administrator", preflight.Sentence(err),
			"Set username of the provider's ucp to a UCP administrator.")
	case errors.As(err, &certificate):
		return clientFailure(fmt.Sprintf("The certificate of %s is not trusted", certificate.Service),
			fmt.Sprintf("Host: %s\nTrusted: %s%s\nError: %v", certificate.Host, certificate.Roots, triedFor(err), certificate.Err),
			adviceCertificate(certificate, fmt.Sprintf("Set %s of the provider to the PEM text of the CA that signed it.", caAttribute(certificate.Service))))
	case errors.As(err, &redirect) && redirect.SameHost():
		return clientFailure("The address redirects to another page", preflight.Sentence(err),
			"What holds a password, or changes something, is not sent to another page. Check that the address leads to the service itself, and not to a login page in front of it.")
	case errors.As(err, &redirect):
		return clientFailure("The address redirects to another host", preflight.Sentence(err),
			"The password is sent to no other host than the configured one.")
	case errors.As(err, &unreachable):
		return clientFailure(preflight.Capital(unreachable.Service)+" does not answer", preflight.Sentence(err), adviceReach(unreachable)+" "+adviceRunAgain)
	case errors.As(err, &response):
		return clientFailure(preflight.Capital(response.Service)+" sent an unexpected response", preflight.Sentence(err),
			adviceAddress(response)+" "+adviceRunAgain)
	case errors.As(err, &dtrAPI):
		return clientFailure("DTR answers with an error", preflight.Sentence(err), adviceRetry)
	case errors.As(err, &ucpAPI):
		return clientFailure(preflight.Capital(ucpAPI.Service)+" answers with an error", preflight.Sentence(err), adviceRetry)
	}
	return nil
}

// triedFor is how long an outage was tolerated, for a text that is not that of the error.
func triedFor(err error) string {
	outage, ok := errors.AsType[*wait.OutageError](err)
	if !ok {
		return ""
	}
	return "\nTried for: " + duration.Text(outage.For)
}

// isNotUCP reports whether an answer shows that something else than UCP gave it: UCP
// never lacks the pages that it serves before a login.
func isNotUCP(e *ucp.APIError) bool {
	return isBeforeLogin(e) && (e.StatusCode == http.StatusNotFound || e.StatusCode == http.StatusMethodNotAllowed)
}

// isRefusedOnTheWay reports whether a refusal cannot be UCP's own.
func isRefusedOnTheWay(e *ucp.APIError) bool {
	return isBeforeLogin(e) && (errdefs.IsPermissionDenied(e) || errdefs.IsUnauthorized(e) && !e.LoginRefused())
}

const loginPath = "/auth/login"

func isBeforeLogin(e *ucp.APIError) bool {
	return e.Service == ucpService && slices.Contains([]string{loginPath, "/ca", "/_ping"}, e.Path)
}

// addressAttribute is the attribute that holds a service's address; "" for one that
// no attribute of the provider names.
func addressAttribute(service string) string {
	switch {
	case service == dtrService:
		return "url of the provider"
	case service == ucpService:
		return "ucp.url of the provider"
	case strings.HasPrefix(service, "the Docker Engine"):
		return "docker.host of the provider"
	}
	return ""
}

// adviceReach says what to do about a service that does not answer. One that has
// answered before has the right address.
func adviceReach(e *endpoint.UnreachableError) string {
	at := cmp.Or(addressAttribute(e.Service), "its address")
	if dns, ok := errors.AsType[*net.DNSError](e.Err); ok && dns.IsNotFound {
		return fmt.Sprintf("Check %s: its host name is not known here.", at)
	}
	return fmt.Sprintf("Check that %s is up and can be reached from here. If it has never answered, check %s.", e.Service, at)
}

// adviceAddress says what to do about a service whose answers make no sense.
func adviceAddress(e *endpoint.ResponseError) string {
	at := cmp.Or(addressAttribute(e.Service), "the address")
	return fmt.Sprintf("Check that %s leads to %s itself, and not to a portal or a proxy.", at, e.Service)
}

// adviceCertificate says what to do about a certificate that is not trusted: unknownCA,
// unless the CA has nothing to do with it.
func adviceCertificate(e *endpoint.CertificateError, unknownCA string) string {
	switch {
	case e.OutOfDate():
		return "Renew the certificate on the server. If it is valid today, check the clock of this machine."
	case e.OtherName():
		return "Use one of the certificate's names in the address, or renew it with the name that the address has."
	}
	return unknownCA
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
	return errors.As(err, &notConnected) || wait.IsOutage(err)
}

func clientFailure(summary, seen, todo string) diag.Diagnostics {
	return message{Summary: summary, Seen: seen, Todo: todo}.failures()
}
