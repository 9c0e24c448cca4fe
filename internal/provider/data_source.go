package provider

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
)

// dataSource is what the data sources of a cluster have in common.
type dataSource struct {
	conn *connection // nil until the provider is configured
}

func (d *dataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connectionOf(req.ProviderData, &resp.Diagnostics)
}

// cluster makes the clients. Without a connection there is nothing to read: values
// that are made up now would be others in the apply.
func (d *dataSource) cluster(diags *diag.Diagnostics) (cluster.Cluster, bool) {
	c, err := d.conn.cluster()
	if notConnected := (*notConnectedError)(nil); errors.As(err, &notConnected) {
		diags.Append(notConnectedData(notConnected))
		return cluster.Cluster{}, false
	}
	diags.Append(diagnose(err)...)
	return c, err == nil
}
