package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// cacheError words the errors of content caches; none for other errors.
func cacheError(err error) diag.Diagnostics {
	var (
		taken     *upgrade.CacheTakenError
		missing   *upgrade.CacheMissingError
		ambiguous *upgrade.CacheAmbiguousError
		leftover  *upgrade.CacheLeftoverError
		vanishing *upgrade.CacheAutoRemoveError
		update    *upgrade.CacheUpdateError
		probe     *upgrade.CacheProbeError
		detached  *upgrade.CacheDetachedError
		lost      *dtr.LostCacheError
	)
	switch {
	case errors.As(err, &taken):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root("name"), "The name of the content cache is taken",
			fmt.Sprintf("Name: %s\nId: %s\nRegistered host: %s\nConfigured host: %s\n\n"+
				"To manage that registration, import it: terraform import <address> %s. Else choose another name.",
				taken.Cache.Name, taken.Cache.ID, taken.Cache.Host, taken.Wanted, taken.Cache.ID))}
	case errors.As(err, &missing):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root(missing.Kind), "What runs the content cache is not there",
			sentence(missing)+"\n\nDeploy the cache first, or correct the name. The registration in DTR was not touched.")}
	case errors.As(err, &ambiguous) && ambiguous.Node != "":
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root(upgrade.KindContainer), "Several nodes have a container of that name",
			fmt.Sprintf("Container: %s\nNode: %s\nNodes: %s\n\nUCP makes no second container of a name, so none of them can be replaced. Rename those on the other nodes.",
				ambiguous.Name, ambiguous.Node, strings.Join(ambiguous.Nodes, ", ")))}
	case errors.As(err, &ambiguous):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root(upgrade.KindContainer), "Several nodes have a container of that name",
			fmt.Sprintf("Container: %s\nNodes: %s\n\nSet node to the one that is meant.", ambiguous.Name, strings.Join(ambiguous.Nodes, ", ")))}
	case errors.As(err, &leftover):
		return failure("A container is left over from a replacement",
			fmt.Sprintf("Node: %s\nContainer: %s\nLeft over: %s\nThe first is not the copy of the second, so neither is touched.", leftover.Node, leftover.Container, leftover.Leftover),
			"Remove the one that is not needed. If that is the first, rename the second to its name.")
	case errors.As(err, &vanishing):
		return failure("The container of the content cache cannot be replaced",
			fmt.Sprintf("Node: %s\nContainer: %s\nIt removes itself when it is stopped (--rm), so it could not be put back if its replacement failed.", vanishing.Node, vanishing.Container),
			"Deploy the cache without --rm. Nothing was touched.")
	case errors.As(err, &update):
		return failure(cacheNotUpdated(update))
	case errors.As(err, &probe):
		return diag.Diagnostics{cacheSilent(probe)}
	case errors.As(err, &detached):
		seen := "Reason: " + reason(detached.Cause)
		if len(detached.Seen) > 0 {
			seen += "\nLast seen:\n  " + strings.Join(detached.Seen, "\n  ")
		}
		return failure("Terraform stopped waiting for content cache "+detached.Name, seen,
			"What was started on the cluster goes on by itself; it was not stopped. Apply again to wait for it.")
	case errors.As(err, &lost):
		return failure("It is not known whether DTR registered the content cache", sentence(err),
			"Apply again: a registration that is there is taken over, and no second one is made.")
	}
	return nil
}

func cacheNotUpdated(e *upgrade.CacheUpdateError) (summary, seen, todo string) {
	summary = fmt.Sprintf("The %s %s does not run %s", e.Kind, e.Name, e.Image)
	seen = "State: " + e.State
	if e.Message != "" {
		seen += "\nMessage: " + e.Message
	}
	if len(e.Problems) > 0 {
		seen += "\n  " + strings.Join(e.Problems, "\n  ")
	}
	todo = "The service's own update settings decided what became of its tasks. Mend what is named above. Then apply again: the update is taken up anew."
	if e.Kind == upgrade.KindContainer {
		todo = "Look at the container's log. " + again
	}
	return summary, seen + putBack(e.PutBack), todo
}

// putBack says how it went to put the old container back.
func putBack(p *upgrade.PutBack) string {
	switch {
	case p == nil:
		return ""
	case p.Err != nil:
		return fmt.Sprintf("\nThe container from before could not be put back: %v", p.Err)
	}
	return "\nThe container from before was put back and runs again."
}

func cacheSilent(e *upgrade.CacheProbeError) diag.Diagnostic {
	var certificate *endpoint.CertificateError
	summary := "The content cache does not answer"
	seen := fmt.Sprintf("Host: %s\nError: %v", e.Host, e.Err)
	todo := "Look at the cache's log. Then apply again. If the cache cannot be reached from here, set probe = { enabled = false }."
	switch {
	case errors.As(e.Err, &certificate):
		summary = "The certificate of the content cache is not trusted"
		seen = fmt.Sprintf("Host: %s\nTrusted: %s\nError: %v", e.Host, certificate.Roots, certificate.Err)
		todo = "Set ca_cert of probe to the PEM text of the CA that signed it. If the cache need not be asked, set probe = { enabled = false }."
	case e.After > 0:
		seen += fmt.Sprintf("\nWaited: %s", e.After.Round(time.Second))
	}
	if e.After == 0 {
		seen += "\nNothing was changed."
	}
	return diag.WithPath(path.Root("host"), diag.NewErrorDiagnostic(summary, seen+putBack(e.PutBack)+"\n\n"+todo))
}

// cacheGone says why a registration is removed from the state.
func cacheGone(m *cacheModel) diag.Diagnostic {
	return diag.NewWarningDiagnostic("The content cache is no longer registered",
		fmt.Sprintf("DTR has no content cache %s (id %s).\n\nTerraform forgets it. Applying the configuration registers it again.", m.Name.ValueString(), m.ID.ValueString()))
}

// cacheLeft says what destroying leaves.
func cacheLeft(m *cacheModel) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Destroying this resource leaves the content cache running",
		fmt.Sprintf("The registration of %s is removed from DTR, and what runs the cache stays as it is.\n\nRemove the cache itself where it was deployed.", m.Name.ValueString()))
}

func cacheAnew(prior, next *cacheModel) diag.Diagnostic {
	return diag.NewWarningDiagnostic("The content cache is registered anew",
		fmt.Sprintf("DTR cannot change a registration: %s at %s is registered under a new id, then %s at %s is removed.\n\n"+
			"Users who have chosen the old one in their settings have to choose again.",
			next.Name.ValueString(), next.Host.ValueString(), prior.Name.ValueString(), prior.Host.ValueString()))
}

func cacheNewer(name string, runs, wanted *semver.Version) diag.Diagnostic {
	return diag.NewAttributeWarningDiagnostic(path.Root("version"), "The content cache is newer than the wanted version",
		fmt.Sprintf("Content cache %s runs %s and version is %s.\n\nApplying takes it back to %s. DTR itself cannot be downgraded: make sure that this is the version that DTR runs.", name, runs, wanted, wanted))
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
		return diag.NewErrorDiagnostic("Several content caches have that name", fmt.Sprintf("DTR has registered %q as:%s\n\nImport the one that is meant by its id.", asked, list(found)))
	}
	return diag.NewErrorDiagnostic("There is no such content cache", fmt.Sprintf("DTR has no content cache %q. It has registered: %s\n\nImport one of them by its name.", asked, orNone(list(all))))
}
