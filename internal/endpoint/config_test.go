package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

func TestNewURL(t *testing.T) {
	tests := map[string]struct {
		in, want string // want is empty when it is refused
	}{
		"https":                {"https://dtr.example.com", "https://dtr.example.com"},
		"bare host":            {"dtr.example.com", "https://dtr.example.com"},
		"bare host and port":   {"dtr.example.com:4443", "https://dtr.example.com:4443"},
		"trailing slash":       {" https://dtr.example.com/ ", "https://dtr.example.com"},
		"IPv6":                 {"https://[2001:db8::1]:4443", "https://[2001:db8::1]:4443"},
		"empty":                {"", ""},
		"http":                 {"http://dtr.example.com", ""},
		"no host":              {"https://", ""},
		"only a port":          {"https://:443", ""},
		"path":                 {"https://dtr.example.com/api/v0", ""},
		"query":                {"https://dtr.example.com?token=pa55word", ""},
		"fragment":             {"https://dtr.example.com#pa55word", ""},
		"password":             {"https://admin:pa55word@dtr.example.com", ""},
		"password, unreadable": {"https://admin:pa55word@dtr.example.com:port", ""},
		"user":                 {"https://admin@dtr.example.com", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e, err := New(Config{Service: "DTR", URL: tt.in})
			switch {
			case tt.want == "" && err == nil:
				t.Errorf("accepted as %s", e.URL())
			case tt.want == "":
				if !strings.HasPrefix(err.Error(), "the URL of DTR ") || strings.Contains(err.Error(), "pa55word") {
					t.Errorf("error %q", err)
				}
			case err != nil:
				t.Error(err)
			case e.URL() != tt.want:
				t.Errorf("URL %q, want %q", e.URL(), tt.want)
			}
		})
	}
}

// TestNewURLSaysWhatToWrite holds that a refusal names the address to write instead.
func TestNewURLSaysWhatToWrite(t *testing.T) {
	for in, want := range map[string]string{
		"http://dtr.example.com:8080/":   `has the scheme "http": only https protects the password; write "https://dtr.example.com:8080"`,
		"https://dtr.example.com/api/v0": `write "https://dtr.example.com"`,
		"http://":                        "names no host",
	} {
		if _, err := New(Config{Service: "DTR", URL: in}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s in it", in, err, want)
		}
	}
}

func TestNewCACert(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := block("CERTIFICATE", s.Certificate().Raw)
	tests := map[string]struct {
		pem string
		ok  bool
	}{
		"none":               {"", true},
		"one":                {good, true},
		"two, with comments": {"# first\n" + good + "# second\n" + good, true},
		"a file name":        {"/etc/ssl/ca.pem", false},
		"blank":              {" \n", false},
		"a key":              {block("EC PRIVATE KEY", []byte("secret")), false},
		"a broken one":       {good + block("CERTIFICATE", []byte("garbage")), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Service: "DTR", URL: "dtr.example.com", CACert: tt.pem})
			if ok := err == nil; ok != tt.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestCertificate(t *testing.T) {
	s := serve(t, text(200, "{}"))
	var untrusted *CertificateError
	t.Run("system roots", func(t *testing.T) {
		e := s.endpoint(t, func(c *Config) { c.CACert = "" })
		err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{}))
		if !errors.As(err, &untrusted) || untrusted.Roots != systemRoots || !strings.Contains(s.URL, untrusted.Host) || untrusted.OtherName() || untrusted.OutOfDate() {
			t.Errorf("error %v", err)
		}
		if e.Verified() != true {
			t.Error("not said to be verified")
		}
	})
	t.Run("other name", func(t *testing.T) {
		e := s.endpoint(t, func(c *Config) { c.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) })
		err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{}))
		if !errors.As(err, &untrusted) || !strings.Contains(untrusted.Roots, s.Certificate().Subject.String()) {
			t.Errorf("error %v", err)
		}
		if !untrusted.OtherName() || untrusted.OutOfDate() || strings.Contains(err.Error(), "PEM") {
			t.Errorf("other name %t, out of date %t: %v", untrusted.OtherName(), untrusted.OutOfDate(), err)
		}
	})
	t.Run("expired", func(t *testing.T) {
		e := s.endpoint(t)
		e.transport.TLSClientConfig.Time = func() time.Time { return s.Certificate().NotAfter.Add(time.Hour) }
		err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{}))
		if !errors.As(err, &untrusted) || untrusted.OtherName() || !untrusted.OutOfDate() || strings.Contains(err.Error(), "PEM") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("insecure", func(t *testing.T) {
		e := s.endpoint(t, func(c *Config) { c.CACert, c.InsecureSkipVerify = "", true })
		if err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{})); err != nil {
			t.Error(err)
		}
		if e.Verified() {
			t.Error("said to be verified")
		}
	})
	if n := s.requests.Load(); n != 1 {
		t.Errorf("%d requests arrived, want the insecure one", n)
	}
}

// TestCertificateNames holds that a certificate, which anybody in the place of a service can make, shows nothing that a terminal takes for a command.
func TestCertificateNames(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"\x1b]0;gone\a\x1b[31m", "a\nError: forged\n", "pa55word.example.com"}
	for i := range 90 { // of a hundred or more Go names none
		names = append(names, fmt.Sprintf("name%d.example.com", i))
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	defer s.Close()
	e, err := New(Config{Service: "Test", URL: s.URL, CACert: endpointtest.CA(s), Retry: Retry{Max: -1}, Secrets: scrub.NewSecrets("pa55word")})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	e.base.Host = "localhost:" + port // which it does not name
	err = e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{}))
	untrusted, ok := errors.AsType[*CertificateError](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	for _, text := range []string{untrusted.Err.Error(), err.Error()} {
		if text != scrub.Line(text) || strings.Contains(text, "pa55word") || len(text) > 800 || !strings.Contains(text, `\x1b]0;gone\x07`) {
			t.Errorf("%d bytes: %q", len(text), text)
		}
	}
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Error("it lost its type")
	}
}

func TestOldTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.StartTLS()
	defer s.Close()
	e, err := New(Config{Service: "Test", URL: s.URL, InsecureSkipVerify: true, Retry: Retry{Max: -1}})
	if err != nil {
		t.Fatal(err)
	}
	var unreachable *UnreachableError
	if err := e.Repeat(t.Context(), Request{Path: "/"}, reader(e, &answer{})); !errors.As(err, &unreachable) {
		t.Errorf("error %v", err)
	}
}
