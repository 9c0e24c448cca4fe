package provider

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
)

// dataSource is what the data sources have in common.
type dataSource struct {
	suffix string      // of the type's name
	conn   *connection // nil until the provider is configured
}

func (d *dataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + d.suffix
}

func (d *dataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connectionOf(req.ProviderData, &resp.Diagnostics)
}

// cluster makes the clients. Without a connection there is nothing to read: values
// that are made up now would be others in the apply.
func (d *dataSource) cluster(diags *diag.Diagnostics) (cluster.Cluster, bool) {
	c, err := d.conn.cluster()
	if notConnected, ok := errors.AsType[*notConnectedError](err); ok {
		diags.Append(notConnectedData(notConnected))
		return cluster.Cluster{}, false
	}
	diags.Append(diagnose(err)...)
	return c, err == nil
}

func computedText(description string) schema.StringAttribute {
	return schema.StringAttribute{Computed: true, MarkdownDescription: description}
}

func computedTexts(description string) schema.ListAttribute {
	return schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: description}
}

func computedFlag(description string) schema.BoolAttribute {
	return schema.BoolAttribute{Computed: true, MarkdownDescription: description}
}

func computedNumber(description string) schema.Int64Attribute {
	return schema.Int64Attribute{Computed: true, MarkdownDescription: description}
}
