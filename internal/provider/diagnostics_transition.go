package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// transitionDiagnostics words the errors of package transition, on the attribute
// to change; nil for every other error.
func transitionDiagnostics(err error) diag.Diagnostics {
	var refusal *transition.Refusal
	var mixed *transition.MixedError
	var order *transition.OrderError
	switch {
	case errors.As(err, &refusal):
		return message{
			Attribute: refusedAttribute(refusal), Summary: refusalSummary(refusal.Rule), Seen: refusalSeen(refusal), Todo: refusalAdvice(refusal),
		}.failures()
	case errors.As(err, &mixed):
		return message{
			Attribute: "target_version", Summary: "Finish the interrupted DTR upgrade first", Seen: mixedSeen(mixed), Todo: mixedAdvice(mixed),
		}.failures()
	case errors.As(err, &order):
		m := message{Summary: "The stops of an upgrade must ascend", Seen: orderSeen(order), Todo: ascendingStops}
		if order.Stop.Equal(order.After) {
			m = message{Summary: "A stop is listed twice", Seen: fmt.Sprintf("via lists %s twice.", order.Stop), Todo: "List it once."}
		}
		return diag.Diagnostics{diag.WithPath(path.Root("via").AtListIndex(order.Index), m.failure())}
	}
	return nil
}

// adviceIgnored is for those who have Terraform ignore the attribute that they are
// told to change. Nothing tells the provider of it.
const adviceIgnored = "If the resource's lifecycle has it in ignore_changes, take it out of there first: until then what is written is not read."

const ascendingStops = "List the stops of via in ascending order, none of them above target_version."

// refusedAttribute is via when the refused hop starts or ends at one of its stops.
func refusedAttribute(r *transition.Refusal) string {
	if len(r.Stops) > 1 {
		return "via"
	}
	return "target_version"
}

func refusalSummary(rule transition.Rule) string {
	switch rule {
	case transition.PatchDowngrade, transition.MinorDowngrade, transition.MajorDowngrade:
		return "DTR cannot be downgraded"
	case transition.MinorSkip:
		return "DTR minor versions cannot be skipped"
	case transition.MajorSkip:
		return "DTR major versions cannot be skipped"
	case transition.MajorSkipsMinor, transition.MajorSkipsPatch:
		return "A new DTR major version starts at its first release"
	case transition.PreRelease:
		return "DTR pre-releases cannot be upgraded"
	case transition.AdvisoryRefusal:
		return "The release notes rule out this DTR upgrade"
	default:
		return "This DTR upgrade is not supported"
	}
}

func refusalSeen(r *transition.Refusal) string {
	target := r.Stops[len(r.Stops)-1]
	if len(r.Stops) > 1 {
		return fmt.Sprintf("The cluster runs %s and target_version is %s; the step from %s to %s is not supported (%s).",
			r.Running, target, r.From, r.To, r.Rule.Name())
	}
	return fmt.Sprintf("The cluster runs %s and target_version is %s (%s, not supported).", r.Running, target, r.Rule.Name())
}

func refusalAdvice(r *transition.Refusal) string {
	onVia := refusedAttribute(r) == "via"
	switch r.Rule {
	case transition.PatchDowngrade, transition.MinorDowngrade, transition.MajorDowngrade:
		if onVia {
			return ascendingStops
		}
		return fmt.Sprintf("Set target_version to %s or later. "+adviceIgnored+" To go back, restore a backup taken with %s.", r.From, r.To)
	case transition.PreRelease:
		if r.From.Prerelease() != "" {
			return "No upgrade leads from a pre-release to another version. Install a release instead."
		}
		return "Upgrade to a release instead."
	case transition.AdvisoryRefusal:
		switch {
		case r.Instead == nil:
			return r.Reason + " " + stopsAdvice(r)
		case onVia:
			return fmt.Sprintf("%s Go to %s in place of %s.", r.Reason, r.Instead, r.To)
		}
		return fmt.Sprintf("%s Set target_version to %s.", r.Reason, r.Instead)
	}
	return r.Rule.Summary() + " " + stopsAdvice(r)
}

// stopsAdvice is the via that makes the path a supported one, ready to paste.
func stopsAdvice(r *transition.Refusal) string {
	stops, err := r.Path()
	if unknown, ok := errors.AsType[*transition.UnknownReleaseError](err); ok {
		return fmt.Sprintf("This provider knows no %s release: name one in via, and one of every other minor version on the way.", unknown.Line)
	}
	if err != nil {
		return fmt.Sprintf("No supported path leads to %s.", r.Stops[len(r.Stops)-1])
	}
	return "Name the stops on the way:\n  via = " + versionList(stops[:len(stops)-1])
}

func mixedSeen(e *transition.MixedError) string {
	last := len(e.Running) - 1
	names := make([]string, last)
	for i, v := range e.Running[:last] {
		names[i] = v.String()
	}
	seen := fmt.Sprintf("The replicas run %s and %s", strings.Join(names, ", "), e.Running[last])
	if len(e.Stops) > 0 {
		seen += fmt.Sprintf(", and the next stop is %s", e.Stops[0])
	}
	return seen + "."
}

func mixedAdvice(e *transition.MixedError) string {
	switch {
	case e.Finish == nil:
		return "No supported upgrade brings these versions together. Remove the replicas that run other versions than the rest and join new ones, or restore a backup."
	case len(e.Running) > 2:
		return fmt.Sprintf("Finish the rollout to %s: run the upgrade command of its bootstrapper by hand until all replicas run it, then plan again.", e.Finish)
	}
	if stops := e.Path(); stops != nil {
		return fmt.Sprintf("Finish the rollout to %s on the way:\n  via = %s", e.Finish, versionList(stops[:len(stops)-1]))
	}
	advice := fmt.Sprintf("Finish the rollout to %s:\n  target_version = %q", e.Finish, e.Finish)
	if len(e.Stops) > 1 {
		advice += "\n  via            = []"
	}
	return advice + "\n\n" + adviceIgnored
}

func orderSeen(e *transition.OrderError) string {
	if e.Target {
		return fmt.Sprintf("via names %s, which is above target_version %s.", e.Stop, e.After)
	}
	return fmt.Sprintf("via names %s before %s, but its stops must ascend.", e.Stop, e.After)
}

// versionList writes versions as a list in Terraform's language: ["2.6.15", "2.7.8"].
func versionList(versions []*semver.Version) string {
	quoted := make([]string, len(versions))
	for i, v := range versions {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// argumentError is the error of a function's argument. It has no full stop:
// Terraform writes one after it.
func argumentError(argument int64, err error) *function.FuncError {
	text := preflight.Capital(err.Error())
	if refusal, ok := errors.AsType[*transition.Refusal](err); ok {
		text += ". " + refusal.Rule.Summary()
	}
	return function.NewArgumentFuncError(argument, strings.TrimSuffix(text, "."))
}
