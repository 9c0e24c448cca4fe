// Package endpoint is the HTTP side that the clients of DTR, UCP and the Docker Engine share: TLS, redirects, retries, limits, and a log line a request.
// It knows none of their APIs, and of this module's packages it imports log and scrub alone.
package endpoint

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Config describes an endpoint that speaks HTTPS.
type Config struct {
	// Service is what answers there, in the words of the log and of errors: "DTR".
	Service string
	// URL is "https://host", with a port if need be, or the bare host.
	URL string
	// CACert is PEM text that replaces the system's roots; empty means the system's.
	CACert string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	UserAgent          string
	// Secrets are masked in the log and in whatever the service says. They may be shared with other endpoints; nil means none.
	Secrets *scrub.Secrets
	Retry   Retry
	// MaxBody bounds an answer, in bytes: 16 MiB when it is zero.
	MaxBody int64
}

// Endpoint sends requests to one address. It is safe for concurrent use.
type Endpoint struct {
	config    Config // its defaults filled in
	base      *url.URL
	roots     string
	verified  bool
	transport *http.Transport
	client    *http.Client
}

// New checks the configuration. It makes no request.
func New(c Config) (*Endpoint, error) {
	base, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL of %s %w", c.Service, err)
	}
	tlsConfig, roots, err := ClientTLS(c.CACert)
	if err != nil {
		return nil, fmt.Errorf("the CA certificate of %s: %w", c.Service, err)
	}
	tlsConfig.InsecureSkipVerify = c.InsecureSkipVerify
	transport := NewTransport()
	transport.TLSClientConfig = tlsConfig

	e := Over(transport, base, c)
	e.roots, e.verified = roots, !c.InsecureSkipVerify
	return e, nil
}

// Over is an endpoint that a transport of the caller's leads to: a Unix socket, an ssh connection, a TLS client certificate.
// The URL and the TLS fields of c are not used. The transport must stay as it is from now on.
func Over(transport *http.Transport, base *url.URL, c Config) *Endpoint {
	c.Retry, c.MaxBody = c.Retry.withDefaults(), cmp.Or(c.MaxBody, defaultMaxBody)
	return &Endpoint{
		config:    c,
		base:      base,
		roots:     "the configured certificates",
		transport: transport,
		client: &http.Client{
			Transport:     logged{service: c.Service, next: newConnections(transport)},
			CheckRedirect: sameHost,
			Timeout:       c.Retry.Attempt,
		},
	}
}

// parseURL accepts the address of a host and nothing else, so that no part of it is ignored unseen.
// Its errors do not repeat the text, which may hold a password by mistake.
func parseURL(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, errors.New("is empty")
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New(`is not valid: write it like "https://registry.example.com"`)
	case u.User != nil:
		return nil, errors.New("holds a user name or a password: configure them apart from it")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	case u.Scheme != "https":
		return nil, fmt.Errorf(`has the scheme %q: only https protects the password; write "https://%s"`, u.Scheme, u.Host)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf(`has more than a host and a port: write "https://%s"`, u.Host)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// URL is the address without a trailing slash.
func (e *Endpoint) URL() string { return e.base.String() }

// Port is the port in the address, empty for the default.
func (e *Endpoint) Port() string { return e.base.Port() }

// Service is what answers there, for people.
func (e *Endpoint) Service() string { return e.config.Service }

// Verified reports whether an answer is known to come from the host that was asked.
func (e *Endpoint) Verified() bool { return e.verified }

// Transport makes the connections. It must not be changed.
func (e *Endpoint) Transport() *http.Transport { return e.transport }

// Limits are the limits in force.
func (e *Endpoint) Limits() Retry { return e.config.Retry }

// Request is one question.
type Request struct {
	// Method is GET when empty.
	Method string
	// Path follows the address: "/api/v0/jobs". What of it comes from elsewhere is escaped by the caller.
	Path  string
	Query url.Values
	// Authorization is the header of that name.
	Authorization string
	// JSON is the body; nil means none.
	JSON []byte
	// NewConnection asks for a connection of its own, which a load balancer places anew.
	NewConnection bool
	// Limit takes the place of the limits on an attempt and on the call, for what takes its time; zero leaves them.
	Limit time.Duration
	// Stream reads the body of a success as it comes, in every attempt from its beginning, and bounds what it keeps of it: the limit on an answer's length is not applied. The Answer has no body then.
	Stream func(io.Reader) error
}

// Basic is the Authorization of HTTP basic authentication.
func Basic(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// Answer is a whole answer, whatever its status.
type Answer struct {
	Method, Path string
	StatusCode   int
	Header       http.Header
	Body         []byte
}

// OK reports a status of success.
func (a *Answer) OK() bool { return a.StatusCode >= 200 && a.StatusCode < 300 }

// Decode reads a JSON answer into v; anything else is a *ResponseError. Every text in it is made one line that can be shown, see [scrub.Line].
func (e *Endpoint) Decode(a *Answer, v any) error { return e.decode(a, v, scrubJSON) }

// DecodeAsWritten is Decode for what is to be sent back: its texts stay as they are, and are not for showing.
func (e *Endpoint) DecodeAsWritten(a *Answer, v any) error {
	return e.decode(a, v, func(text []byte) ([]byte, error) { return text, nil })
}

func (e *Endpoint) decode(a *Answer, v any, texts func([]byte) ([]byte, error)) error {
	err := checkJSON(a.Body, maxElements)
	var text []byte
	if err == nil {
		text, err = texts(a.Body)
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return e.Unusable(a, err)
	}
	return nil
}

// Repeat asks until there is a usable answer: again after a lost connection, a time-out, a status of 429 or 5xx, or a *ResponseError.
// Only for what can be asked twice without harm. The function read turns an answer into a result or an error.
func (e *Endpoint) Repeat(ctx context.Context, r Request, read func(*Answer) error) error {
	req, err := e.build(ctx, r)
	if err != nil {
		return err
	}
	return e.send(req, e.config.Retry.Max, r.Stream, read)
}

// Once asks exactly once.
func (e *Endpoint) Once(ctx context.Context, r Request, read func(*Answer) error) error {
	req, err := e.build(ctx, r)
	if err != nil {
		return err
	}
	if r.Limit > 0 {
		patient, client := *e, *e.client
		client.Timeout, patient.config.Retry.Total, patient.client = r.Limit, r.Limit, &client
		e = &patient
	}
	return e.send(req, 0, r.Stream, read)
}

func (e *Endpoint) build(ctx context.Context, r Request) (*http.Request, error) {
	u := e.base.String() + r.Path
	if len(r.Query) > 0 {
		u += "?" + r.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u, bytes.NewReader(r.JSON))
	if err != nil {
		return nil, fmt.Errorf("%s %s: not a valid request", r.Method, e.config.Secrets.Mask(r.Path))
	}
	req.Header.Set("Accept", "application/json")
	if r.JSON != nil {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	}
	if r.Authorization != "" {
		req.Header.Set("Authorization", r.Authorization)
	}
	if e.config.UserAgent != "" {
		req.Header.Set("User-Agent", e.config.UserAgent)
	}
	req.Close = r.NewConnection
	return req, nil
}

// Mask returns a context whose log lines never show the endpoint's secrets.
func (e *Endpoint) Mask(ctx context.Context) context.Context { return e.config.Secrets.With(ctx) }

// Secrets are the endpoint's, nil for none.
func (e *Endpoint) Secrets() *scrub.Secrets { return e.config.Secrets }

// Quote is the beginning of a text that the service wrote, without the endpoint's secrets.
func (e *Endpoint) Quote(text string) string { return e.config.Secrets.Quote(text) }
