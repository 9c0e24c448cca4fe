// Package ucp is the way to the cluster's containers: UCP's login and settings, and the Docker Engine API, through UCP or of a single engine.
// It reads, and it starts what it is told to; it decides nothing.
// Of this module's packages it may import endpoint and scrub alone.
package ucp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Config says where a UCP is and who asks.
type Config struct {
	// URL is the address of UCP's controllers, "https://ucp.example.com" or the bare host name.
	URL                string
	Username, Password string
	// CACert is PEM text that replaces the system's roots; empty means the system's.
	CACert string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	UserAgent          string
	Retry              endpoint.Retry
	// Patience is how long a request may wait for a session while others of the same user end each one: 10 min when it is zero.
	Patience time.Duration
	// Secrets are masked in errors and in the log, and the password and the tokens become some of them; nil means no others.
	Secrets *scrub.Secrets
}

// Client talks to one UCP. It is safe for concurrent use.
//
// Its errors are an [APIError] for an answer that is not a success, a [SessionError] where no session lasted,
// and of package endpoint an UnreachableError, a ResponseError, a CertificateError and a RedirectError.
type Client struct {
	endpoint *endpoint.Endpoint
	session  *session
	config   Config
	engine   atomic.Pointer[Engine]
}

// New checks the configuration. It makes no request.
func New(c Config) (*Client, error) {
	secrets := cmp.Or(c.Secrets, scrub.NewSecrets())
	secrets.Add(c.Password)
	e, err := endpoint.New(endpoint.Config{
		Service:            "UCP",
		URL:                c.URL,
		CACert:             c.CACert,
		InsecureSkipVerify: c.InsecureSkipVerify,
		UserAgent:          c.UserAgent,
		Secrets:            secrets,
		Retry:              c.Retry,
		MaxBody:            maxBody,
	})
	if err != nil {
		return nil, err
	}
	client := &Client{endpoint: e, config: c}
	client.session = &session{
		login: client.login, service: e.Service(), url: e.URL() + loginPath, try: client.try,
		shortest: e.Limits().WaitMin, longest: e.Limits().WaitMax, patience: cmp.Or(c.Patience, defaultPatience),
	}
	return client, nil
}

// URL is the address that is asked, without a trailing slash.
func (c *Client) URL() string { return c.endpoint.URL() }

// Secrets are what is masked in the client's errors.
func (c *Client) Secrets() *scrub.Secrets { return c.endpoint.Secrets() }

// Engine is the Docker Engine API of the whole cluster, under the login's token.
// The first call logs in and agrees on the API's version; the engine is kept after that.
func (c *Client) Engine(ctx context.Context) (*Engine, error) {
	if e := c.engine.Load(); e != nil {
		return e, nil
	}
	host := strings.TrimPrefix(c.URL(), "https://")
	if c.endpoint.Port() == "" {
		host += ":443" // moby/client dials hijacked connections by itself
	}
	e := &Engine{connection: &connection{
		endpoint:  c.endpoint,
		session:   c.session,
		userAgent: c.config.UserAgent,
		host:      "tcp://" + host,
		scheme:    "https",
	}}
	// The ping needs no login, so both can be under way at once.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Login(gctx) })
	g.Go(func() error { return e.connection.negotiate(gctx) })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	c.engine.CompareAndSwap(nil, e)
	return c.engine.Load(), nil
}

// CA is the certificate authority of UCP's own TLS, PEM text. It needs no login.
func (c *Client) CA(ctx context.Context) (pem string, err error) {
	err = c.endpoint.Repeat(ctx, endpoint.Request{Path: "/ca"}, func(a *endpoint.Answer) error {
		if err := check(c.endpoint, a); err != nil {
			return err
		}
		if _, err := endpoint.ParseCertificates(string(a.Body)); err != nil {
			return c.endpoint.Unusable(a, err)
		}
		pem = string(a.Body)
		return nil
	})
	return pem, err
}

// maxConfig bounds UCP's configuration, in bytes: TOML takes much more memory than its text.
const maxConfig = 1 << 20

// RequireContentTrust reports whether UCP refuses images that are not signed. It needs an admin.
func (c *Client) RequireContentTrust(ctx context.Context) (required bool, err error) {
	r := endpoint.Request{Path: "/api/ucp/config-toml"}
	err = c.session.do(ctx, func(token string) error {
		r.Authorization = bearer(token)
		return c.endpoint.Repeat(ctx, r, func(a *endpoint.Answer) error {
			if err := check(c.endpoint, a); err != nil {
				return err
			}
			if len(a.Body) > maxConfig {
				return c.endpoint.Unusable(a, fmt.Errorf("it is longer than %d bytes", maxConfig))
			}
			required, err = contentTrust(a.Body)
			if err != nil {
				return c.endpoint.Unusable(a, err)
			}
			return nil
		})
	})
	return required, err
}

// Login gets a token unless there is one. Calls log in by themselves when they need to.
func (c *Client) Login(ctx context.Context) error {
	_, err := c.session.get(ctx)
	return err
}

// maxToken bounds a token, in bytes: no server takes a header that is longer.
const maxToken = 16 << 10

// login asks for a new token. A second token for the same user does no harm, so a lost answer is asked for again.
func (c *Client) login(ctx context.Context) (token string, err error) {
	body, err := json.Marshal(map[string]string{"username": c.config.Username, "password": c.config.Password})
	if err != nil {
		return "", err
	}
	r := endpoint.Request{Method: http.MethodPost, Path: loginPath, JSON: body}
	err = c.endpoint.Repeat(ctx, r, func(a *endpoint.Answer) error {
		if err := check(c.endpoint, a); err != nil {
			return err
		}
		var answer struct {
			Token string `json:"auth_token"`
		}
		if err := c.endpoint.DecodeAsWritten(a, &answer); err != nil {
			return err
		}
		if answer.Token == "" || len(answer.Token) > maxToken {
			return c.endpoint.Unusable(a, errors.New("it holds no token"))
		}
		token = answer.Token
		c.endpoint.Secrets().AddToken(token)
		return nil
	})
	return token, err
}

// try asks for something that takes a login and little else.
func (c *Client) try(ctx context.Context, token string) error {
	return c.endpoint.Once(ctx, endpoint.Request{Path: "/nodes", Authorization: bearer(token)}, func(a *endpoint.Answer) error {
		return check(c.endpoint, a)
	})
}
