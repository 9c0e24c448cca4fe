package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/resource"
)

// baseResource is what the resources have in common.
type baseResource struct {
	suffix string      // of the type's name
	conn   *connection // nil until the provider is configured
}

func (r *baseResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + r.suffix
}

func (r *baseResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connectionOf(req.ProviderData, &resp.Diagnostics)
}
