// Package ucp is the way to the cluster's containers: UCP's login and settings, and the Docker Engine API through UCP or of a single engine.
// It reads, and it starts what it is told to; it decides nothing.
// Of this module's packages it may import endpoint alone.
package ucp

import (
	"context"
	"errors"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// RetryConfig bounds one call; its zero value means the defaults.
type RetryConfig = endpoint.Retry

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
	Retry              RetryConfig
}

// Client talks to one UCP. It is safe for concurrent use.
type Client struct {
	url string
}

var errTODO = errors.New("not implemented yet")

// New checks the configuration. It makes no request.
func New(c Config) (*Client, error) { return &Client{url: c.URL}, nil }

// URL is the address that is asked, without a trailing slash.
func (c *Client) URL() string { return c.url }

// CA is the certificate authority of UCP's own TLS, PEM text. It needs no login.
func (c *Client) CA(ctx context.Context) (string, error) { return "", errTODO }

// Ping asks whether UCP is healthy. It needs no login.
func (c *Client) Ping(ctx context.Context) error { return errTODO }

// RequireContentTrust reports whether UCP refuses images that are not signed. It needs an admin.
func (c *Client) RequireContentTrust(ctx context.Context) (bool, error) { return false, errTODO }

// Login gets a token unless there is one. Calls log in by themselves when they need to.
func (c *Client) Login(ctx context.Context) error { return errTODO }

// Engine is the Docker Engine API of the whole cluster, under the login's token.
func (c *Client) Engine(ctx context.Context) (*Engine, error) { return nil, errTODO }
