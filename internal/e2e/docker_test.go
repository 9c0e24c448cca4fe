//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/sandbox"
)

// TestWaysToTheEngine runs the bootstrapper on an engine of the configuration's
// choice, for which there are several ways.
func TestWaysToTheEngine(t *testing.T) {
	n := engines.Node("worker2")
	for _, way := range []struct {
		name, docker string
		env          map[string]string
		prepare      func(t *testing.T, w *stage)
	}{
		{name: "unix socket", docker: fmt.Sprintf("{ host = %q }", "unix://"+n.Socket())},
		{name: "environment", docker: "{}", env: map[string]string{"DOCKER_HOST": "unix://" + n.Socket()}},
		{
			name: "TCP with mutual TLS", docker: fmt.Sprintf(`{
    host        = %q
    ca_cert     = file("engine-ca.pem")
    client_cert = file("engine-cert.pem")
    client_key  = file("engine-key.pem")
  }`, n.Host()),
			prepare: func(t *testing.T, w *stage) {
				t.Helper()
				c := engines.Client()
				for name, text := range map[string]string{"engine-ca.pem": c.CA, "engine-cert.pem": c.Cert, "engine-key.pem": c.Key} {
					if err := w.Write(name, text); err != nil {
						t.Fatal(err)
					}
				}
			},
		},
		{
			name: "ssh", docker: fmt.Sprintf("{ host = %q }", "ssh://root@"+n.Address),
			prepare: func(t *testing.T, _ *stage) {
				t.Helper()
				serveSSH(t, n)
			},
		},
	} {
		t.Run(way.name, func(t *testing.T) {
			c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
			repository, _ := publish(t, "2.6.15")
			w := newStage(t, c, settings{Target: "2.6.15", Repository: repository, Docker: way.docker})
			if way.prepare != nil {
				way.prepare(t, w)
			}
			if way.env != nil {
				env := w.Env()
				maps.Copy(env, way.env)
				if err := w.tf.SetEnv(env); err != nil {
					t.Fatal(err)
				}
			}
			w.mustApply(t)
			wantVersion(t, repository, "2.6.15")
			started := 0
			for _, e := range engines.Events() {
				if e.Action == "start" && strings.HasPrefix(e.Name, "dtr-upgrade-") {
					if started++; e.Node != n.Name {
						t.Errorf("the bootstrapper ran on %s", e.Node)
					}
				}
			}
			if started != 1 {
				t.Errorf("%d bootstrapper runs", started)
			}
		})
	}
}

// serveSSH serves the machine of a node to whoever has a key that is made here
// and known to this machine's ssh command. It takes nothing but the key.
func serveSSH(t *testing.T, n *rig.Node) {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"host", "client"} {
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(name)).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(path(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write := func(name, text string) {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("known_hosts", n.Address+" "+read("host.pub"))
	write("authorized_keys", read("client.pub"))
	write("sshd_config", strings.Join([]string{
		"ListenAddress " + n.Address, "HostKey " + path("host"), "PidFile none",
		"AuthorizedKeysFile " + path("authorized_keys"), "StrictModes no", "PermitRootLogin prohibit-password",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no",
		"SetEnv DOCKER_HOST=unix://" + n.Socket(),
	}, "\n"))
	if err := sandbox.Overlay("/etc/ssh/ssh_config", strings.Join([]string{
		"IdentityFile " + path("client"), "IdentitiesOnly yes", "UserKnownHostsFile " + path("known_hosts"),
		"StrictHostKeyChecking yes", "BatchMode yes",
	}, "\n")); err != nil {
		t.Fatal(err)
	}
	if err := n.Serve(t.Context(), n.Address+":22", "sshd", "-D", "-e", "-f", path("sshd_config")); err != nil {
		t.Fatal(err)
	}
}
