package provider

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
)

// ModifyPlan judges a join or a removal against the cluster as it is. Nothing else
// touches the cluster, and nothing else is spoken of.
func (r *replicaResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	plan, prior := planOf[replicaModel](ctx, req, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	switch {
	case plan == nil:
		resp.Diagnostics.Append(r.check(ctx, req.State, prior, replica.PreflightRemove)...)
		if !resp.Diagnostics.HasError() {
			resp.Diagnostics.Append(replicaLeaves(prior))
		}
	case prior == nil:
		if !plan.Node.IsUnknown() {
			resp.Diagnostics.Append(r.check(ctx, req.Plan, plan, r.preflightCreate)...)
			resp.Diagnostics.Append(resp.Plan.Set(ctx, plan)...)
		}
	default:
		r.conn.mayReplace(plan.Node, prior.ID)
		if !plan.Node.Equal(prior.Node) {
			return // Terraform plans a create next
		}
		resp.Diagnostics.Append(fixedPorts(plan, prior)...)
		plan.keepComputed(prior)
		resp.Diagnostics.Append(resp.Plan.Set(ctx, plan)...)
	}
}

// preflightCreate judges a join. Terraform plans a replacement in two halves, and the
// second one, which is this create, has no prior state: that the same plan removes a
// replica first is known from the first half alone.
func (r *replicaResource) preflightCreate(seen *cluster.Snapshot, o replica.Options) preflight.Findings {
	if id, ok := r.conn.replaced.Load(o.Node); ok {
		o.ReplicaID, _ = id.(string)
	}
	return replica.PreflightReplace(seen, o)
}

// mayReplace remembers, as long as this process lives, that a create on the node may be
// the second half of the replica's replacement. In an apply it is not known: the first
// half is made by then, or is not to come first.
func (c *connection) mayReplace(node, id types.String) {
	if !node.IsUnknown() {
		c.replaced.Store(node.ValueString(), id.ValueString())
	}
}

// check looks at the cluster and says what speaks against the change. A replica that
// is to join belongs to the cluster that was seen from then on.
func (r *replicaResource) check(ctx context.Context, from source, m *replicaModel, checks func(*cluster.Snapshot, replica.Options) preflight.Findings) diag.Diagnostics {
	options, diags := m.options(ctx)
	ctx, cancel := withLimit(ctx, from, "read", defaultReadTimeout, &diags)
	defer cancel()
	if diags.HasError() {
		return diags
	}
	c, err := r.conn.cluster()
	if err == nil {
		var seen *cluster.Snapshot
		if seen, err = cluster.Look(ctx, c); err == nil {
			if options.Host != "" && !strings.EqualFold(options.Host, seen.Host) {
				return diag.Diagnostics{changedReplicaCluster(options.ReplicaID, options.Host, seen.Host)}
			}
			m.Cluster = types.StringValue(seen.Host)
			return findings(checks(seen, options))
		}
		err = notDTRError(ctx, c, err)
	}
	if isTransient(err) {
		return diag.Diagnostics{notChecked(err, m.ID.IsUnknown())}
	}
	return diagnose(err)
}

// fixedPorts refuses to change a port.
func fixedPorts(plan, prior *replicaModel) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, p := range []struct {
		name          string
		plan, current types.Int64
	}{
		{"replica_http_port", plan.HTTPPort, prior.HTTPPort},
		{"replica_https_port", plan.HTTPSPort, prior.HTTPSPort},
	} {
		if !p.plan.IsUnknown() && !p.current.IsNull() && !p.plan.Equal(p.current) {
			diags.Append(fixedPort(path.Root(p.name), prior.ID.ValueString(), p.current.String(), p.plan.String()))
		}
	}
	return diags
}
