//go:build unix

package provider

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManifestNamesTheProtocol holds what the registry is told of the provider's
// protocol to what the provider says when it is started.
func TestManifestNamesTheProtocol(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../terraform-registry-manifest.json")
	must(err)
	var manifest struct {
		Metadata struct {
			Protocols []string `json:"protocol_versions"`
		} `json:"metadata"`
	}
	must(json.Unmarshal(text, &manifest))

	program, err := os.Executable()
	must(err)
	alias := filepath.Join(t.TempDir(), providerProgram)
	must(os.Symlink(program, alias))
	provider := exec.CommandContext(t.Context(), alias)
	provider.Env = append(os.Environ(), "TF_PLUGIN_MAGIC_COOKIE=d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
	stdout, err := provider.StdoutPipe()
	must(err)
	must(provider.Start())
	greeting, err := bufio.NewReader(stdout).ReadString('\n')
	must(provider.Process.Kill())
	_ = provider.Wait() // which was killed
	must(err)
	// Version of go-plugin's own protocol | version of Terraform's | network | address | form
	fields := strings.Split(greeting, "|")
	if len(fields) < 2 || len(manifest.Metadata.Protocols) != 1 || manifest.Metadata.Protocols[0] != fields[1]+".0" {
		t.Errorf("the manifest names %q, and the provider says %q", manifest.Metadata.Protocols, greeting)
	}
}
