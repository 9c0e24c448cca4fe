package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/contentcache"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
)

func contentCacheDiagnostics(err error) diag.Diagnostics {
	var (
		taken      *contentcache.TakenError
		missing    *contentcache.MissingError
		ambiguous  *contentcache.AmbiguousError
		leftover   *contentcache.LeftoverError
		down       *contentcache.NodeDownError
		autoRemove *contentcache.AutoRemoveError
		update     *contentcache.UpdateError
		probe      *contentcache.ProbeError
		lost       *dtr.LostCacheError
	)
	var m message
	switch {
	case errors.As(err, &taken):
		m = message{
			Attribute: "name", Summary: "The name of the content cache is taken",
			Seen: fmt.Sprintf("Name: %s\nId: %s\nRegistered host: %s\nConfigured host: %s", taken.Cache.Name, taken.Cache.ID, taken.Cache.Host, taken.Wanted),
			Todo: fmt.Sprintf("To manage that registration, import it: terraform import <address> %s. Otherwise choose another name.", taken.Cache.ID),
		}
	case errors.As(err, &missing):
		m = message{
			Attribute: missing.Kind, Summary: fmt.Sprintf("The cache's %s was not found", missing.Kind), Seen: preflight.Sentence(missing),
			Todo: "Deploy the cache first, or correct the name. The registration in DTR was not touched.",
		}
	case errors.As(err, &ambiguous):
		m = message{
			Attribute: contentcache.KindContainer, Summary: "Several nodes have a container of that name",
			Seen: fmt.Sprintf("Container: %s\nNodes: %s", ambiguous.Name, strings.Join(ambiguous.Nodes, ", ")),
			Todo: "Name the right one in node.",
		}
		if ambiguous.Node != "" {
			m.Seen = fmt.Sprintf("Container: %s\nNode: %s\nNodes: %s", ambiguous.Name, ambiguous.Node, strings.Join(ambiguous.Nodes, ", "))
			m.Todo = "UCP creates no second container of a name, so none of them can be replaced. Rename those on the other nodes."
		}
	case errors.As(err, &leftover):
		m = message{
			Summary: "A container is left over from a replacement",
			Seen:    fmt.Sprintf("Node: %s\nContainer: %s\nLeft over: %s\nThe first is not the copy of the second, so neither is touched.", leftover.Node, leftover.Container, leftover.Leftover),
			Todo:    "Remove the one that is not needed. If that is the first, rename the second to its name.",
		}
	case errors.As(err, &down):
		m = message{
			Summary: "The node of the content cache is down",
			Seen:    fmt.Sprintf("Node: %s\nContainer: %s", down.Node, down.Container),
			Todo:    "Bring the node back. If it is gone for good, deploy the cache on another one.",
		}
	case errors.As(err, &autoRemove):
		m = message{
			Summary: "The container of the content cache cannot be replaced",
			Seen:    fmt.Sprintf("Node: %s\nContainer: %s\nIt removes itself when it is stopped (--rm), so it could not be put back if its replacement failed.", autoRemove.Node, autoRemove.Container),
			Todo:    "Deploy the cache without --rm. Nothing was touched.",
		}
	case errors.As(err, &update):
		m = cacheNotUpdated(update)
	case errors.As(err, &probe):
		m = cacheSilent(probe)
	case errors.As(err, &lost):
		m = message{
			Summary: "It is not known whether DTR registered the content cache", Seen: preflight.Sentence(err),
			Todo: "Apply again: an existing registration is adopted, and no second one is created.",
		}
	default:
		return nil
	}
	return m.failures()
}

func cacheNotUpdated(e *contentcache.UpdateError) message {
	m := message{
		Summary: fmt.Sprintf("The %s %s does not run %s", e.Kind, e.Name, e.Image), Seen: "State: " + e.State,
		Todo: "The service's own update settings decided what became of its tasks. Fix what is named above. Then apply again: the update is sent again.",
	}
	if e.Message != "" {
		m.Seen += "\nMessage: " + e.Message
	}
	if len(e.Problems) > 0 {
		m.Seen += "\n  " + strings.Join(e.Problems, "\n  ")
	}
	if e.Kind == contentcache.KindContainer {
		m.Todo = "Look at the container's log. " + adviceApplyAgain
	}
	m.Seen += putBack(e.PutBack)
	return m
}

