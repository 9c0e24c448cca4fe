package provider

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

type backupModel struct {
	File   types.String `tfsdk:"file"`
	Upload types.Object `tfsdk:"upload"`
}

type uploadModel struct {
	URL     types.String `tfsdk:"url"`
	Headers types.Map    `tfsdk:"headers"`
}

const (
	// uploadName is the name of the attribute, wherever it stands.
	uploadName = "upload"
	// envHCPTerraform is set in every run of HCP Terraform.
	envHCPTerraform = "TFC_RUN_ID"
)

// What is said of the attributes of upload, in each schema that has it.
const (
	uploadDescription = "An object store that the checked backup is sent to as well, by one PUT, such as S3, Google Cloud Storage or Azure Blob Storage. "
	urlDescription    = "Where the backup is put: a pre-signed URL for PUT, for example. It must not expire before the backup is taken. "
	headerDescription = "Headers of that request, as they were signed; Azure needs `x-ms-blob-type = \"BlockBlob\"`."
)

// uploadAttribute is backup.upload of a resource: no plan and no state has it, and it is
// read from the configuration.
var uploadAttribute = schema.SingleNestedAttribute{
	Optional:  true,
	WriteOnly: true,
	MarkdownDescription: uploadDescription +
		"No hop begins before it is there. Needs Terraform 1.11.",
	Attributes: map[string]schema.Attribute{
		"url": schema.StringAttribute{
			Required:            true,
			WriteOnly:           true,
			Sensitive:           true,
			MarkdownDescription: urlDescription + "Changing it affects the next upgrade only.",
			Validators:          []validator.String{objectURL()},
		},
		"headers": schema.MapAttribute{
			Optional:            true,
			WriteOnly:           true,
			Sensitive:           true,
			ElementType:         types.StringType,
			MarkdownDescription: headerDescription + " Changing them affects the next upgrade only.",
			Validators:          []validator.Map{noNulls{}, headers{}},
		},
	},
}

// addUpload adds to the options what the configuration says of an upload. A URL and
// headers that are not known yet leave it open where to.
func (c *connection) addUpload(ctx context.Context, o *upgrade.Options, config source) diag.Diagnostics {
	if o == nil || o.Backup == nil {
		return nil
	}
	o.HCPTerraform = os.Getenv(envHCPTerraform) != ""
	var upload types.Object
	diags := config.GetAttribute(ctx, path.Root("backup").AtName(uploadName), &upload)
	o.Backup.Upload = !upload.IsNull()
	if diags.HasError() || upload.IsNull() || upload.IsUnknown() {
		return diags
	}
	var d diag.Diagnostics
	o.Backup.Object, d = c.object(ctx, "backup.upload", upload)
	diags.Append(d...)
	return diags
}

// object is where a backup is sent, nil while that is not known.
func (c *connection) object(ctx context.Context, at string, upload types.Object) (*endpoint.Object, diag.Diagnostics) {
	var m uploadModel
	diags := upload.As(ctx, &m, basetypes.ObjectAsOptions{})
	values := known(m.Headers)
	if diags.HasError() || m.URL.IsUnknown() || m.Headers.IsUnknown() || len(values) < len(m.Headers.Elements()) {
		return nil, diags
	}
	object, err := endpoint.NewObject(endpoint.ObjectConfig{
		URL: m.URL.ValueString(), Headers: values, UserAgent: c.dtr.UserAgent, Secrets: c.dtr.Secrets, Retry: c.dtr.Retry,
	})
	if err != nil { // which the validators have not seen, since it was not known
		diags.Append(message{Attribute: at, Summary: "Not the URL or the headers of an object", Seen: preflight.Sentence(err)}.failure())
	}
	return object, diags
}

// objectURL checks the URL of an object. Its errors repeat nothing of it.
func objectURL() stringCheck {
	return stringCheck{"the URL of an object", "", endpoint.CheckObjectURL}
}

// headers checks headers of a request. Its errors repeat no value.
type headers struct{}

func (headers) Description(context.Context) string         { return "headers of a request" }
func (headers) MarkdownDescription(context.Context) string { return "headers of a request" }

func (headers) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	values := known(req.ConfigValue)
	for name := range req.ConfigValue.Elements() {
		if _, is := values[name]; !is {
			values[name] = "" // its name is known
		}
	}
	if err := endpoint.CheckHeaders(values); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Not a header of a request", fmt.Sprintf("%s: %s", attributeName(req.Path), preflight.Sentence(err)))
	}
}

var _ validator.Map = headers{}
