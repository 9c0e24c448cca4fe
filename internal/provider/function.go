package provider

import (
	"context"
	"errors"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

var (
	_ function.Function = transitionFunction{}
	_ function.Function = upgradePathFunction{}
)

// twoVersions are the parameters of both functions.
func twoVersions(from, to string) []function.Parameter {
	return []function.Parameter{
		function.StringParameter{Name: "from", MarkdownDescription: from},
		function.StringParameter{Name: "to", MarkdownDescription: to},
	}
}

// versionArguments reads the two versions; parse says what counts as one.
func versionArguments(ctx context.Context, req function.RunRequest, parse func(string) (*semver.Version, error)) (from, to *semver.Version, failed *function.FuncError) {
	var texts [2]string
	if failed = req.Arguments.Get(ctx, &texts[0], &texts[1]); failed != nil {
		return nil, nil, failed
	}
	var versions [2]*semver.Version
	for i, text := range texts {
		v, err := parse(text)
		if err != nil {
			failed = function.ConcatFuncErrors(failed, argumentError(int64(i), err))
		}
		versions[i] = v
	}
	return versions[0], versions[1], failed
}

type transitionFunction struct{}

func newTransitionFunction() function.Function { return transitionFunction{} }

func (transitionFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "transition"
}

func (transitionFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Returns the rule that a version transition falls under",
		MarkdownDescription: "Returns the rule that the transition from one DTR version to another falls under, and whether it is supported in one step. " +
			"The result is an object: `rule` (an id such as `minor-upgrade`), `supported` (bool) and `summary` (a sentence). " +
			"It contacts no cluster and no network.",
		Parameters: twoVersions(
			"The version that runs: `MAJOR.MINOR.PATCH`, or a pre-release.",
			"The version that should run: `MAJOR.MINOR.PATCH`, or a pre-release.",
		),
		Return: function.ObjectReturn{AttributeTypes: map[string]attr.Type{
			"rule":      types.StringType,
			"supported": types.BoolType,
			"summary":   types.StringType,
		}},
	}
}

type transitionResult struct {
	Rule      string `tfsdk:"rule"`
	Supported bool   `tfsdk:"supported"`
	Summary   string `tfsdk:"summary"`
}

func (transitionFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	from, to, failed := versionArguments(ctx, req, func(text string) (*semver.Version, error) {
		v, err := transition.Parse(text)
		// A pre-release has a rule of its own.
		if preRelease, ok := errors.AsType[*transition.PreReleaseError](err); ok {
			return preRelease.Version, nil
		}
		return v, err
	})
	if failed != nil {
		resp.Error = failed
		return
	}
	rule := transition.Classify(from, to)
	resp.Error = resp.Result.Set(ctx, transitionResult{
		Rule:      string(rule),
		Supported: rule.Supported(),
		Summary:   rule.Summary(),
	})
}

type upgradePathFunction struct{}

func newUpgradePathFunction() function.Function { return upgradePathFunction{} }

func (upgradePathFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "upgrade_path"
}

func (upgradePathFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Lists the versions to go through from one version to another",
		MarkdownDescription: "Lists the DTR versions to go through after `from`, `to` included, by the shortest supported path and with the latest known patch of each minor version in between. " +
			"Equal versions give an empty list; a path that does not exist is an error. " +
			"It contacts no cluster and no network.",
		Parameters: twoVersions("The version that runs: `MAJOR.MINOR.PATCH`.", "The version to reach: `MAJOR.MINOR.PATCH`."),
		Return:     function.ListReturn{ElementType: types.StringType},
	}
}

func (upgradePathFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	from, to, failed := versionArguments(ctx, req, transition.Parse)
	if failed != nil {
		resp.Error = failed
		return
	}
	path, err := transition.UpgradePath(from, to)
	if err != nil {
		// The arguments together are wrong; the error stands at the second, which
		// is the one to change.
		resp.Error = argumentError(1, err)
		return
	}
	resp.Error = resp.Result.Set(ctx, versionTexts(path))
}
