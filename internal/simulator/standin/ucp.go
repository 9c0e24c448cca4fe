package standin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/moby/moby/client"
)

// UserAgent is how the User-Agent header of every request of a bootstrapper begins.
const UserAgent = "dtr-bootstrapper/"

// connect logs in to UCP and creates the client of its Docker API.
func (b *bootstrapper) connect(ctx context.Context) error {
	o := b.options
	if o.ucpURL == "" || o.ucpUser == "" || o.ucpPassword == "" {
		return errors.New("The UCP URL, username and password are required")
	}
	address := o.ucpURL
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" {
		return fmt.Errorf("Invalid UCP URL %q", o.ucpURL)
	}
	b.log.info("Validating UCP cert")
	verify := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.ucpInsecure}
	if o.ucpCA != "" {
		verify.RootCAs = x509.NewCertPool()
		if !verify.RootCAs.AppendCertsFromPEM([]byte(o.ucpCA)) {
			return errors.New("The UCP CA is not a PEM certificate")
		}
	}
	transport := &ucpTransport{
		base: &http.Transport{TLSClientConfig: verify, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: false},
		ucp:  base, user: o.ucpUser, password: o.ucpPassword, agent: UserAgent + b.version.String(),
	}
	b.log.info("Connecting to UCP")
	if err := transport.login(ctx, ""); err != nil {
		return fmt.Errorf("Failed to connect to UCP: %w", err)
	}
	b.log.info("health checking ucp")
	api, err := transport.ping(ctx)
	if err != nil {
		return fmt.Errorf("UCP is not healthy: %w", err)
	}
	b.docker, err = client.New(
		client.WithHost("tcp://"+base.Host), client.WithScheme("https"), client.WithHTTPClient(&http.Client{Transport: transport}),
		client.WithAPIVersion(api), client.WithUserAgent(transport.agent),
	)
	return err
}

// ucpTransport puts the token on requests, and logs in again when UCP no
// longer takes it.
type ucpTransport struct {
	base                  *http.Transport
	ucp                   *url.URL
	user, password, agent string

	mu    sync.Mutex
	token string
}

// login gets a new token unless another request has already replaced the old one.
func (t *ucpTransport) login(ctx context.Context, old string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != old {
		return nil
	}
	body, err := json.Marshal(map[string]string{"username": t.user, "password": t.password})
	if err != nil {
		return err
	}
	answer, err := t.send(ctx, http.MethodPost, "/auth/login", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var login struct {
		Token string `json:"auth_token"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&login); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	t.token = login.Token
	return nil
}

// ping checks UCP's health, and returns the Engine API version that it speaks.
func (t *ucpTransport) ping(ctx context.Context) (apiVersion string, err error) {
	answer, err := t.send(ctx, http.MethodGet, "/_ping", nil)
	if err != nil {
		return "", err
	}
	return answer.Header.Get("Api-Version"), answer.Body.Close()
}

// send makes a request to UCP itself; any status but 200 is an error.
func (t *ucpTransport) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, t.ucp.JoinPath(path).String(), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", t.agent)
	answer, err := t.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return answer, nil
}

func (t *ucpTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		t.mu.Lock()
		token := t.token
		t.mu.Unlock()
		try := r.Clone(r.Context())
		try.Header.Set("Authorization", "Bearer "+token)
		if attempt > 0 && r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			try.Body = body
		}
		answer, err := t.base.RoundTrip(try)
		if err != nil || answer.StatusCode != http.StatusUnauthorized || attempt > 0 {
			return answer, err
		}
		_ = answer.Body.Close()
		if err := t.login(r.Context(), token); err != nil {
			return nil, err
		}
	}
}
