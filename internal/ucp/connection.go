package ucp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

const (
	// minAPIVersion came with Engine 17.06, the oldest that DTR 2.5 ran on.
	minAPIVersion = "1.30"
	// callLimit bounds a call that is not repeated; one that is has the limits of Retry besides.
	callLimit = 2 * time.Minute
	// transferLimit bounds the transfer of images, which are some gigabytes over a slow line at worst.
	transferLimit = time.Hour
	// maxBody bounds an answer that is read as a whole, in bytes. Long lists are not. Several are asked for at a time.
	maxBody = 4 << 20
)

// connection is the way to an engine: its address, its login and the version of its API.
//
// The version is agreed on here: the negotiation of moby/client refuses everything before 1.40 (Engine 19.03).
type connection struct {
	endpoint  *endpoint.Endpoint
	session   *session
	userAgent string
	// host and scheme are the address as moby/client wants it.
	host, scheme string
	version      string

	mu      sync.Mutex
	clients *clients
}

// clients are the two ways to an engine under one token. The token is among their headers, where it reaches hijacked connections too,
// which a transport of our own would not see; a new token therefore needs new clients.
type clients struct {
	token string
	// api is for calls with an end: repeated where that is harmless, and bounded.
	api *client.Client
	// stream is for answers that take as long as they take.
	stream *client.Client
}

// negotiate reads the newest version that the engine speaks: from a header of the ping or, where something answers that in its place, from /version.
func (c *connection) negotiate(ctx context.Context) error {
	var newest string
	err := c.endpoint.Repeat(ctx, endpoint.Request{Path: "/_ping"}, func(a *endpoint.Answer) error {
		newest = c.endpoint.Quote(a.Header.Get("Api-Version"))
		return check(c.endpoint, a)
	})
	if err != nil {
		return err
	}
	if newest == "" {
		if newest, err = c.askVersion(ctx); err != nil {
			return err
		}
	}
	if c.version, err = agree(newest); err != nil {
		return fmt.Errorf("%s: %w", c.endpoint.Service(), err)
	}
	return nil
}

func (c *connection) askVersion(ctx context.Context) (newest string, err error) {
	err = c.session.do(ctx, func(token string) error {
		r := endpoint.Request{Path: "/version", Authorization: bearer(token)}
		return c.endpoint.Repeat(ctx, r, func(a *endpoint.Answer) error {
			if err := check(c.endpoint, a); err != nil {
				return err
			}
			var v struct {
				APIVersion string `json:"ApiVersion"`
			}
			err := c.endpoint.Decode(a, &v)
			newest = v.APIVersion
			return err
		})
	})
	return newest, err
}

// agree picks the version to use with an engine whose newest is given.
func agree(newest string) (string, error) {
	major, minor, err := parseAPIVersion(newest)
	if err != nil {
		return "", err
	}
	version := fmt.Sprintf("%d.%d", major, minor)
	switch {
	case older(version, minAPIVersion):
		return "", fmt.Errorf("its API version %s is older than %s (Docker Engine 17.06), the oldest supported", newest, minAPIVersion)
	case older(version, client.MaxAPIVersion):
		return version, nil
	default:
		return client.MaxAPIVersion, nil
	}
}

// older compares two versions of the API, 1.9 before 1.30.
func older(version, than string) bool {
	major, minor, _ := parseAPIVersion(version)
	m, n, _ := parseAPIVersion(than)
	return major < m || major == m && minor < n
}

func parseAPIVersion(s string) (major, minor int, err error) {
	a, b, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "v"), ".")
	major, err = strconv.Atoi(a)
	if err == nil {
		minor, err = strconv.Atoi(b)
	}
	if err != nil || major < 0 || minor < 0 {
		return 0, 0, fmt.Errorf("%q is not a version of the Docker Engine API", s)
	}
	return major, minor, nil
}

// under returns the clients for a token.
func (c *connection) under(token string) (*clients, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients != nil && c.clients.token == token {
		return c.clients, nil
	}
	api, err := c.newClient(token, c.endpoint.RoundTripper(), client.WithHTTPResponseHook(noteHead))
	if err != nil {
		return nil, err
	}
	// This one must have an *http.Transport: moby/client takes its dialer and its TLS configuration from there.
	stream, err := c.newClient(token, c.endpoint.Transport(), client.WithHTTPResponseHook(func(answer *http.Response) {
		noteHead(answer)
		c.endpoint.LogResponse(answer)
	}))
	if err != nil {
		return nil, err
	}
	c.clients = &clients{token: token, api: api, stream: stream}
	return c.clients, nil
}

