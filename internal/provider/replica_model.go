package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

type replicaModel struct {
	Node              types.String   `tfsdk:"node"`
	ExistingReplicaID types.String   `tfsdk:"existing_replica_id"`
	HTTPPort          types.Int64    `tfsdk:"replica_http_port"`
	HTTPSPort         types.Int64    `tfsdk:"replica_https_port"`
	Image             types.Object   `tfsdk:"image"`
	ID                types.String   `tfsdk:"id"`
	Cluster           types.String   `tfsdk:"cluster"`
	Version           types.String   `tfsdk:"version"`
	Health            types.String   `tfsdk:"health"`
	Timeouts          timeouts.Value `tfsdk:"timeouts"`
}

type replicaImageModel struct {
	Repository types.String `tfsdk:"repository"`
	Pull       types.String `tfsdk:"pull"`
}

// options is the model as a join or a removal understands it. What is not known
// yet counts as left out.
func (m *replicaModel) options(ctx context.Context) (replica.Options, diag.Diagnostics) {
	var image replicaImageModel
	diags := m.Image.As(ctx, &image, basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true, UnhandledUnknownAsEmpty: true})
	return replica.Options{
		Node:              m.Node.ValueString(),
		ReplicaID:         m.ID.ValueString(),
		Host:              m.Cluster.ValueString(),
		ExistingReplicaID: m.ExistingReplicaID.ValueString(),
		HTTPPort:          int(m.HTTPPort.ValueInt64()),
		HTTPSPort:         int(m.HTTPSPort.ValueInt64()),
		Images:            images.Source{Repository: ucp.FamiliarImage(image.Repository.ValueString()), Pull: images.PullPolicy(image.Pull.ValueString())},
	}, diags
}

// observe sets the computed values to what the cluster shows of the replica. What it
// does not show stays as it was seen last.
func (m *replicaModel) observe(seen replica.Member) {
	m.ID = types.StringValue(seen.ID)
	if m.Cluster.ValueString() == "" { // else the same, apart from upper and lower case
		m.Cluster = types.StringValue(seen.Host)
	}
	m.Health = types.StringValue(seen.Health)
	// Where UCP shows no container only DTR names the node, and perhaps otherwise.
	if seen.Node != "" && (len(seen.Containers) > 0 || m.Node.ValueString() == "") {
		m.Node = types.StringValue(seen.Node)
	}
	if seen.Runs != nil {
		m.Version = types.StringValue(seen.Runs.String())
	}
	if seen.HTTPPort > 0 {
		m.HTTPPort = types.Int64Value(int64(seen.HTTPPort))
	}
	if seen.HTTPSPort > 0 {
		m.HTTPSPort = types.Int64Value(int64(seen.HTTPSPort))
	}
}

// keepPlannedPorts keeps the ports that the plan has promised where the replica that joined has
// others: an earlier apply may have begun to join it. The next plan shows them.
func (m *replicaModel) keepPlannedPorts(plan *replicaModel) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, p := range []struct {
		name          string
		plan, current *types.Int64
	}{
		{"replica_http_port", &plan.HTTPPort, &m.HTTPPort},
		{"replica_https_port", &plan.HTTPSPort, &m.HTTPSPort},
	} {
		if !p.plan.IsUnknown() && !p.plan.IsNull() && !p.plan.Equal(p.current) {
			diags.Append(otherPort(path.Root(p.name), m.ID.ValueString(), p.current.String(), p.plan.String()))
			*p.current = *p.plan
		}
	}
	return diags
}

// nullUnknowns makes null of what the cluster has not shown: nothing is unknown in a
// state.
func (m *replicaModel) nullUnknowns() {
	fill(&m.Version, types.StringNull())
	fill(&m.HTTPPort, types.Int64Null())
	fill(&m.HTTPSPort, types.Int64Null())
}

// keepComputed takes what is computed from the prior state, for a plan that does not touch
// the replica.
func (m *replicaModel) keepComputed(prior *replicaModel) {
	m.ID, m.Cluster, m.Version, m.Health = prior.ID, prior.Cluster, prior.Version, prior.Health
	fill(&m.HTTPPort, prior.HTTPPort)
	fill(&m.HTTPSPort, prior.HTTPSPort)
}
