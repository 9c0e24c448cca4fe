package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

const systemRoots = "the system's root certificates"

// NewTransport is a transport with limits on connecting, and without any on an answer that takes its time.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 16, // requests are made side by side
		IdleConnTimeout:     30 * time.Second,
	}
}

// ClientTLS is a TLS configuration that trusts the certificates of the PEM text alone, or the system's roots when it is empty.
// The second result names what is trusted, for people.
func ClientTLS(caCert string) (*tls.Config, string, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caCert == "" {
		return c, systemRoots, nil
	}
	certs, err := ParseCertificates(caCert)
	if err != nil {
		return nil, "", err
	}
	c.RootCAs = x509.NewCertPool()
	names := make([]string, len(certs))
	for i, cert := range certs {
		c.RootCAs.AddCert(cert)
		names[i] = fmt.Sprintf("%q", cert.Subject.String())
	}
	return c, "the configured CA certificate " + strings.Join(names, ", "), nil
}

// ParseCertificates reads all certificates of a PEM text. Anything else in it, and a text without any, is an error.
func ParseCertificates(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("the PEM text holds a block of type %q where a CERTIFICATE is due", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the PEM text: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no PEM text of a certificate (-----BEGIN CERTIFICATE-----) was found; give the text itself, not the name of a file")
	}
	return certs, nil
}