func (c *connection) newClient(token string, transport http.RoundTripper, opts ...client.Opt) (*client.Client, error) {
	headers := map[string]string{}
	if token != "" {
		headers["Authorization"] = bearer(token)
	}
	opts = append(opts,
		client.WithHost(c.host), // before the transport, which it would change
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithScheme(c.scheme),
		client.WithHTTPHeaders(headers),
		client.WithAPIVersion(c.version),
	)
	if c.userAgent != "" {
		opts = append(opts, client.WithUserAgent(c.userAgent))
	}
	return client.New(opts...)
}

// call makes one call of the API, again under a new token as often as UCP ends the session. What says what it is for, to follow "cannot".
func call[T any](ctx context.Context, c *connection, limit time.Duration, what string, f func(context.Context, *client.Client) (T, error)) (result T, err error) {
	err = c.do(ctx, limit, what, func(ctx context.Context, token string) error {
		result, err = ask(ctx, c, token, f)
		return err
	})
	return result, err
}

// ask makes one call of the API under a token.
func ask[T any](ctx context.Context, c *connection, token string, f func(context.Context, *client.Client) (T, error)) (result T, err error) {
	under, err := c.under(token)
	if err != nil {
		return result, err
	}
	ctx, failure := endpoint.KeepFailure(ctx)
	ctx, head := keepHead(ctx)
	result, err = f(ctx, under.api)
	switch {
	case err != nil && failure() != nil:
		return result, failure() // the same, with its type
	case err != nil && (head.status == http.StatusBadGateway || head.status == http.StatusGatewayTimeout):
		return result, gatewayError{c.quoted(err)}
	case err != nil:
		return result, c.quoted(err)
	}
	return result, nil
}

// quoted is an error of moby/client, which repeats all that the engine says.
func (c *connection) quoted(err error) error {
	if cerrdefs.IsNotFound(err) && strings.Contains(err.Error(), "page not found") {
		err = noPageError{err}
	}
	return c.endpoint.Secrets().Error(err)
}

// noPageError is the answer of an engine, or of UCP, to a question that it does not know.
type noPageError struct{ error }

func (e noPageError) Unwrap() []error { return []error{e.error, ErrNoPage} }

// ErrNoPage says that an engine, or UCP, does not know the question. What was asked for may well be there.
var ErrNoPage = errors.New("there is no such page")

// do calls f under a session's token, again under another one when the session ends. The limit is that of each call of f, and not of the wait for a session.
func (c *connection) do(ctx context.Context, limit time.Duration, what string, f func(ctx context.Context, token string) error) error {
	err := c.session.do(ctx, func(token string) error {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took more than %s", duration.Text(limit)))
		defer cancel()
		return withCause(ctx, f(ctx, token))
	})
	return c.failed(ctx, what, err)
}

// head is what moby/client hides of an answer.
type head struct {
	status       int
	date         time.Time
	method, path string
	body         bool // it has, or may have, one
}

type headKey struct{}

// keepHead returns a context for one call, and what will be the head of its last answer. A context that has one keeps it.
func keepHead(ctx context.Context) (context.Context, *head) {
	if h, ok := ctx.Value(headKey{}).(*head); ok {
		return ctx, h
	}
	h := &head{}
	return context.WithValue(ctx, headKey{}, h), h
}

// noteHead is the client's hook for it.
func noteHead(answer *http.Response) {
	if h, ok := answer.Request.Context().Value(headKey{}).(*head); ok {
		h.status = answer.StatusCode
		h.method, h.path, h.body = answer.Request.Method, answer.Request.URL.Path, answer.ContentLength != 0
		h.date, _ = http.ParseTime(answer.Header.Get("Date"))
	}
}

// gatewayError is the answer of a gateway that does not reach the engine, for which moby/client has no class.
type gatewayError struct{ error }

func (e gatewayError) Unwrap() []error { return []error{e.error, cerrdefs.ErrUnavailable} }

// failed gives an error its context.
func (c *connection) failed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: cannot %s: %w", c.endpoint.Service(), what, withCause(ctx, err))
}

// withCause is the error with the cause for which the context ended, where it has.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// none is the result of a call that has none.
type none = struct{}
