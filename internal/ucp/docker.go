package ucp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/connhelper"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// DockerConfig says which Docker Engine to use beside UCP.
type DockerConfig struct {
	// Host is unix:///path, tcp://host:port or ssh://user@host; empty means the local engine's socket.
	Host string
	// CACert, ClientCert and ClientKey are PEM texts for tcp. Without any of them tcp is plain HTTP, which only a loopback address may be.
	CACert, ClientCert, ClientKey string
	// UseEnv takes what is empty here from DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_API_VERSION, as the docker command does,
	// except that TLS, where it is used, is always verified.
	UseEnv    bool
	UserAgent string
	Retry     endpoint.Retry
	// Secrets are masked in errors and in the log; nil means none.
	Secrets *scrub.Secrets
}

// NewEngine connects to a single engine and agrees on the version of its API.
func NewEngine(ctx context.Context, c DockerConfig) (*Engine, error) {
	version := ""
	if c.UseEnv {
		var err error
		if c, err = c.withEnv(); err != nil {
			return nil, err
		}
		version = os.Getenv(client.EnvOverrideAPIVersion)
	}
	if c.Host == "" {
		c.Host = client.DefaultDockerHost
	}
	to, err := c.connection()
	if err != nil {
		return nil, err
	}
	if version == "" {
		err = to.negotiate(ctx)
	} else if to.version, err = agree(version); err != nil {
		err = fmt.Errorf("%s: %w", client.EnvOverrideAPIVersion, err)
	}
	if err != nil {
		return nil, err
	}
	return &Engine{connection: to}, nil
}

func (c DockerConfig) withEnv() (DockerConfig, error) {
	if c.Host == "" {
		c.Host = os.Getenv(client.EnvOverrideHost)
	}
	dir := os.Getenv(client.EnvOverrideCertPath)
	if dir == "" && os.Getenv(client.EnvTLSVerify) != "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return c, fmt.Errorf("%s is set and %s is not: %w", client.EnvTLSVerify, client.EnvOverrideCertPath, err)
		}
		dir = filepath.Join(home, ".docker")
	}
	if dir == "" {
		return c, nil
	}
	for name, text := range map[string]*string{"ca.pem": &c.CACert, "cert.pem": &c.ClientCert, "key.pem": &c.ClientKey} {
		if *text != "" {
			continue
		}
		pem, err := fs.ReadFile(os.DirFS(dir), name)
		if err != nil {
			return c, fmt.Errorf("reading the certificates of the Docker Engine: %w", err)
		}
		*text = string(pem)
	}
	return c, nil
}

// connection is what the configuration describes, without having talked to it.
func (c DockerConfig) connection() (*connection, error) {
	u, err := url.Parse(c.Host)
	if err != nil {
		return nil, errors.New("the host of the Docker Engine is not valid: write it like unix:///var/run/docker.sock, tcp://host:2376 or ssh://user@host")
	}
	if _, ok := u.User.Password(); ok {
		return nil, errors.New("the host of the Docker Engine holds a password, which ssh does not take from there")
	}
	c.Secrets.Add(c.ClientKey)
	transport := endpoint.NewTransport()
	base := &url.URL{Scheme: "http", Host: client.DummyHost}
	to := &connection{host: c.Host}
	switch u.Scheme {
	case "unix":
		err = c.overUnix(transport, u)
	case "tcp":
		err = c.overTCP(transport, u, base)
	case "ssh":
		to.host, err = c.overSSH(transport)
	default:
		err = fmt.Errorf("it has the scheme %q, which is not one of unix, tcp and ssh", u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("the host of the Docker Engine, %s: %w", c.Host, err)
	}
	to.scheme, to.userAgent = base.Scheme, c.UserAgent
	to.endpoint = endpoint.Over(transport, base, endpoint.Config{
		Service:   "the Docker Engine at " + c.Host,
		UserAgent: c.UserAgent,
		Retry:     c.Retry,
		MaxBody:   maxBody,
		Secrets:   c.Secrets,
	})
	return to, nil
}

func (c DockerConfig) overUnix(transport *http.Transport, u *url.URL) error {
	if u.Path == "" || u.Host != "" {
		return errors.New("it names no socket: write it like unix:///var/run/docker.sock")
	}
	dialer := &net.Dialer{}
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", u.Path)
	}
	return nil
}

func (c DockerConfig) overTCP(transport *http.Transport, u, base *url.URL) error {
	if u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" {
		return errors.New("it must be a host and a port: write it like tcp://host:2376")
	}
	base.Host = u.Host
	if c.CACert == "" && c.ClientCert == "" && c.ClientKey == "" {
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return errors.New("without certificates tcp is not encrypted, and UCP's password goes over it: give the CA's, and a client certificate with its key if the engine asks for one")
	}
	tlsConfig, _, err := endpoint.ClientTLS(c.CACert)
	if err != nil {
		return fmt.Errorf("its CA certificate: %w", err)
	}
	if c.ClientCert != "" || c.ClientKey != "" {
		cert, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey))
		if err != nil {
			return fmt.Errorf("the client certificate and its key: %w", err)
		}
		tlsConfig.Certificates = []tls.Certificate{cert}
	}
	base.Scheme = "https"
	transport.TLSClientConfig = tlsConfig
	return nil
}

// overSSH needs the ssh command here and docker 18.09 there. The host it returns is the one for HTTP.
func (c DockerConfig) overSSH(transport *http.Transport) (string, error) {
	helper, err := connhelper.GetConnectionHelper(c.Host)
	if err != nil {
		return "", err
	}
	transport.Proxy = nil
	transport.DialContext = helper.Dialer
	return helper.Host, nil
}
