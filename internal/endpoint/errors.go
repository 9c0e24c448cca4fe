package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
)

// UnreachableError says that no answer came: refused, reset, timed out, no such host.
type UnreachableError struct {
	Service, Method string
	// URL is what was asked, without its query.
	URL string
	// Attempts is how often, at least 1.
	Attempts int
	Err      error
}

func (e *UnreachableError) Error() string {
	tries := ""
	if e.Attempts > 1 {
		tries = fmt.Sprintf(" in %d attempts", e.Attempts)
	}
	return fmt.Sprintf("%s did not answer %s %s%s: %v", e.Service, e.Method, e.URL, tries, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// CertificateError says that the host's certificate is not trusted.
type CertificateError struct {
	Service, Host string
	// Roots names what was trusted, for people.
	Roots string
	Err   error
}

func (e *CertificateError) Error() string {
	advice := "; configure the PEM text of the CA that signed it"
	if e.OutOfDate() || e.OtherName() {
		advice = ""
	}
	return fmt.Sprintf("the TLS certificate of %s at %s is not trusted by %s: %v%s", e.Service, e.Host, e.Roots, e.Err, advice)
}

// OutOfDate reports whether the certificate has expired or is not yet valid.
func (e *CertificateError) OutOfDate() bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](e.Err)
	return ok && invalid.Reason == x509.Expired
}

// OtherName reports whether the certificate is for other hosts.
func (e *CertificateError) OtherName() bool {
	_, ok := errors.AsType[x509.HostnameError](e.Err)
	return ok
}

func (e *CertificateError) Unwrap() error { return e.Err }

// RedirectError says that the service sent the client elsewhere, where it does not go: the credentials are not for another host, and what changes something is not sent again.
// Neither address has a user or a query, which may hold secrets.
type RedirectError struct{ From, To string }

// SameHost reports whether only the page is another one.
func (e *RedirectError) SameHost() bool { return hostOf(e.From) == hostOf(e.To) }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("%s redirects to %s, which was not followed: configure the address that answers itself", e.From, e.To)
}

// ResponseError says that an answer came and made no sense: not what the API describes, cut short, or too long.
type ResponseError struct {
	Service, Method, Path string
	StatusCode            int
	Err                   error
}

func (e *ResponseError) Error() string {
	return fmt.Sprintf("the answer of %s to %s %s (status %d) cannot be used: %v", e.Service, e.Method, e.Path, e.StatusCode, e.Err)
}

func (e *ResponseError) Unwrap() error { return e.Err }

// errTooLarge marks the ResponseError that another attempt would not mend.
var errTooLarge = errors.New("it is too long")

// Unusable is the *ResponseError for an answer.
func (e *Endpoint) Unusable(a *Answer, err error) error {
	return &ResponseError{Service: e.config.Service, Method: a.Method, Path: e.config.Secrets.Mask(a.Path), StatusCode: a.StatusCode, Err: e.config.Secrets.OwnError(err)}
}

// explain types an error of the transport.
func (e *Endpoint) explain(method, url string, attempts int, err error) error {
	if redirect, ok := errors.AsType[*RedirectError](err); ok {
		return e.redirect(redirect)
	}
	err = stripURL(err)
	// A certificate, a proxy or a line that is no HTTP may be quoted.
	shown := e.config.Secrets.OwnError(err)
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &CertificateError{Service: e.config.Service, Host: hostOf(url), Roots: e.roots, Err: e.config.Secrets.OwnError(unverified.Err)}
	}
	return &UnreachableError{Service: e.config.Service, Method: method, URL: e.config.Secrets.Mask(url), Attempts: attempts, Err: shown}
}

// stripURL drops the outer words of net/http, which repeat the URL, its query included.
func stripURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func hostOf(rawURL string) string {
	if u, err := url.Parse(rawURL); err == nil {
		return u.Host
	}
	return rawURL
}
