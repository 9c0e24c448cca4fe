package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
)

// The longest of DTR's jobs, a migration or a garbage collection of a large
// registry, take hours.
const defaultJobTimeout = 6 * time.Hour

var (
	_ action.Action              = (*jobRunAction)(nil)
	_ action.ActionWithConfigure = (*jobRunAction)(nil)
)

// jobRunAction runs one job of DTR. An interrupted action can end in exit status
// 0, so that nothing that must not be missed is an action: the next invocation
// joins what still runs.
type jobRunAction struct {
	conn *connection // nil until the provider is configured
}

func newJobAction() action.Action { return &jobRunAction{} }

type jobActionModel struct {
	Action     types.String   `tfsdk:"action"`
	Parameters types.Map      `tfsdk:"parameters"`
	Wait       types.Bool     `tfsdk:"wait"`
	Timeouts   timeouts.Value `tfsdk:"timeouts"`
}

func (a *jobRunAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_job"
}

func (a *jobRunAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Runs one job of DTR and waits for its end, including DTR's own retries. " +
			"A job of the same action and parameters that is waiting or running already is adopted instead of starting a second one. " +
			"Needs Terraform 1.14. To upgrade DTR, use `dtr_upgrade`.",
		Attributes: map[string]schema.Attribute{
			"action": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "What the job does: `metadatastoremigration`, `onlinegc`, `onlinegc_metadata`, `onlinegc_joblogs`, `gc`, `update_vuln_db`, and any other action that this DTR knows. " +
					"DTR refuses to start an action that it does not know.",
				Validators: []validator.String{jobAction()},
			},
			"parameters": schema.MapAttribute{
				Optional:            true,
				ElementType:         types.StringType,
				Validators:          []validator.Map{noNulls{}},
				MarkdownDescription: "What the job is started with; it depends on the action. Without any, a job of that action that is waiting or running is adopted, whatever its parameters.",
			},
			"wait": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to wait for the job's end; `true` by default. With `false` its result is not known: read it with the data source `dtr_job`.",
			},
			"timeouts": invokeLimit(ctx, "How long to wait for the job; 6 hours by default. The job continues after that."),
		},
	}
}

func (a *jobRunAction) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	a.conn = connectionOf(req.ProviderData, &resp.Diagnostics)
}

func (a *jobRunAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m jobActionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	say := func(text string) { resp.SendProgress(action.InvokeProgressEvent{Message: text}) }
	resp.Diagnostics.Append(runAgain("dtr_job", a.invoke(ctx, m, say))...)
}

func (a *jobRunAction) invoke(ctx context.Context, m jobActionModel, say func(string)) diag.Diagnostics {
	limit, diags := m.Timeouts.Invoke(ctx, defaultJobTimeout)
	parameters := map[string]string{}
	diags.Append(m.Parameters.ElementsAs(ctx, &parameters, false)...)
	if diags.HasError() {
		return diags
	}
	cluster, err := a.conn.cluster()
	if err != nil {
		return append(diags, diagnose(err)...)
	}
	ctx, cancel := withTimeout(ctx, "invoke", limit)
	defer cancel()
	_, err = job.Run(ctx, cluster.DTR, job.Options{
		Action:     m.Action.ValueString(),
		Parameters: parameters,
		Detach:     !m.Wait.IsNull() && !m.Wait.ValueBool(),
		Progress:   say,
		Pace:       a.conn.pace,
	})
	if err != nil {
		err = notDTRError(ctx, cluster, err)
	}
	return append(diags, diagnose(err)...)
}

// jobAction checks the name of an action. Which there are depends on the release.
func jobAction() stringCheck {
	return matching(`^[a-z0-9_]+$`, "the name of a DTR job's action", "metadatastoremigration")
}
