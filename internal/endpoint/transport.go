package endpoint

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"
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
		return &RedirectError{
			From: first.URL.Scheme + "://" + first.URL.Host + first.URL.Path,
			To:   req.URL.Scheme + "://" + req.URL.Host + req.URL.Path,
		}
	}
	return nil
}

// origin is scheme, host and port, the default port spelled out.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
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
	tflog.Debug(req.Context(), "Request", fields, map[string]any{"service": service, "method": req.Method, "path": req.URL.Path})
}
