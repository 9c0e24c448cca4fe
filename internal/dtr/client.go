// Package dtr is a client of the HTTP API of Docker Trusted Registry 2.x and of its successor, Mirantis Secure Registry.
// It reads the cluster and starts jobs; it decides nothing.
// Of this module's packages it may import endpoint alone.
package dtr

import (
	"context"
	"errors"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// RetryConfig bounds one call; its zero value means the defaults.
type RetryConfig = endpoint.Retry

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
	Retry              RetryConfig
}

// Client talks to one DTR. It is safe for concurrent use.
type Client struct {
	url string
}

// New checks the configuration. It makes no request.
func New(c Config) (*Client, error) { return &Client{url: c.URL}, nil }

var errTODO = errors.New("not implemented yet")

// URL is the address that is asked, without a trailing slash.
func (c *Client) URL() string { return c.url }

// Version is the version of the replica that answered, in its wire form ("2.6.0", "2.7.0-29094adc").
// It needs no login. The error is a *NotDTRError only on positive proof.
func (c *Client) Version(ctx context.Context) (string, error) { return "", errTODO }

// Ping is PingPath with DefaultPingPath.
func (c *Client) Ping(ctx context.Context) (Ping, error) { return c.PingPath(ctx, DefaultPingPath) }

// PingPath asks one replica for its health, in one attempt over a new connection, without a login.
// A replica that says that it is unhealthy is not an error.
func (c *Client) PingPath(ctx context.Context, path string) (Ping, error) { return Ping{}, errTODO }

// Settings are the cluster's settings, the list of replicas among them. It needs an admin.
func (c *Client) Settings(ctx context.Context) (Settings, error) { return Settings{}, errTODO }

// Features says what the cluster has switched on.
func (c *Client) Features(ctx context.Context) (Features, error) { return Features{}, errTODO }

// ClusterStatus is the health of every replica as the replicas reported it. It needs an admin.
func (c *Client) ClusterStatus(ctx context.Context) (ClusterStatus, error) {
	return ClusterStatus{}, errTODO
}

// Workers lists the job runners, one a replica, whose id is the replica's.
func (c *Client) Workers(ctx context.Context) ([]Worker, error) { return nil, errTODO }

// ScanStatus is the state of the vulnerability database.
// An APIError with code CodeScanningNotEnabled says that scanning is off.
func (c *Client) ScanStatus(ctx context.Context) (ScanStatus, error) { return ScanStatus{}, errTODO }

// ContentCaches lists the registered content caches.
func (c *Client) ContentCaches(ctx context.Context) ([]ContentCache, error) { return nil, errTODO }

// Alerts lists the messages that the web interface shows to admins. DTR has them from 2.6 on.
func (c *Client) Alerts(ctx context.Context) ([]Alert, error) { return nil, errTODO }
