package provider

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// A backup holds metadata alone, and an upload may be slow.
const defaultBackupTimeout = 2 * time.Hour

var (
	_ action.Action                   = (*backupAction)(nil)
	_ action.ActionWithConfigure      = (*backupAction)(nil)
	_ action.ActionWithValidateConfig = (*backupAction)(nil)
	_ action.ActionWithModifyPlan     = (*backupAction)(nil)
)

// backupAction takes a backup without an upgrade.
type backupAction struct {
	conn *connection // nil until the provider is configured
}

func newBackupAction() action.Action { return &backupAction{} }

type backupActionModel struct {
	File              types.String   `tfsdk:"file"`
	Upload            types.Object   `tfsdk:"upload"`
	ExistingReplicaID types.String   `tfsdk:"existing_replica_id"`
	Image             types.Object   `tfsdk:"image"`
	Timeouts          timeouts.Value `tfsdk:"timeouts"`
}

func (a *backupAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_backup"
}

func (a *backupAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Takes a backup of DTR's metadata without an upgrade, and checks it as `dtr_upgrade` does. " +
			"It never runs at the same time as an upgrade, a join or a removal, and is refused while an upgrade is not finished. Needs Terraform 1.14.",
		Attributes: map[string]schema.Attribute{
			"file": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "The file that the backup is written to, on the machine that runs Terraform. " +
					"It is never overwritten: use another name for each backup, or move the last one away.",
				Validators: []validator.String{filePath()},
			},
			// What it holds is write-only, which Terraform takes in an action and the framework refuses: [server] says so.
			uploadName: schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: uploadDescription + "The action succeeds only once it is there.",
				Attributes: map[string]schema.Attribute{
					"url": schema.StringAttribute{
						Required:            true,
						MarkdownDescription: urlDescription + "Take it from an `ephemeral` variable: a plan has the values of all others.",
						Validators:          []validator.String{objectURL()},
					},
					"headers": schema.MapAttribute{
						Optional:            true,
						ElementType:         types.StringType,
						MarkdownDescription: headerDescription,
						Validators:          []validator.Map{noNulls{}, headers{}},
					},
				},
			},
			"existing_replica_id": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The replica that the bootstrapper connects to, and on whose node it runs; by default the first healthy one by id.",
				Validators:          []validator.String{replicaID()},
			},
			"image": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Where the bootstrapper's image of the version that runs comes from, as `image` of `dtr_upgrade`.",
				Attributes: map[string]schema.Attribute{
					"repository": schema.StringAttribute{
						Optional:            true,
						MarkdownDescription: "Repository of the image, without a tag; by default the vendor's for the version, such as `docker/dtr`.",
						Validators:          []validator.String{repository()},
					},
					"pull": schema.StringAttribute{
						Optional:            true,
						MarkdownDescription: "When the image is pulled: `missing`, which is the default, `always` or `never`.",
						Validators:          []validator.String{pullPolicy()},
					},
					"digests": schema.MapAttribute{
						Optional:            true,
						ElementType:         types.StringType,
						MarkdownDescription: "The digest that the image must have, by version: `{ \"2.6.15\" = \"sha256:...\" }`.",
						Validators:          []validator.Map{noNulls{}, mapvalidator.KeysAre(version()), mapvalidator.ValueStringsAre(imageDigest())},
					},
					"archives": schema.MapAttribute{
						Optional:            true,
						ElementType:         types.StringType,
						MarkdownDescription: "Archives written by `docker save`, by the version whose images they hold.",
						Validators:          []validator.Map{noNulls{}, mapvalidator.KeysAre(version()), mapvalidator.ValueStringsAre(filePath())},
					},
				},
			},
			"timeouts": invokeLimit(ctx, "How long to wait for the backup and its upload; 2 hours by default. Then the backup is abandoned."),
		},
	}
}

// invokeLimit is the attribute timeouts of an action.
func invokeLimit(ctx context.Context, description string) schema.SingleNestedAttribute {
	limits, _ := timeouts.AttributesWithOpts(ctx, timeouts.Opts{InvokeDescription: description}).(schema.SingleNestedAttribute)
	invoke, _ := limits.Attributes["invoke"].(schema.StringAttribute)
	invoke.Validators = []validator.String{timeLimit()}
	limits.Attributes["invoke"] = invoke
	limits.MarkdownDescription = "Time limits, such as `\"90m\"`."
	return limits
}

func (a *backupAction) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	a.conn = connectionOf(req.ProviderData, &resp.Diagnostics)
}

