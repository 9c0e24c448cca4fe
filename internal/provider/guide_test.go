package provider

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guide is the page that says, for each thing that the vendor's documentation
// asks of an operator, what the provider does about it and which test shows that.
const guide = "../../templates/guides/what-the-provider-does.md"

// security is the page that says what others can do, and which test shows that it is held off.
const security = "../../SECURITY.md"

var (
	testName     = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	testFunction = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\)`)
)

// testFunctions are the names of all tests of this module.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	must(filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range testFunction.FindAllSubmatch(text, -1) {
			found[string(match[1])] = true
		}
		return err
	}))
	return found
}

// TestIndexLinksGuides holds that a reader of the first page finds every guide.
func TestIndexLinksGuides(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("../../templates/index.md.tmpl")
	must(err)
	guides, err := os.ReadDir(filepath.Dir(guide))
	must(err)
	for _, g := range guides {
		if link := "(guides/" + strings.TrimSuffix(g.Name(), ".tmpl") + ")"; !strings.Contains(string(index), link) {
			t.Errorf("the index does not link %s", link)
		}
	}
}

// TestGuideNamesTests holds every row of the tables that say what shows them to
// name tests, and the tests to be there.
func TestGuideNamesTests(t *testing.T) {
	t.Parallel()
	tests := testFunctions(t)
	for page, least := range map[string]int{guide: 20, security: 12} {
		text, err := os.ReadFile(page)
		must(err)
		rows := 0
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			last := strings.TrimSpace(cells[len(cells)-1])
			if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || last == "shown by" {
				continue
			}
			rows++
			names := testName.FindAllStringSubmatch(last, -1)
			if len(cells) != 3 || len(names) == 0 {
				t.Errorf("%s: this row names no test: %s", page, line)
			}
			for _, name := range names {
				if !tests[name[1]] {
					t.Errorf("%s: there is no %s: %s", page, name[1], line)
				}
			}
		}
		if rows < least {
			t.Errorf("%s has %d rows, want %d at least", page, rows, least)
		}
	}
}
