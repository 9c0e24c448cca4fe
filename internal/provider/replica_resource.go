package provider

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
)

// A join takes minutes, and seven of them wait for each other.
const defaultReplicaTimeout = 2 * time.Hour

var (
	_ resource.ResourceWithConfigure   = (*replicaResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*replicaResource)(nil)
	_ resource.ResourceWithImportState = (*replicaResource)(nil)
)

type replicaResource struct{ baseResource }

func newReplicaResource() resource.Resource {
	return &replicaResource{baseResource{suffix: "_replica"}}
}

func (r *replicaResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A replica of a DTR cluster. Creating it has a replica join on a node, at the version that the cluster runs; destroying it removes the replica gracefully. `-replace` and `taint` do both, one after the other. " +
			"The last replica is never removed, and no other while a replica that stays is not healthy. Import replicas that are there already before the first plan: without a state an apply can end in the error [Provider produced inconsistent final plan](../guides/troubleshooting.md#provider-produced-inconsistent-final-plan).",
		Attributes: replicaAttributes(ctx),
	}
}

func (r *replicaResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	onCreate(ctx, req, resp, defaultReplicaTimeout, func(ctx context.Context, m *replicaModel) diag.Diagnostics {
		options, cluster, diags := r.work(ctx, m)
		if diags.HasError() {
			return diags
		}
		member, err := replica.Join(ctx, cluster, options)
		if err != nil {
			// Without a state: a tainted resource would plan the removal of a replica that
			// may be about to join. The bootstrapper's container tells the next create.
			return diagnose(err)
		}
		plan := *m
		m.observe(member)
		diags.Append(m.keepPlannedPorts(&plan)...)
		m.nullUnknowns()
		return diags
	})
}

func (r *replicaResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	onRead(ctx, r.conn, req, resp, func(ctx context.Context, m *replicaModel) (gone bool, diags diag.Diagnostics) {
		member, err := r.find(ctx, m.ID.ValueString())
		missing, gone := errors.AsType[*replica.NotFoundError](err)
		host := member.Host
		if gone {
			host = missing.Host
		} else if err != nil {
			return false, diagnose(err)
		}
		if known := m.Cluster.ValueString(); !strings.EqualFold(known, host) {
			return false, diag.Diagnostics{changedReplicaCluster(m.ID.ValueString(), known, host)}
		}
		if gone {
			return true, diag.Diagnostics{replicaGone(missing)}
		}
		m.observe(member)
		r.conn.mayReplace(m.Node, m.ID) // of one that is tainted, no first half is planned
		return false, nil
	})
}

// Update stores attributes that only a later removal reads.
func (r *replicaResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m replicaModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

func (r *replicaResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	onDelete(ctx, req, resp, defaultReplicaTimeout, func(ctx context.Context, m *replicaModel) diag.Diagnostics {
		options, cluster, diags := r.work(ctx, m)
		if diags.HasError() {
			return diags
		}
		return diagnose(replica.Remove(ctx, cluster, options))
	})
}

// ImportState adopts a replica by its id.
func (r *replicaResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if err := replicaID().check(req.ID); err != nil {
		resp.Diagnostics.AddError("Not the id of a replica", preflight.Sentence(err))
		return
	}
	ctx, cancel := withTimeout(ctx, "read", defaultReadTimeout)
	defer cancel()
	member, err := r.find(ctx, req.ID)
	var missing *replica.NotFoundError
	switch {
	case errors.As(err, &missing):
		resp.Diagnostics.Append(noReplicaToImport(missing))
		return
	case err != nil:
		resp.Diagnostics.Append(diagnose(err)...)
		return
	}
	var m replicaModel
	m.observe(member)
	for name, value := range map[string]attr.Value{
		"id":                 m.ID,
		"node":               m.Node,
		"cluster":            m.Cluster,
		"version":            m.Version,
		"health":             m.Health,
		"replica_http_port":  m.HTTPPort,
		"replica_https_port": m.HTTPSPort,
	} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), value)...)
	}
}

func (r *replicaResource) find(ctx context.Context, id string) (replica.Member, error) {
	cluster, err := r.conn.cluster()
	if err != nil {
		return replica.Member{}, err
	}
	member, err := replica.Find(ctx, cluster, r.conn.pace, id)
	if err != nil {
		err = notDTRError(ctx, cluster, err)
	}
	return member, err
}

// work is what a join or a removal needs.
func (r *replicaResource) work(ctx context.Context, m *replicaModel) (replica.Options, cluster.Cluster, diag.Diagnostics) {
	options, diags := m.options(ctx)
	cluster, err := r.conn.cluster()
	diags.Append(diagnose(err)...)
	options.ProviderVersion, options.Pace, options.Turn = r.conn.version, r.conn.pace, r.conn.turn
	return options, cluster, diags
}
