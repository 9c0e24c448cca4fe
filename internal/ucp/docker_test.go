package ucp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	s := newServer(t, "1.41", handlers{"GET /version": file("version.json")})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = listener
	s.Start()
	e, err := NewEngine(t.Context(), DockerConfig{Host: "unix://" + socket, Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := e.Version(t.Context()); err != nil || v != (Version{Engine: "17.06.2-ee-16"}) {
		t.Errorf("%+v, error %v", v, err)
	}
	if len(s.asked("GET /v1.41/version")) != 1 {
		t.Errorf("asked %q", s.requests)
	}
	s.Close()
	var unreachable *endpoint.UnreachableError
	if _, err := e.Version(t.Context()); !errors.As(err, &unreachable) || !strings.Contains(err.Error(), socket) {
		t.Errorf("error %v", err)
	}
}

func TestPlainTCP(t *testing.T) {
	s := newServer(t, "1.30", handlers{"GET /info": file("info.json")})
	s.Start()
	e, err := NewEngine(t.Context(), DockerConfig{Host: strings.Replace(s.URL, "http:", "tcp:", 1), Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Memory(t.Context()); err != nil {
		t.Error(err)
	}
}

// identity makes a certificate and its key; a nil parent means a CA of its own.
func identity(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return cert, key, block("CERTIFICATE", der), block("EC PRIVATE KEY", keyDER)
}

// serveMutualTLS starts an engine that asks for a client certificate, and returns what a client needs.
func serveMutualTLS(t *testing.T) (s *server, c DockerConfig) {
	t.Helper()
	ca, caKey, caPEM, _ := identity(t, "Test CA", nil, nil)
	serverCert, serverKey, _, _ := identity(t, "engine", ca, caKey)
	_, _, clientPEM, clientKeyPEM := identity(t, "client", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	s = newServer(t, "1.30", handlers{"GET /info": file("info.json"), "GET /containers/x/json": file("container.json")})
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{serverCert.Raw}, PrivateKey: serverKey}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12,
	}
	s.StartTLS()
	return s, DockerConfig{
		Host:   strings.Replace(s.URL, "https:", "tcp:", 1),
		CACert: caPEM, ClientCert: clientPEM, ClientKey: clientKeyPEM, Retry: quick,
	}
}

func TestMutualTLS(t *testing.T) {
	s, good := serveMutualTLS(t)
	_, _, otherCA, _ := identity(t, "Other CA", nil, nil)
	_, _, otherCert, otherKey := identity(t, "client of no CA", nil, nil)

	t.Run("right", func(t *testing.T) {
		e, err := NewEngine(t.Context(), good)
		if err != nil {
			t.Fatal(err)
		}
		if memory, err := e.Memory(t.Context()); err != nil || memory == 0 {
			t.Errorf("%d bytes, error %v", memory, err)
		}
	})
	s.mu.Lock()
	s.requests = nil
	s.mu.Unlock()
	for name, change := range map[string]func(*DockerConfig){
		"no client certificate":     func(c *DockerConfig) { c.ClientCert, c.ClientKey = "", "" },
		"another's certificate":     func(c *DockerConfig) { c.ClientCert, c.ClientKey = otherCert, otherKey },
		"another CA":                func(c *DockerConfig) { c.CACert = otherCA },
		"the system's roots":        func(c *DockerConfig) { c.CACert = "" },
		"no TLS":                    func(c *DockerConfig) { c.CACert, c.ClientCert, c.ClientKey = "", "", "" },
		"a certificate, no key":     func(c *DockerConfig) { c.ClientKey = "" },
		"a key, no certificate":     func(c *DockerConfig) { c.ClientCert = "" },
		"the key of another":        func(c *DockerConfig) { c.ClientKey = otherKey },
		"a CA that is none":         func(c *DockerConfig) { c.CACert = "ca.pem" },
		"a certificate's path":      func(c *DockerConfig) { c.ClientCert, c.ClientKey = "cert.pem", "key.pem" },
		"clear text over a network": func(c *DockerConfig) { c.Host = "tcp://192.0.2.1:2375" },
		"a host without its port":   func(c *DockerConfig) { c.Host = "tcp://127.0.0.1" },
		"a host with a path":        func(c *DockerConfig) { c.Host += "/docker" },
		"a host that cannot parse":  func(c *DockerConfig) { c.Host = "tcp://127.0.0.1:port" },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			_, err := NewEngine(t.Context(), c)
			if err == nil {
				t.Error("no error")
			}
			var untrusted *endpoint.CertificateError
			if (name == "another CA" || name == "the system's roots") && !errors.As(err, &untrusted) {
				t.Errorf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "PRIVATE KEY") {
				t.Errorf("a key is in the error %v", err)
			}
		})
	}
	if len(s.requests) > 0 {
		t.Errorf("answered %q", s.requests)
	}
}

