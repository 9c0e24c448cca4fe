package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// writeBundle writes the archive of a version as the vendor names it.
func writeBundle(t *testing.T, version string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "dtr_images_"+version+".tar")
	f, err := os.Create(name)
	must(err)
	must(release.WriteBundle(f, "mirantis/dtr", version))
	must(f.Close())
	return name
}

// TestPlanOfFiles holds what a plan says of the files that a configuration names.
func TestPlanOfFiles(t *testing.T) {
	t.Parallel()
	const warning = "Warning: No backup is taken before the upgrade\n"
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken.tar")
	must(os.WriteFile(taken, []byte("a backup"), 0o600))
	free, nowhere := filepath.Join(dir, "free.tar"), filepath.Join(dir, "nowhere", "free.tar")
	bundle := writeBundle(t, "2.6.15")
	here, err := os.Getwd()
	must(err)
	for name, c := range map[string]struct {
		config values
		want   string // in what the plan says
		not    string // not in it
		fails  bool
	}{
		"no backup, minor":           {values{"target_version": "2.6.15"}, warning, "", false},
		"no backup, patch":           {values{"target_version": "2.5.17"}, "", "backup", false},
		"no backup, nothing due":     {values{"target_version": "2.5.6"}, "", "backup", false},
		"backup":                     {values{"target_version": "2.6.15", "backup": values{"file": free}}, "", "backup", false},
		"backup not known":           {values{"target_version": "2.6.15", "backup": unknown{}}, "", "backup", false},
		"file not known":             {values{"target_version": "2.6.15", "backup": values{"file": unknown{}}}, "", "backup", false},
		"file exists":                {values{"target_version": "2.6.15", "backup": values{"file": taken}}, "Error: The file of the backup exists already\n  at backup.file\n\nFile: " + taken + "\n", "", true},
		"directory does not":         {values{"target_version": "2.6.15", "backup": values{"file": nowhere}}, "Warning: The backup cannot be written\n  at backup.file\n", "", false},
		"exists, and nothing due":    {values{"target_version": "2.5.6", "backup": values{"file": taken}}, "", "backup", false},
		"archive":                    {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": bundle}}}, "", "archive", false},
		"archive is not there":       {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": nowhere}}}, "Error: The image archive of DTR 2.6.15 cannot be used\n  at image.archives[\"2.6.15\"]\n\nFile: " + nowhere + "\n", "", true},
		"archive is a directory":     {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": dir}}}, "is not a regular file", "", true},
		"archive is none":            {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": taken}}}, "It is not an archive of images", "", true},
		"archive is not due":         {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.14": nowhere}}}, "No hop of this plan is to that version\n  at image.archives[\"2.6.14\"]", "cannot be used", false},
		"archive by a relative path": {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": "nowhere/dtr.tar"}}}, "\n\nFile: " + filepath.Join(here, "nowhere", "dtr.tar") + "\n", "", true},
		"backup by a relative path":  {values{"target_version": "2.6.15", "backup": values{"file": "nowhere/dtr.tar"}}, filepath.Join(here, "nowhere"), "", false},
		"archive not known":          {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": unknown{}}}}, "", "archive", false},
		"archive cannot be skipped": {values{
			"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": nowhere}}, "skip_checks": []any{"image"},
		}, "Error: The image archive of DTR 2.6.15 cannot be used", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			p := planner(t, cluster)
			for _, prior := range []values{nil, state(cluster, "2.5.6")} {
				got := p.plan(prior, c.config)
				text := render(got.diags)
				if !strings.Contains(text, c.want) || c.not != "" && strings.Contains(text, c.not) || hasErrors(got.diags) != c.fails {
					t.Errorf("got:\n%s\nwant in it: %q, and not: %q", text, c.want, c.not)
				}
			}
			onlyReads(t, cluster)
		})
	}
}

// TestApplyWithFiles takes a backup and loads archives, once in all although the
// first apply fails.
func TestApplyWithFiles(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"create", "update"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.5.6")
			p := planner(t, cluster, brief())
			file := filepath.Join(t.TempDir(), "dtr-backup.tar")
			config := values{
				"target_version": "2.6.15",
				"image":          values{"archives": values{"2.6.15": writeBundle(t, "2.6.15")}},
				"backup":         values{"file": file},
			}
			var prior values
			if kind == "update" {
				prior = state(cluster, "2.5.6")
			}
			mend := cluster.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/images/load", Status: 500, Body: `{"message":"no space left on device"}`})
			failed := p.apply(prior, config)
			expect(t, failed.diags, "Error: Images could not be loaded\n  at image.archives[\"2.6.15\"]\n")
			if kind == "create" && failed.state != nil {
				t.Error("a create that failed saved a state")
			}
			if kind == "update" {
				prior = failed.values()
			}
			before, err := os.Stat(file)
			must(err)
			mend()

			done := p.apply(prior, config)
			expect(t, done.diags, "")
			runs(t, cluster, "2.6.15")
			if after, err := os.Stat(file); err != nil || !after.ModTime().Equal(before.ModTime()) {
				t.Errorf("the backup was taken again: %v", err)
			}
			steady(t, p, done, config)
		})
	}
}

// TestBackupThatFails holds that the error says that nothing was begun, and that
// the state is the old one.
func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	cluster.SetBootstrapper(simulator.BootstrapperFaults{FatalRecord: "cannot read the tables, as " + cluster.Password()})
	p := planner(t, cluster)
	config := values{"target_version": "2.6.15", "backup": values{"file": filepath.Join(t.TempDir(), "dtr-backup.tar")}}
	failed := p.apply(state(cluster, "2.5.6"), config)
	expect(t, failed.diags, "Error: The backup of DTR failed\n  at backup.file\n")
	expect(t, failed.diags, "Message: cannot read the tables, as ***\n")
	expect(t, failed.diags, "The hop was not begun.")
	wantTarget(t, failed, "2.5.6")
	runs(t, cluster, "2.5.6")
}

// TestTerraformBackup upgrades with both, by Terraform itself.
func TestTerraformBackup(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	file := filepath.Join(t.TempDir(), "dtr-backup.tar")
	config := upgradeTo(`backup = { file = "`+file+`" }`, `image = { archives = { "2.6.15" = "`+writeBundle(t, "2.6.15")+`" } }`)
	inTerraform(t, resource.TestCase{
		Steps: []resource.TestStep{
			{Config: config, ConfigVariables: variables(cluster, "2.6.15")},
			{
				Config: config, ConfigVariables: variables(cluster, "2.6.15"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
			{Config: config, ConfigVariables: variables(cluster, "2.7.8"), ExpectError: says("The file of the backup exists already")},
		},
	})
	runs(t, cluster, "2.6.15")
}
