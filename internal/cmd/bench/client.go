package main

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

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

const loginPath = "/auth/login"

// client is a client of DTR or UCP that does no more than it has to: HTTP, TLS, JSON.
type client struct {
	http.Client
	info  simulator.Info
	url   string
	token string // of UCP
}

// newClient is for at most so many connections at a time; zero is without a limit.
func newClient(info simulator.Info, url string, connections int) (*client, error) {
	config, err := tlsConfig(info)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, TLSClientConfig: config}
	return &client{Client: http.Client{Transport: transport}, info: info, url: url}, nil
}

// tlsConfig trusts the cluster's CA, and resumes no session.
func tlsConfig(info simulator.Info) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(info.CACert)) {
		return nil, errors.New("the cluster's CA cannot be read")
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

func (c *client) login(ctx context.Context) error {
	var answer struct {
		Token string `json:"auth_token"`
	}
	err := c.call(ctx, http.MethodPost, loginPath, map[string]string{"username": c.info.Username, "password": c.info.Password}, &answer)
	c.token = answer.Token
	return err
}

// get reads an answer to its end and says its status.
func (c *client) get(ctx context.Context, path string) (status int, err error) {
	response, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// call sends a body as JSON, unless it is nil, and decodes the answer, unless it is not wanted.
func (c *client) call(ctx context.Context, method, path string, body, answer any) error {
	response, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

func (c *client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, reader)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	} else if c.url == c.info.DTRURL {
		request.SetBasicAuth(c.info.Username, c.info.Password)
	}
	return c.Do(request)
}