func (a *backupAction) ValidateConfig(ctx context.Context, req action.ValidateConfigRequest, resp *action.ValidateConfigResponse) {
	var m backupActionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(checkDigests(ctx, m.Image)...)
	}
}

// ModifyPlan says what becomes of the file where that is not what anybody wants.
func (a *backupAction) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	var m backupActionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if !resp.Diagnostics.HasError() && os.Getenv(envHCPTerraform) != "" && m.Upload.IsNull() && !m.File.IsUnknown() {
		resp.Diagnostics.Append(message{
			Attribute: "file", Summary: upgrade.LostWithWorker.Summary, Seen: fmt.Sprintf(upgrade.LostWithWorker.Seen, absolutePath(m.File.ValueString())),
			Todo: "Set upload to have it sent to an object store. On an agent of your own, name a file on a disk that stays.",
		}.warning())
	}
}

func (a *backupAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m backupActionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	say := func(text string) { resp.SendProgress(action.InvokeProgressEvent{Message: text}) }
	resp.Diagnostics.Append(runAgain("dtr_backup", a.invoke(ctx, m, say))...)
}

func (a *backupAction) invoke(ctx context.Context, m backupActionModel, say func(string)) diag.Diagnostics {
	limit, diags := m.Timeouts.Invoke(ctx, defaultBackupTimeout)
	var image imageModel
	diags.Append(m.Image.As(ctx, &image, basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true})...)
	o := upgrade.Options{
		Images: image.source(), ExistingReplicaID: m.ExistingReplicaID.ValueString(), ProviderVersion: a.conn.version, Pace: a.conn.pace,
		Backup: &upgrade.Backup{File: absolutePath(m.File.ValueString()), Upload: !m.Upload.IsNull()},
	}
	if o.Backup.Upload {
		diags.Append(checkArrived(ctx, m.Upload)...)
		if diags.HasError() {
			return diags
		}
		object, d := a.conn.object(ctx, uploadName, m.Upload)
		diags.Append(d...)
		o.Backup.Object = object
	}
	if diags.HasError() {
		return diags
	}
	cluster, err := a.conn.cluster()
	if err != nil {
		return append(diags, diagnose(err)...)
	}
	ctx, cancel := withTimeout(ctx, "invoke", limit)
	defer cancel()
	if err = upgrade.TakeBackup(ctx, cluster, o, say); err != nil {
		err = notDTRError(ctx, cluster, err)
	}
	return append(diags, diagnose(err)...)
}

// checkArrived finds what a configuration sets and the action did not get: Terraform 1.16
// passes no ephemeral value to an action that it runs for -invoke, null in its place. No
// header may go without its value either: the store may not look at it.
func checkArrived(ctx context.Context, upload types.Object) (diags diag.Diagnostics) {
	var m uploadModel
	diags = upload.As(ctx, &m, basetypes.ObjectAsOptions{})
	var missing []string
	if m.URL.IsNull() {
		missing = append(missing, "url")
	}
	headers := m.Headers.Elements()
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if headers[name].IsNull() {
			missing = append(missing, fmt.Sprintf("headers[%q]", name))
		}
	}
	for _, name := range missing {
		at := uploadName + "." + name
		diags.Append(message{
			Attribute: at, Summary: "A value of the upload did not reach the action",
			Seen: at + " is null. No backup was begun.",
			Todo: "Terraform 1.16 passes no ephemeral value to an action that is run with -invoke. There, declare the variable with sensitive = true and without ephemeral: " +
				"terraform apply -invoke writes the value to no state and no plan file. Or have a change trigger the action. If the variable is not ephemeral, give it a value.",
		}.failure())
	}
	return diags
}

// runAgain adds to the errors of an action how to run it once more, in place of the words
// that have Terraform do so.
func runAgain(name string, diags diag.Diagnostics) diag.Diagnostics {
	for i, d := range diags {
		if d.Severity() != diag.SeverityError {
			continue
		}
		detail := d.Detail()
		for _, advice := range []string{adviceRetry, adviceRunAgain, adviceApplyAgain} {
			detail = strings.TrimRight(strings.TrimSuffix(detail, advice), " \n")
		}
		var again diag.Diagnostic = diag.NewErrorDiagnostic(d.Summary(), detail+fmt.Sprintf(
			"\n\nTerraform does not run a triggered action again by itself. To run it: terraform apply -invoke=action.%s.<name>", name))
		if at, ok := d.(diag.DiagnosticWithPath); ok {
			again = diag.WithPath(at.Path(), again)
		}
		diags[i] = again
	}
	return diags
}
