package provider

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// onlyWarnings are the summaries that no error has.
var onlyWarnings = []string{
	"A backup was broken off", "A rollout from X to X is under way", "Containers of DTR X are made again",
	"Content cache X does not run the version of DTR", "DTR is not at the latest release of version X",
	"The backup of an upgrade that is under way is not uploaded", "The backup will be lost with the worker of HCP Terraform",
	"No backup is taken before the upgrade", "No backup is taken of an upgrade that is under way", "No record of the metadata store migration",
	"Node X of replica X is not ready", "Node X of replica X takes no new containers", "Nodes do not run the Engine that DTR was released with",
	"Replica X must be removed before another one joins", "The cluster has an even number of replicas",
	"The cluster has more replicas than the vendor supports", "The cluster will have an even number of replicas",
	"The memory of the upgrade's node is not known", "The plan was not checked against the DTR cluster", "The migration to X is waited for", "The nodes are on both sides of Engine 18.09",
	"The upgrade interrupted DTR for longer than expected", "The upgrade waits for a migration",
	"There are containers of replicas that DTR does not list", "UCP is not the version that DTR was released with",
	"UCP's content trust setting could not be read", "XX X not upgraded with DTR",
}

// summaryArgument is which argument of a function is the summary of an error.
var summaryArgument = map[string]int{
	"clientFailure": 0, "NewErrorDiagnostic": 0, "AddError": 0, "AddAttributeError": 1, "add": 1, "problem": 0, "busy": 1,
}

// summaryResult are the functions that return the summary of an error first.
var summaryResult = []string{"refusalSummary", "UnhealthyReason"}

var verb = regexp.MustCompile(`%[a-z]`)

// literal is the text of an expression, with an X for all that is not known before it runs.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	case *ast.CallExpr:
		if nameOf(e.Fun) == "Sprintf" {
			return verb.ReplaceAllString(literal(e.Args[0]), "X")
		}
	}
	return "X"
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// summaries are those of the errors in the packages of the product.
func summaries(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	add := func(e ast.Expr) { found[literal(e)] = true }
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if slices.Contains(summaryResult, n.Name.Name) {
				ast.Inspect(n, func(n ast.Node) bool {
					if r, ok := n.(*ast.ReturnStmt); ok {
						add(r.Results[0])
					}
					return true
				})
			}
		case *ast.CallExpr:
			name := nameOf(n.Fun)
			if name == "warning" {
				return false
			}
			if i, ok := summaryArgument[name]; ok && i < len(n.Args) {
				add(n.Args[i])
			}
		case *ast.KeyValueExpr:
			if nameOf(n.Key) == "Summary" {
				add(n.Value)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if name := nameOf(left); (name == "Summary" || name == "summary") && i < len(n.Rhs) {
					add(n.Rhs[i])
				}
			}
		}
		return true
	}
	must(filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"simulator", "cmd", "e2e", "tools"}, d.Name()):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || d.Name() == "function.go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			ast.Inspect(file, look)
		}
		return err
	}))
	delete(found, "X") // another expression has its text
	delete(found, "")
	return slices.Sorted(maps.Keys(found))
}

// TestEveryErrorHasItsHeading holds that the page has a heading for each error, no other
// one, and something under each.
func TestEveryErrorHasItsHeading(t *testing.T) {
	t.Parallel()
	all := summaries(t)
	used := map[string]bool{}
	for _, summary := range all {
		switch h := heading(summary); {
		case slices.Contains(onlyWarnings, summary):
		case h == "":
			t.Errorf("the page has nothing about %q", summary)
		default:
			used[h] = true
		}
	}
	for _, summary := range onlyWarnings {
		if !slices.Contains(all, summary) {
			t.Errorf("nothing warns of %q any more", summary)
		}
	}
	for _, h := range troubleshooting {
		if !used[h] {
			t.Errorf("no error has the heading %q", h)
		}
	}

	page, err := os.ReadFile("../../templates/guides/troubleshooting.md")
	must(err)
	var headings []string
	for _, section := range strings.Split(string(page), "\n### ")[1:] {
		h, text, _ := strings.Cut(section, "\n")
		headings = append(headings, h)
		if text, _, _ = strings.Cut(text, "\n## "); strings.TrimSpace(text) == "" {
			t.Errorf("nothing is said under %q", h)
		}
	}
	if !slices.Equal(headings, troubleshooting) {
		t.Errorf("the page has the headings %q, want %q", headings, troubleshooting)
	}
	anchors := map[string]bool{}
	for _, h := range troubleshooting {
		if anchors[anchor(h)] {
			t.Errorf("two headings have the anchor %s", anchor(h))
		}
		anchors[anchor(h)] = true
	}
}

// TestErrorsEndInTheirLink holds that the last line of an error leads to the page, and
// that a warning's does not.
func TestErrorsEndInTheirLink(t *testing.T) {
	t.Parallel()
	for summary, want := range map[string]string{
		"DTR's address does not tell DTR's health":           "dtrs-address-does-not-tell-dtrs-health",
		"Node worker1 of replica 2cbdae79f078 is down":       "node-node-of-replica-id-is-down",
		"Node worker1 is not ready":                          "node-node-is-not-ready",
		"The Docker Engine at unix:///run/d does not answer": "service-does-not-answer",
		"The content cache does not answer":                  "the-content-cache-does-not-answer",
		"Replica 2cbdae79f078 is not completely at 2.6.15":   "name-is-not-completely-at-version",
		"Not a DTR version":                                  "not-value",
		"Of somebody else":                                   "",
	} {
		s := &server{secrets: (&dtrProvider{}).secrets}
		link := "\n\nMore: " + troubleshootingPage + "#" + want
		if want == "" {
			link = ""
		}
		failure := s.clean([]*tfprotov6.Diagnostic{{Severity: tfprotov6.DiagnosticSeverityError, Summary: summary, Detail: "Seen."}})
		if got := failure[0].Detail; got != "Seen."+link {
			t.Errorf("%s: %q", summary, got)
		}
		warning := s.clean([]*tfprotov6.Diagnostic{{Severity: tfprotov6.DiagnosticSeverityWarning, Summary: summary, Detail: "Seen."}})
		if got := warning[0].Detail; got != "Seen." {
			t.Errorf("the warning %s: %q", summary, got)
		}
	}
}

// framework are the summaries of errors that have no link, since the framework makes them:
// an attribute is missing, or the Terraform is too old for it. Both say what to do.
var framework = []string{"Missing Configuration for Required Attribute", "WriteOnly Attribute Not Allowed"}

// anchors are those of the page that users read.
var anchors = sync.OnceValue(func() map[string]bool {
	page, err := os.ReadFile("../../docs/guides/troubleshooting.md")
	must(err)
	found := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if h, is := strings.CutPrefix(line, "### "); is {
			found[anchor(strings.TrimSpace(h))] = true
		}
	}
	return found
})

// hasLink says whether the last line of an error leads to a heading of the page.
func hasLink(d *tfprotov6.Diagnostic) bool {
	if d.Severity != tfprotov6.DiagnosticSeverityError || slices.Contains(framework, d.Summary) {
		return true
	}
	_, link, _ := strings.Cut(d.Detail, "\n\nMore: "+troubleshootingPage+"#")
	return anchors()[link]
}
