//go:build linux

package provider

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// installationText is a piece of the CLI configuration in a page.
var installationText = regexp.MustCompile("(?s)```hcl\n(provider_installation {.*?\n}\n)```")

// TestTerraformMirrors installs the provider as each CLI configuration of the guide says,
// from a directory as `terraform providers mirror` makes it.
func TestTerraformMirrors(t *testing.T) {
	page, err := os.ReadFile("../../templates/guides/air-gapped.md.tmpl")
	must(err)
	found := installationText.FindAllStringSubmatch(string(page), -1)
	if len(found) != 2 {
		t.Errorf("%d configurations were found", len(found))
	}
	files := t.TempDir()
	writeMirror(t, files)
	server := httptest.NewTLSServer(http.StripPrefix("/providers/", http.FileServer(http.Dir(files))))
	t.Cleanup(server.Close)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	must(os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	for _, installation := range found {
		text := strings.NewReplacer("/usr/share/terraform/providers", files, "https://mirror.example.com", server.URL).Replace(installation[1])
		dir, err := terraformtest.New(t.TempDir(), terraformPath(t))
		must(err)
		must(dir.Write("main.tf", terraformtest.RequiredProviders))
		must(dir.Write("mirror.tfrc", text))
		cmd := dir.Command(t.Context(), "init", "-no-color")
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+trusted, "TF_CLI_CONFIG_FILE="+filepath.Join(dir.Path, "mirror.tfrc"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v with\n%s\n%s", err, text, out)
		}
		installed, err := filepath.Glob(filepath.Join(dir.Path, ".terraform/providers/*/dtr-upgrade/dtr", terraformtest.ProviderVersion, "*/terraform-provider-dtr*"))
		if must(err); len(installed) != 1 {
			t.Errorf("%d providers were installed with\n%s", len(installed), text)
		}
	}
}

// writeMirror writes the provider's release as a mirror has it. No program is started from it.
func writeMirror(t *testing.T, files string) {
	t.Helper()
	const version = terraformtest.ProviderVersion
	platform := runtime.GOOS + "_" + runtime.GOARCH
	archive := "terraform-provider-dtr_" + version + "_" + platform + ".zip"
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	program, err := w.Create("terraform-provider-dtr_v" + version)
	must(err)
	_, err = program.Write([]byte("a program"))
	must(err)
	must(w.Close())
	dir := filepath.Join(files, cmp.Or(os.Getenv("TF_ACC_PROVIDER_HOST"), "registry.terraform.io"), "dtr-upgrade", "dtr")
	must(os.MkdirAll(dir, 0o700))
	for name, text := range map[string]string{
		"index.json":      `{"versions": {"` + version + `": {}}}`,
		version + ".json": `{"archives": {"` + platform + `": {"url": "` + archive + `"}}}`,
		archive:           zipped.String(),
	} {
		must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}
