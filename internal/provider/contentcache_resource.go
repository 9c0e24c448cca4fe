package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/contentcache"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// A cache is one image on a few nodes; this is ample for slow ones.
const defaultCacheTimeout = 30 * time.Minute

var (
	_ resource.ResourceWithConfigure      = (*cacheResource)(nil)
	_ resource.ResourceWithValidateConfig = (*cacheResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*cacheResource)(nil)
	_ resource.ResourceWithImportState    = (*cacheResource)(nil)
)

type cacheResource struct{ baseResource }

func newCacheResource() resource.Resource {
	return &cacheResource{baseResource{suffix: "_content_cache"}}
}

func (r *cacheResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A content cache of DTR: its registration in DTR, and the version that it runs as a swarm service or as a container. " +
			"A cache has to run the version of DTR; one on another version causes authentication errors. " +
			"The cache itself is deployed elsewhere: destroying the resource removes the registration and keeps the service or the container. Import a cache that is registered already before the first plan: without a state an apply can end in the error [Provider produced inconsistent final plan](../guides/troubleshooting.md#provider-produced-inconsistent-final-plan).",
		Attributes: cacheAttributes(ctx),
	}
}

func (r *cacheResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m cacheModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(m.check()...)
	}
}

func (r *cacheResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	onCreate(ctx, req, resp, defaultCacheTimeout, func(ctx context.Context, m *cacheModel) diag.Diagnostics {
		_, diags := r.run(ctx, m, nil)
		return diags // the next create finds what a failed one has made
	})
}

func (r *cacheResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	onRead(ctx, r.conn, req, resp, func(ctx context.Context, m *cacheModel) (gone bool, diags diag.Diagnostics) {
		options, _, diags := m.options(ctx, r.conn)
		if diags.HasError() {
			return false, diags
		}
		state, err := r.look(ctx, options)
		if err != nil {
			return false, diagnose(err)
		}
		registration, ok := state.Find(m.ID.ValueString(), m.Name.ValueString(), m.Host.ValueString())
		if !ok {
			return true, diag.Diagnostics{cacheGone(m)}
		}
		m.setRegistration(registration)
		m.Cluster = types.StringValue(state.DTRHost)
		m.observe(state.Workload)
		return false, diags
	})
}

func (r *cacheResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	onUpdate(ctx, req, resp, defaultCacheTimeout, func(ctx context.Context, plan, prior cacheModel) (cacheModel, diag.Diagnostics) {
		report, diags := r.run(ctx, &plan, &prior)
		if !diags.HasError() {
			return plan, diags
		}
		next := prior // the next plan must still show the change
		if report != nil && report.ID != "" {
			next.ID = types.StringValue(report.ID)
		}
		if report != nil && report.State != nil && next.runBySame(&plan) {
			next.observe(report.State.Workload)
		}
		return next, diags
	})
}

func (r *cacheResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	onDelete(ctx, req, resp, defaultReadTimeout, func(ctx context.Context, m *cacheModel) diag.Diagnostics {
		cluster, err := r.conn.cluster()
		if err == nil {
			err = contentcache.Remove(ctx, cluster, m.Cluster.ValueString(), m.ID.ValueString())
		}
		return diagnose(err)
	})
}

// ImportState adopts a registration by its name, or by its id where several have
// the name.
func (r *cacheResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	ctx, cancel := withTimeout(ctx, "read", defaultReadTimeout)
	defer cancel()
	state, err := r.look(ctx, contentcache.Options{})
	if err != nil {
		resp.Diagnostics.Append(diagnose(err)...)
		return
	}
	var found []dtr.ContentCache
	for _, c := range state.Registered {
		if c.ID == req.ID || c.Name == req.ID {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		resp.Diagnostics.Append(cacheNotOne(req.ID, state.Registered, found))
		return
	}
	for name, value := range map[string]string{"id": found[0].ID, "name": found[0].Name, "host": found[0].Host, "cluster": state.DTRHost} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), value)...)
	}
}

// look looks at a cache. There is no state next to an error.
func (r *cacheResource) look(ctx context.Context, o contentcache.Options) (*contentcache.State, error) {
	cluster, err := r.conn.cluster()
	if err != nil {
		return nil, err
	}
	state, err := contentcache.Look(ctx, cluster, o)
	if err != nil {
		return nil, notDTRError(ctx, cluster, err)
	}
	return state, nil
}

// run makes the cache what the model says, and fills in what the plan left open.
// There is no prior in a create.
func (r *cacheResource) run(ctx context.Context, m, prior *cacheModel) (*contentcache.Report, diag.Diagnostics) {
	diags := m.check()
	options, _, d := m.options(ctx, r.conn)
	diags.Append(d...)
	if diags.HasError() {
		return nil, diags
	}
	cluster, err := r.conn.cluster()
	if err != nil {
		return nil, diagnose(err)
	}
	id := ""
	if prior != nil {
		id = prior.ID.ValueString()
		// The state takes a version over only once it is reached.
		options.Applied, _ = transition.ParseWire(prior.Version.ValueString())
	}
	report, err := contentcache.Run(ctx, cluster, options, id)
	diags.Append(findings(report.Warnings)...)
	diags.Append(diagnose(err)...)
	if err != nil {
		return report, diags
	}
	fill(&m.ID, types.StringValue(report.ID))
	fill(&m.Cluster, types.StringValue(report.DTRHost))
	if m.CurrentVersion.IsUnknown() {
		switch {
		case options.Version != nil: // the run has seen to it
			m.CurrentVersion = types.StringValue(options.Version.String())
		case report.State != nil:
			m.observe(report.State.Workload)
		default:
			m.observe(contentcache.Workload{})
		}
	}
	return report, diags
}
