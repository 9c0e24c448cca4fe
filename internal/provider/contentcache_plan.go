package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/contentcache"
)

// ModifyPlan judges a plan against what DTR has registered and what runs. It has
// something to say only when there is something to do.
func (r *cacheResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	plan, prior := planOf[cacheModel](ctx, req, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if plan == nil {
		if prior.deployed() {
			resp.Diagnostics.Append(cacheLeft(prior))
		}
		return
	}
	p := cachePlan{model: *plan, prior: prior, changed: !req.Plan.Raw.Equal(req.State.Raw)}
	resp.Diagnostics.Append(plan.check()...)
	options, known, diags := plan.options(ctx, r.conn)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := withLimit(ctx, req.Plan, "read", defaultReadTimeout, &resp.Diagnostics)
	defer cancel()
	if resp.Diagnostics.HasError() {
		return
	}
	p.registration()
	if !p.model.deployed() {
		p.model.CurrentVersion = types.StringNull()
	}
	if known {
		resp.Diagnostics.Append(p.setObserved(r.look(ctx, options))...)
		resp.Diagnostics.Append(p.planOnline(options)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &p.model)...)
}

// cachePlan is a plan in the making. The framework has made the computed values
// unknown where the configuration changed, and left them as they were where it did
// not.
type cachePlan struct {
	model      cacheModel
	prior      *cacheModel // nil in a create
	changed    bool        // the configuration differs from the state
	reregister bool        // under a new id
	seen       *contentcache.State
}

// registration decides on the id: a registration that is replaced gets another.
func (p *cachePlan) registration() {
	if p.prior == nil {
		return
	}
	if p.reregister = p.model.registrationChanged(p.prior); p.reregister {
		p.model.ID = types.StringUnknown()
	}
}

// setObserved sets the computed values to what was seen, or reports why nothing was.
func (p *cachePlan) setObserved(seen *contentcache.State, err error) diag.Diagnostics {
	p.seen = seen
	switch {
	case err == nil && seen.Workload.Problem != nil && (p.changed || !p.model.Version.IsNull()):
		return diagnose(seen.Workload.Problem)
	case err == nil, !p.changed && isTransient(err):
		return nil
	case isTransient(err):
		return diag.Diagnostics{notChecked(err, p.prior == nil)}
	}
	return diagnose(err)
}

// planOnline plans against the cache as it was seen, if it was.
//
// What it makes known must come out the same when Terraform plans once more at the
// beginning of the apply, and must be what the apply returns.
func (p *cachePlan) planOnline(o contentcache.Options) diag.Diagnostics {
	var diags diag.Diagnostics
	if p.reregister {
		diags.Append(cacheReplaced(p.prior, &p.model))
	}
	if p.seen == nil {
		return diags
	}
	if p.prior == nil {
		p.model.Cluster = types.StringValue(p.seen.DTRHost)
	}
	if p.prior == nil || p.reregister {
		id := ""
		if p.prior != nil {
			id = p.prior.ID.ValueString()
		}
		diags.Append(diagnose(contentcache.CheckName(p.seen.Registered, o, id))...)
	}
	switch {
	case o.Version == nil:
		if p.prior != nil && p.model.deployed() && p.model.runBySame(p.prior) {
			p.model.CurrentVersion = p.prior.CurrentVersion
		}
	case p.seen.Workload.Settled, p.changed, p.prior.CurrentVersion.ValueString() != o.Version.String():
		p.model.CurrentVersion = types.StringValue(o.Version.String())
	default: // a change that was cut short shows in nothing else
		p.model.CurrentVersion = types.StringUnknown()
	}
	if o.Version != nil {
		diags.Append(p.newer(o)...)
	}
	return diags
}

// newer warns of a cache that is newer than what is wanted: DTR is never
// downgraded, so one of the two versions is a mistake. The cache has no data that
// an older one could not read.
func (p *cachePlan) newer(o contentcache.Options) diag.Diagnostics {
	runs := p.seen.Workload.Version
	if runs == nil || !runs.GreaterThan(o.Version) || p.seen.Workload.Settled {
		return nil
	}
	return diag.Diagnostics{cacheNewer(o.Name, runs, o.Version)}
}
