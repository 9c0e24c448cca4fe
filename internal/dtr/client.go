// Package dtr is a client of the HTTP API of Docker Trusted Registry 2.x and of its successor, Mirantis Secure Registry.
// It reads the cluster and starts jobs; it decides nothing.
// Of this module's packages it may import endpoint and scrub alone.
package dtr

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Config says where a DTR is and who asks.
type Config struct {
	// URL is the external address, "https://dtr.example.com" or the bare host name.
	URL string
	// Username and Password log in; an access token of the user serves as the password.
	Username, Password string
	// CACert is PEM text that replaces the system's roots; empty means the system's.
	CACert string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	UserAgent          string
	Retry              endpoint.Retry
	// Secrets are masked in errors and in the log, and the password becomes one of them; nil means no others.
	Secrets *scrub.Secrets
}

// Client talks to one DTR. It is safe for concurrent use.
//
// Besides the errors named at its methods there are an [APIError] for an answer that is not a success,
// and of package endpoint an UnreachableError, a ResponseError, a CertificateError and a RedirectError.
type Client struct {
	endpoint      *endpoint.Endpoint
	authorization string
}

// New checks the configuration. It makes no request.
func New(c Config) (*Client, error) {
	secrets := cmp.Or(c.Secrets, scrub.NewSecrets())
	secrets.Add(c.Password)
	e, err := endpoint.New(endpoint.Config{
		Service:            "DTR",
		URL:                c.URL,
		CACert:             c.CACert,
		InsecureSkipVerify: c.InsecureSkipVerify,
		UserAgent:          c.UserAgent,
		Secrets:            secrets,
		Retry:              c.Retry,
	})
	if err != nil {
		return nil, err
	}
	client := &Client{endpoint: e}
	if c.Username != "" {
		client.authorization = endpoint.Basic(c.Username, c.Password)
		secrets.Add(strings.TrimPrefix(client.authorization, "Basic "))
	}
	return client, nil
}

// URL is the address that is asked, without a trailing slash.
func (c *Client) URL() string { return c.endpoint.URL() }

// docsPath is the description of the API that every DTR serves, and the only place that tells its version without a login.
const docsPath = "/api/v0/docs.json"

// Version is the version of the replica that answered, in its wire form ("2.6.0", "2.7.0-29094adc").
// It needs no login. The error is a *NotDTRError only on positive proof.
func (c *Client) Version(ctx context.Context) (version string, err error) {
	err = c.endpoint.Repeat(ctx, endpoint.Request{Path: docsPath}, func(a *endpoint.Answer) error {
		version, err = c.readVersion(a)
		return err
	})
	return version, err
}

func (c *Client) readVersion(a *endpoint.Answer) (string, error) {
	// Whoever can put himself between the two without a certificate must not be able to prove anything.
	notDTR := func(reason string, otherwise error) error {
		if c.endpoint.Verified() {
			return &NotDTRError{URL: c.URL(), Reason: reason}
		}
		return otherwise
	}
	if err := c.check(a); err != nil {
		if a.StatusCode == http.StatusNotFound && err.Code == "" {
			return "", notDTR(docsPath+" does not exist", err)
		}
		return "", err
	}
	var text json.RawMessage
	if err := c.endpoint.Decode(a, &text); err != nil { // no JSON, or too much of it: that proves nothing
		return "", err
	}
	var docs apiDocs
	if err := json.Unmarshal(text, &docs); err != nil || !docs.ofDTR() {
		return "", notDTR(docsPath+" is not DTR's description of its API", c.endpoint.Unusable(a, errNotDocs))
	}
	return docs.Info.Version, nil
}

// maxPing bounds what a replica says of its health, in bytes.
const maxPing = 1 << 20

// atMost has a success refused that has more bytes. The function that it returns gives an answer its body.
func atMost(r *endpoint.Request, limit int) func(*endpoint.Answer) {
	var body []byte
	r.Stream = func(text io.Reader) (err error) {
		body, err = io.ReadAll(io.LimitReader(text, int64(limit)+1))
		if len(body) > limit {
			return fmt.Errorf("it has more than %d bytes", limit)
		}
		return err
	}
	return func(a *endpoint.Answer) {
		if a.OK() {
			a.Body = body
		}
	}
}

// Ping asks one replica for its health, in one attempt over a new connection, which a load balancer places anew.
// It needs no login. A replica that says that it is unhealthy is not an error.
func (c *Client) Ping(ctx context.Context, path string) (ping Ping, err error) {
	r := endpoint.Request{Path: path, NewConnection: true}
	whole := atMost(&r, maxPing)
	err = c.endpoint.Once(ctx, r, func(a *endpoint.Answer) error {
		whole(a)
		var body struct {
			Healthy *bool
			Error   string
		}
		decodeErr := c.endpoint.Decode(a, &body)
		if a.StatusCode == http.StatusServiceUnavailable && decodeErr == nil && (body.Healthy != nil || body.Error != "") {
			ping = Ping{Error: body.Error}
			return nil
		}
		if err := c.check(a); err != nil {
			return err
		}
		// /health does not always say more than its status does.
		ping = Ping{Healthy: body.Healthy == nil || *body.Healthy, Error: body.Error}
		return decodeErr
	})
	return ping, err
}

// Settings are the cluster's settings, the list of replicas among them. It needs an admin.
func (c *Client) Settings(ctx context.Context) (s Settings, err error) {
	err = c.get(ctx, "/api/v0/meta/settings", &s)
	return s, err
}

// Features says what the cluster has switched on.
func (c *Client) Features(ctx context.Context) (f Features, err error) {
	err = c.get(ctx, "/api/v0/meta/features", &f)
	return f, err
}

// ClusterStatus is the health of every replica as the replicas reported it. It needs an admin.
func (c *Client) ClusterStatus(ctx context.Context) (status ClusterStatus, err error) {
	err = c.endpoint.Repeat(ctx, c.request("/api/v0/meta/cluster_status", nil), func(a *endpoint.Answer) error {
		status = ClusterStatus{}
		if err := c.reader(&status)(a); err != nil {
			return err
		}
		status.Date, _ = http.ParseTime(a.Header.Get("Date"))
		return nil
	})
	return status, err
}

// request is a GET under the login.
func (c *Client) request(path string, query url.Values) endpoint.Request {
	return endpoint.Request{Path: path, Query: query, Authorization: c.authorization}
}

// get reads JSON under the login.
func (c *Client) get(ctx context.Context, path string, v any) error {
	return c.endpoint.Repeat(ctx, c.request(path, nil), c.reader(v))
}

// reader decodes a successful answer into v.
func (c *Client) reader(v any) func(*endpoint.Answer) error {
	return func(a *endpoint.Answer) error {
		if err := c.check(a); err != nil {
			return err
		}
		return c.endpoint.Decode(a, v)
	}
}

// check is nil for a success.
func (c *Client) check(a *endpoint.Answer) *APIError {
	if a.OK() {
		return nil
	}
	err := &APIError{StatusCode: a.StatusCode, Method: a.Method, Path: c.endpoint.Secrets().Mask(a.Path)}
	var body struct {
		Errors []struct{ Code, Message string } `json:"errors"`
	}
	if json.Unmarshal(a.Body, &body) == nil && len(body.Errors) > 0 {
		err.Code, err.Message = body.Errors[0].Code, c.endpoint.Quote(body.Errors[0].Message)
		if !isCode(err.Code) { // one that is known says nothing but what it says
			err.Code = c.endpoint.Quote(err.Code)
		}
	}
	return err
}