func TestSSH(t *testing.T) {
	// Without an ssh server only the construction can be tried: the dialer runs the ssh command with these arguments.
	dir := t.TempDir()
	const script = "#!/bin/sh\necho \"$@\" >\"${0%/*}/args\"\nexit 1\n" // beside itself
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := NewEngine(ctx, DockerConfig{Host: "ssh://me@node1.example.com:2222", Retry: endpoint.Retry{Max: -1}})
	if _, ok := errors.AsType[*endpoint.UnreachableError](err); !ok {
		t.Errorf("error %v", err)
	}
	args, err := os.ReadFile(filepath.Join(dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-l me", "-p 2222", "node1.example.com", "docker system dial-stdio"} {
		if !strings.Contains(string(args), want) {
			t.Errorf("ssh %s: no %q", args, want)
		}
	}
}

func TestHosts(t *testing.T) {
	for name, host := range map[string]string{
		"a password":      "ssh://me:pa55word@node1.example.com",
		"another scheme":  "npipe:////./pipe/docker_engine",
		"https":           "https://node1.example.com:2376",
		"no scheme":       "/var/run/docker.sock",
		"no socket":       "unix://",
		"a relative one":  "unix://docker.sock",
		"ssh to nowhere":  "ssh://",
		"ssh and a query": "ssh://node1.example.com?x=1",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewEngine(t.Context(), DockerConfig{Host: host}); err == nil || strings.Contains(err.Error(), "pa55word") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	unset := func(t *testing.T) {
		t.Helper()
		for _, name := range []string{"DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION"} {
			t.Setenv(name, "")
		}
	}
	s, c := serveMutualTLS(t)
	dir := filepath.Join(t.TempDir(), ".docker")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"ca.pem": c.CACert, "cert.pem": c.ClientCert, "key.pem": c.ClientKey} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fromEnv := DockerConfig{UseEnv: true, Retry: quick}
	tests := map[string]struct {
		env    map[string]string
		config DockerConfig
		api    string // empty when it fails
	}{
		"all of it":        {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_CERT_PATH": dir, "DOCKER_TLS_VERIFY": "1"}, fromEnv, "1.30"},
		"always verified":  {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_CERT_PATH": dir}, fromEnv, "1.30"},
		"in the home":      {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_TLS_VERIFY": "1", "HOME": filepath.Dir(dir)}, fromEnv, "1.30"},
		"a version":        {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_CERT_PATH": dir, "DOCKER_API_VERSION": "1.35"}, fromEnv, "1.35"},
		"no version":       {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_CERT_PATH": dir, "DOCKER_API_VERSION": "new"}, fromEnv, ""},
		"too old":          {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_CERT_PATH": dir, "DOCKER_API_VERSION": "1.24"}, fromEnv, ""},
		"no certificates":  {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_CERT_PATH": t.TempDir()}, fromEnv, ""},
		"no home":          {map[string]string{"DOCKER_HOST": c.Host, "DOCKER_TLS_VERIFY": "1", "HOME": ""}, fromEnv, ""},
		"given beside it":  {map[string]string{"DOCKER_HOST": "tcp://192.0.2.1:1", "DOCKER_CERT_PATH": dir}, DockerConfig{UseEnv: true, Host: c.Host, Retry: quick}, "1.30"},
		"not to be looked": {map[string]string{"DOCKER_HOST": "tcp://192.0.2.1:1", "DOCKER_API_VERSION": "1.35"}, c, "1.30"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			unset(t)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			e, err := NewEngine(t.Context(), tt.config)
			if (err == nil) != (tt.api != "") || err == nil && e.connection.version != tt.api {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if _, err := e.Memory(t.Context()); err != nil {
				t.Error(err)
			}
			if len(s.asked("GET /v"+tt.api+"/info")) == 0 {
				t.Errorf("asked %q", s.requests)
			}
		})
	}
}
