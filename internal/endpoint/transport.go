package endpoint

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
)

// maxRedirects is plenty within one host.
const maxRedirects = 5

// sameHost is a redirect policy: a GET may go on at the same host and port over the same scheme; nothing else goes anywhere.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if first.Method != http.MethodGet && first.Method != http.MethodHead {
		return http.ErrUseLastResponse
	}
	if origin(req.URL) != origin(first.URL) || len(via) > maxRedirects {
		return &RedirectError{From: place(first.URL), To: place(req.URL)}
	}
	return nil
}

// elsewhere is a *RedirectError for an answer that sends what is not sent twice to another place, and nil for every other answer.
func (e *Endpoint) elsewhere(req *http.Request, resp *http.Response) error {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return nil
	}
	to, err := resp.Location()
	if err != nil {
		return nil //nolint:nilerr // an answer like others, which says no more than its status
	}
	return e.redirect(&RedirectError{From: place(req.URL), To: place(to)})
}

// redirect cleans what the service says.
func (e *Endpoint) redirect(r *RedirectError) error {
	return &RedirectError{From: e.config.Secrets.Mask(r.From), To: e.config.Secrets.Shown(r.To)}
}

// place is a URL without what does not belong into errors.
func place(u *url.URL) string {
	p := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return p.String()
}

// origin is scheme, host and port, the default port spelled out.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// connections keeps the connections of all requests but those that ask for one of their own.
type connections struct{ kept, single *http.Transport }

func newConnections(kept *http.Transport) connections {
	// A transport that keeps connections has a request with Close go over one of them, and
	// closes it then.
	single := kept.Clone()
	single.DisableKeepAlives = true
	return connections{kept, single}
}

func (c connections) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Close {
		return c.single.RoundTrip(req)
	}
	return c.kept.RoundTrip(req)
}

// logged writes one line a request: neither headers nor bodies nor queries, which could hold secrets.
type logged struct {
	service string
	next    http.RoundTripper
}

func (l logged) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := l.next.RoundTrip(req)
	fields := map[string]any{"elapsed_ms": time.Since(start).Milliseconds()}
	if err != nil {
		fields["error"] = err.Error()
	} else {
		fields["status"] = resp.StatusCode
	}
	logRequest(l.service, req, fields)
	return resp, err
}

// LogResponse writes the line for a request that did not go through the endpoint, but over its transport.
func (e *Endpoint) LogResponse(resp *http.Response) {
	logRequest(e.config.Service, resp.Request, map[string]any{"status": resp.StatusCode})
}

func logRequest(service string, req *http.Request, fields map[string]any) {
	log.Debug(req.Context(), "Request", fields, map[string]any{"service": service, "method": req.Method, "path": req.URL.Path})
}
