//go:build unix

package provider

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const examples = "../../examples"

// exampleDirs are the directories that hold an example.
func exampleDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	must(filepath.WalkDir(examples, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".tf" && !slices.Contains(dirs, filepath.Dir(path)) {
			dirs = append(dirs, filepath.Dir(path))
		}
		return err
	}))
	if len(dirs) == 0 {
		t.Fatal("there are no examples")
	}
	return dirs
}

// cloudBlock is the block that keeps the state in HCP Terraform.
var cloudBlock = regexp.MustCompile(`(?ms)^  cloud {$.*?^  }$`)

// secretVariable is a variable that the user of an example has to set.
var secretVariable = regexp.MustCompile(`variable "(\w*(?:password|token))"`)

// usesProvider is what needs a connection.
var usesProvider = regexp.MustCompile(`(?:resource|data|action) "dtr_`)

// bundleName is an archive that the user of an example has to have.
var bundleName = regexp.MustCompile(`"dtr_images_([0-9.]+)\.tar\.gz"`)

// example is the text of an example's files.
func example(dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	must(err)
	var parts strings.Builder
	for _, f := range files {
		part, err := os.ReadFile(f)
		must(err)
		parts.Write(part)
	}
	return parts.String()
}

// runnable is a text made to run against a cluster: what it leaves to its
// surroundings is added, and the addresses are the cluster's.
func runnable(t *testing.T, text string, c *simulator.Cluster) (_ string, v map[string]string) {
	t.Helper()
	if strings.Contains(text, "dtr_upgrade.main") && !strings.Contains(text, `resource "dtr_upgrade" "main"`) {
		text += "\nresource \"dtr_upgrade\" \"main\" {\n  target_version = \"2.6.15\"\n}\n"
	}
	text = cloudBlock.ReplaceAllString(text, "") // which wants a login there
	if !strings.Contains(text, "required_providers") {
		text += `
			terraform {
			  required_providers {
			    dtr = { source = "dtr-upgrade/dtr" }
			  }
			}`
	}
	v = map[string]string{}
	for _, m := range secretVariable.FindAllStringSubmatch(text, -1) {
		v[m[1]] = c.Password()
	}
	if usesProvider.MatchString(text) && !strings.Contains(text, `provider "dtr"`) {
		text += connectionConfig
		v = connectionValues(c)
	}
	for _, m := range bundleName.FindAllStringSubmatch(text, -1) {
		text = strings.ReplaceAll(text, m[0], `"`+writeBundle(t, m[1])+`"`)
	}
	if strings.Contains(text, `variable "backup_url"`) {
		v["backup_url"] = "https://backups.example.com/dtr.tar?signature=0123456789abcdef"
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(os.WriteFile(ca, []byte(c.CACert()), 0o600))
	database := databaseFile(t, "database")
	mirror, registryCA := registryOf(t, "", "", "2.6.15")
	registryFile := filepath.Join(t.TempDir(), "registry-ca.pem")
	must(os.WriteFile(registryFile, []byte(registryCA), 0o600))
	if strings.Contains(text, `"registry-ca.pem"`) { // a registry that Terraform itself asks, and no engine
		text = strings.ReplaceAll(text, "registry.example.com", strings.TrimPrefix(mirror.URL, "https://"))
	}
	return strings.NewReplacer(
		`"vulnerabilities.tar"`, `"`+database+`"`,
		`"registry-ca.pem"`, `"`+registryFile+`"`,
		"https://dtr.example.com", c.DTRURL(),
		"https://ucp.example.com", c.UCPURL(),
		"https://dtr.production.example.com", c.DTRURL(), // a second cluster of the example
		"https://ucp.production.example.com", c.UCPURL(),
		"ssh://operator@node1.example.com", c.DockerHost(),
		`"admin"`, `"`+c.Username()+`"`,
		`"dtr-ca.pem"`, `"`+ca+`"`,
		`"ucp-ca.pem"`, `"`+ca+`"`,
	).Replace(text), v
}

// TestTerraformExamples plans every example against a DTR 2.5 cluster.
func TestTerraformExamples(t *testing.T) {
	for _, dir := range exampleDirs(t) {
		t.Run(strings.TrimPrefix(dir, examples+"/"), func(t *testing.T) { planExample(t, example(dir)) })
	}
}

// TestTerraformSnippets plans what the README and the guides show beside the examples.
func TestTerraformSnippets(t *testing.T) {
	const readme = "../../README.md"
	pages, err := filepath.Glob(filepath.Join(filepath.Dir(guide), "*"))
	must(err)
	snippets := 0
	for _, page := range append(pages, readme) {
		text, err := os.ReadFile(page)
		must(err)
		found := snippetText.FindAllStringSubmatch(string(text), -1)
		if page == readme && len(found) == 0 {
			t.Error("none was found in the README")
		}
		for _, snippet := range found {
			snippets++
			t.Run(filepath.Base(page), func(t *testing.T) { planExample(t, snippet[1]) })
		}
	}
	if snippets < 10 {
		t.Errorf("%d snippets were found", snippets)
	}
}

// snippetText is a piece of configuration in a page.
var snippetText = regexp.MustCompile("(?s)```terraform\n(.*?)```")

// planExample plans a text against a DTR 2.5 cluster. The CA of those that rely on
// the system's comes from the environment.
func planExample(t *testing.T, text string) {
	t.Helper()
	t.Parallel()
	const runs = "2.5.6"
	cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: runs, Host: host, Workers: 6}))
	if strings.Contains(text, `pull = "never"`) {
		cluster.AddBundle("2.6.15")
	}
	cluster.AddMirror("registry.example.com/mirror/dtr")
	cluster.SetMigration(simulator.MigrationFaults{AlreadyDone: true}) // a job to look at
	cluster.AddCacheService(simulator.CacheService{Image: "docker/dtr-content-cache:2.5.6"})
	cluster.AddCacheContainer("dtr-cache", "docker/dtr-content-cache:2.5.6", "worker3")
	imports := strings.Count(text, "import {") == strings.Count(text, `resource "`) // and has nothing else to do
	text, v := runnable(t, text, cluster)
	text, actions := withoutActions(t, text)
	p := newProcess(t)
	p.setVariables(v)
	p.write(text)
	if strings.Contains(text, "upload") && p.storesUploads() {
		return
	}
	cmd := p.command("plan", "-detailed-exitcode")
	cmd.Env = append(cmd.Env, "DTR_CA_CERT="+cluster.CACert(), "UCP_CA="+cluster.CACert())
	out, _ := cmd.CombinedOutput()
	changes := !imports && strings.Contains(text, `resource "`) || strings.Contains(text, `output "`)
	want := 0
	if changes || strings.Contains(text, "import {") {
		want = 2 // there is something to do
	}
	if code := cmd.ProcessState.ExitCode(); code != want || want == 2 && !changes && !strings.Contains(string(out), " to import, 0 to add, 0 to change, 0 to destroy.") {
		t.Errorf("exit status %d, want %d:\n%s", code, want, out)
	}
	planActions(t, cluster, actions)
	onlyReads(t, cluster)
}
