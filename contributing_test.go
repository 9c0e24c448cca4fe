package main

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dtr-upgrade/terraform-provider-dtr"

// imports are the packages of this module that each of them imports, by their last name.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		paths := strings.Fields(line)
		if strings.Contains(paths[0], "/internal/cmd/") || strings.Contains(paths[0], "/internal/e2e") {
			continue // programs and the end-to-end tests
		}
		of := path.Base(paths[0])
		found[of] = []string{}
		for _, p := range paths[1:] {
			if strings.HasPrefix(p, module) {
				found[of] = append(found[of], path.Base(p))
			}
		}
	}
	return found
}

// TestContributingShowsThePackages holds the picture of the packages and the table of
// them to the packages that there are and to what they import.
func TestContributingShowsThePackages(t *testing.T) {
	t.Parallel()
	contributing, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(contributing), "\n## Architecture\n")
	_, picture, _ := strings.Cut(text, "```\n")
	picture, text, _ = strings.Cut(picture, "```\n")
	table, _, _ := strings.Cut(text, "\nImports go downwards")
	packages := imports(t)

	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*) \\|.*\\|$").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([a-z0-9]+)`").FindAllStringSubmatch(row[1], -1) {
			rows = append(rows, name[1])
		}
	}
	for _, name := range rows {
		if packages[name] == nil {
			t.Errorf("the table has %s, which is no package", name)
		}
	}
	others := []string{path.Base(module), "faults"} // the program, and a package of tests alone
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if !slices.Contains(slices.Concat(rows, others), name) {
			t.Errorf("the table lacks %s", name)
		}
	}

	everywhere := []string{"log", "scrub", "duration"}
	below := []string{"transition", "bootstrap", "dtr", "ucp", "endpoint"}
	arrows := regexp.MustCompile(`(?m)^   ([a-z]+) +─► +([a-z ]+)$`).FindAllStringSubmatch(picture, -1)
	if len(arrows) < 8 {
		t.Errorf("%d packages with what they import were found in\n%s", len(arrows), picture)
	}
	for _, a := range arrows {
		drawn := strings.Fields(a[2])
		for _, name := range drawn {
			if !slices.Contains(packages[a[1]], name) {
				t.Errorf("the picture has %s import %s, which it does not", a[1], name)
			}
		}
		for _, name := range packages[a[1]] {
			if !slices.Contains(slices.Concat(drawn, everywhere, below), name) {
				t.Errorf("the picture lacks that %s imports %s", a[1], name)
			}
		}
	}
}
