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

var _ function.Function = transitionFunction{}

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
		Parameters: []function.Parameter{
			function.StringParameter{
				Name:                "from",
				MarkdownDescription: "The version that runs: `MAJOR.MINOR.PATCH`, or a pre-release.",
			},
			function.StringParameter{
				Name:                "to",
				MarkdownDescription: "The version that should run: `MAJOR.MINOR.PATCH`, or a pre-release.",
			},
		},
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
	var text [2]string
	resp.Error = req.Arguments.Get(ctx, &text[0], &text[1])
	if resp.Error != nil {
		return
	}
	var versions [2]*semver.Version
	for i, s := range text {
		v, err := transition.Parse(s)
		// A pre-release has a rule of its own.
		if preRelease, ok := errors.AsType[*transition.PreReleaseError](err); ok {
			v, err = preRelease.Version, nil
		}
		if err != nil {
			resp.Error = function.ConcatFuncErrors(resp.Error, argumentError(int64(i), err))
		}
		versions[i] = v
	}
	if resp.Error != nil {
		return
	}
	rule := transition.Classify(versions[0], versions[1])
	resp.Error = resp.Result.Set(ctx, transitionResult{
		Rule:      string(rule),
		Supported: rule.Supported(),
		Summary:   rule.Summary(),
	})
}