// putBack says how it went to put the old container back.
func putBack(p *contentcache.PutBack) string {
	switch {
	case p == nil:
		return ""
	case p.Err != nil:
		return fmt.Sprintf("\nThe previous container could not be put back: %v", p.Err)
	}
	return "\nThe previous container was put back and runs again."
}

func cacheSilent(e *contentcache.ProbeError) message {
	m := message{
		Attribute: "host", Summary: "The content cache does not answer",
		Seen: fmt.Sprintf("Host: %s\nError: %v", e.Host, e.Err),
		Todo: "Look at the cache's log. Then apply again. If the cache cannot be reached from here, set probe = { enabled = false }.",
	}
	var certificate *endpoint.CertificateError
	switch {
	case errors.As(e.Err, &certificate):
		m.Summary = "The certificate of the content cache is not trusted"
		m.Seen = fmt.Sprintf("Host: %s\nTrusted: %s\nError: %v", e.Host, certificate.Roots, certificate.Err)
		m.Todo = adviceCertificate(certificate, "Set ca_cert of probe to the PEM text of the CA that signed it.") + " To skip the probe, set probe = { enabled = false }."
	case e.After > 0:
		m.Seen += "\nWaited: " + duration.Text(e.After.Round(time.Second))
	}
	if e.After == 0 {
		m.Seen += "\nNothing was changed."
	}
	m.Seen += putBack(e.PutBack)
	return m
}

// cacheGone says why a registration is removed from the state.
func cacheGone(m *cacheModel) diag.Diagnostic {
	return message{
		Summary: "The content cache is no longer registered",
		Seen:    fmt.Sprintf("DTR has no content cache %s (id %s).", m.Name.ValueString(), m.ID.ValueString()),
		Todo:    "Terraform removes it from the state. Applying the configuration registers it again.",
	}.warning()
}

// cacheLeft says what destroying leaves.
func cacheLeft(m *cacheModel) diag.Diagnostic {
	return message{
		Summary: "Destroying this resource leaves the content cache running",
		Seen:    fmt.Sprintf("The registration of %s is removed from DTR. Its service or container stays as it is.", m.Name.ValueString()),
		Todo:    "Remove the cache itself where it was deployed.",
	}.warning()
}

func cacheReplaced(prior, next *cacheModel) diag.Diagnostic {
	return message{
		Summary: "The content cache gets a new registration",
		Seen: fmt.Sprintf("DTR cannot change a registration: %s at %s is registered under a new id, then %s at %s is removed.",
			next.Name.ValueString(), next.Host.ValueString(), prior.Name.ValueString(), prior.Host.ValueString()),
		Todo: "Users who have chosen the old one in their settings have to choose again.",
	}.warning()
}

func cacheNewer(name string, runs, wanted *semver.Version) diag.Diagnostic {
	return message{
		Attribute: "version", Summary: "The content cache is newer than the configured version",
		Seen: fmt.Sprintf("Content cache %s runs %s and version is %s.", name, runs, wanted),
		Todo: fmt.Sprintf("Applying takes it back to %s. DTR itself cannot be downgraded: make sure that this is the version that DTR runs.", wanted),
	}.warning()
}

// cacheNotOne says why a name cannot be imported.
func cacheNotOne(asked string, all, found []dtr.ContentCache) diag.Diagnostic {
	list := func(caches []dtr.ContentCache) string {
		lines := make([]string, 0, len(caches))
		for _, c := range caches {
			lines = append(lines, fmt.Sprintf("\n  %s at %s (id %s)", c.Name, c.Host, c.ID))
		}
		return strings.Join(lines, "")
	}
	if len(found) > 1 {
		return message{
			Summary: "Several content caches have that name",
			Seen:    fmt.Sprintf("DTR has registered %q as:%s", asked, list(found)), Todo: "Import one of them by its id.",
		}.failure()
	}
	return message{
		Summary: "There is no such content cache",
		Seen:    fmt.Sprintf("DTR has no content cache %q. It has registered: %s", asked, orNone(list(all))), Todo: "Import one of them by its name.",
	}.failure()
}
