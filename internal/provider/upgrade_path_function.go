package provider

import (
	"context"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

var _ function.Function = upgradePathFunction{}

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
		Parameters: []function.Parameter{
			function.StringParameter{
				Name:                "from",
				MarkdownDescription: "The version that runs: `MAJOR.MINOR.PATCH`.",
			},
			function.StringParameter{
				Name:                "to",
				MarkdownDescription: "The version to reach: `MAJOR.MINOR.PATCH`.",
			},
		},
		Return: function.ListReturn{ElementType: types.StringType},
	}
}

func (upgradePathFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text [2]string
	resp.Error = req.Arguments.Get(ctx, &text[0], &text[1])
	if resp.Error != nil {
		return
	}
	var versions [2]*semver.Version
	for i, s := range text {
		v, err := transition.Parse(s)
		if err != nil {
			resp.Error = function.ConcatFuncErrors(resp.Error, argumentError(int64(i), err))
		}
		versions[i] = v
	}
	if resp.Error != nil {
		return
	}
	path, err := transition.UpgradePath(versions[0], versions[1])
	if err != nil {
		// The arguments together are wrong; the error stands at the second, which
		// is the one to change.
		resp.Error = argumentError(1, err)
		return
	}
	list := make([]string, len(path))
	for i, v := range path {
		list[i] = v.String()
	}
	resp.Error = resp.Result.Set(ctx, list)
}
