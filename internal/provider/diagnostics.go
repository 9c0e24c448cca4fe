package provider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// What stands under most failures: a run is continued by running it again, and
// needs no repair of the state.
const (
	adviceApplyAgain = "Then apply again; it continues from the cluster's current state."
	adviceRunAgain   = "Then run Terraform again."
	adviceRetry      = "Fix this and run Terraform again."
)

// message is the text of one diagnostic.
type message struct {
	Attribute string // as Terraform's language writes it, backup.file; "" when changing none would help
	Summary   string
	Seen      string // what was observed, with values
	Todo      string // what to do about it
	Log       []string
}

func (m message) diagnostic(d diag.Diagnostic) diag.Diagnostic {
	if m.Attribute != "" {
		return diag.WithPath(parsePath(m.Attribute), d)
	}
	return d
}

func (m message) detail() string {
	end := ""
	if len(m.Log) > 0 {
		lines := make([]string, len(m.Log))
		for i, line := range m.Log {
			lines[i] = scrub.Cut(scrub.Line(line), scrub.MaxQuote)
		}
		end = "\n\nThe last lines of its log:\n  " + strings.Join(lines, "\n  ")
	}
	// What was seen may be long, and what to do about it is not to be cut off for it.
	seen := scrub.Cut(shortIDs(m.Seen), max(scrub.MaxError/4, scrub.MaxError-scrub.MaxLine/4-len(m.Todo)-len(end)))
	return strings.TrimSpace(seen+"\n\n"+m.Todo) + end
}

var longID = regexp.MustCompile(`(^|[^:0-9a-f])([0-9a-f]{12})[0-9a-f]{52}\b`)

// shortIDs shortens the ids of containers as docker does. A digest stays whole.
func shortIDs(text string) string { return longID.ReplaceAllString(text, "$1$2") }

func (m message) failure() diag.Diagnostic {
	return m.diagnostic(diag.NewErrorDiagnostic(m.Summary, m.detail()))
}

func (m message) warning() diag.Diagnostic {
	return m.diagnostic(diag.NewWarningDiagnostic(m.Summary, m.detail()))
}

func (m message) failures() diag.Diagnostics { return diag.Diagnostics{m.failure()} }

// diagnose turns an error of a look or a run into diagnostics; none for nil. Every
// typed error of the packages below has its text in the function of its package
// and nowhere else. The order matters: the errors of a run wrap those of the
// clients.
func diagnose(err error) diag.Diagnostics {
	if err == nil {
		return nil
	}
	for _, word := range []func(error) diag.Diagnostics{
		replicaDiagnostics, upgradeDiagnostics, contentCacheDiagnostics, preflightDiagnostics, waitDiagnostics, runnerDiagnostics,
		imagesDiagnostics, clusterDiagnostics, transitionDiagnostics, jobDiagnostics, registryDiagnostics, clientDiagnostics,
	} {
		if diags := word(err); diags != nil {
			return diags
		}
	}
	if errors.Is(err, context.Canceled) {
		return message{
			Summary: "Terraform was interrupted", Seen: "The cluster was being looked at; nothing was changed.", Todo: "Run it again.",
		}.failures()
	}
	return message{Summary: "The cluster could not be worked on", Seen: preflight.Sentence(err), Todo: adviceRetry}.failures()
}

// reason is why something ended before it was done.
func reason(cause error) string {
	if errors.Is(cause, context.Canceled) {
		return "Terraform was interrupted."
	}
	return preflight.Sentence(cause)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// parsePath is the path of an attribute as Terraform's language writes it:
// backup.file, image.archives["2.6.15"].
func parsePath(text string) path.Path {
	names, key, keyed := strings.Cut(text, "[")
	steps := strings.Split(names, ".")
	at := path.Root(steps[0])
	for _, name := range steps[1:] {
		at = at.AtName(name)
	}
	if keyed {
		if name, err := strconv.Unquote(strings.TrimSuffix(key, "]")); err == nil {
			at = at.AtMapKey(name)
		}
	}
	return at
}

// missingSetting is an attribute of the provider that is set nowhere.
func missingSetting(at path.Path, env string) diag.Diagnostic {
	return message{
		Attribute: at.String(), Summary: "A setting of the provider is missing",
		Seen: fmt.Sprintf("Neither the provider's %s nor the environment variable %s is set.", at, env), Todo: "Set one of them.",
	}.failure()
}

// noProgress is a warning: an upgrade does not depend on who watches it.
func noProgress(name string, err error) diag.Diagnostic {
	return message{
		Attribute: "progress_file", Summary: "The progress of an apply cannot be written", Seen: preflight.Sentence(err),
		Todo: "Everything else works without it. Check that " + name + " can be made and written to.",
	}.warning()
}

func badEnvironment(at path.Path, env string, err error) diag.Diagnostic {
	return message{
		Attribute: at.String(), Summary: fmt.Sprintf("The environment variable %s cannot be used", env), Seen: preflight.Sentence(err),
	}.failure()
}

var errNoBool = errors.New("it takes true or false")
