package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// ModifyPlan judges what a plan would do against the cluster as it is. It runs
// at every plan, and again at the beginning of an apply; it has something to say
// only when there is something to do.
func (r *upgradeResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	plan, prior := planOf[upgradeModel](ctx, req, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if plan == nil {
		resp.Diagnostics.Append(forgotten(prior))
		return
	}
	p := upgradePlan{model: *plan, prior: prior, changed: !req.Plan.Raw.Equal(req.State.Raw)}
	options, diags := plan.options(ctx, prior)
	resp.Diagnostics.Append(diags...)
	resp.Diagnostics.Append(r.conn.addUpload(ctx, options, req.Config)...)
	ctx, cancel := withLimit(ctx, req.Plan, "read", defaultReadTimeout, &resp.Diagnostics)
	defer cancel()
	if resp.Diagnostics.HasError() || options == nil {
		return
	}

	options.Now = r.conn.now
	seen, err := r.observe(ctx, *options)
	switch {
	case err == nil:
		resp.Diagnostics.Append(p.planOnline(seen, *options)...)
	case isTransient(err):
		resp.Diagnostics.Append(p.planOffline(err, *options)...)
	default:
		resp.Diagnostics.Append(diagnose(err)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &p.model)...)
}

// observe looks at all that a plan depends on. What a refresh of this process has read
// just now is not read again.
func (r *upgradeResource) observe(ctx context.Context, o upgrade.Options) (*upgrade.Observation, error) {
	cluster, err := r.conn.cluster()
	if err != nil {
		return nil, err
	}
	seen, err := upgrade.ObserveForPlan(ctx, cluster, o, r.conn.refreshed.take())
	if err != nil {
		return nil, notDTRError(ctx, cluster, err)
	}
	return seen, nil
}

// upgradePlan is a plan in the making. It decides on the computed values; the
// framework has made them unknown where the configuration changed, and left them
// as they were where it did not.
type upgradePlan struct {
	model   upgradeModel
	prior   *upgradeModel // nil in a create
	changed bool          // the configuration differs from the state
}

// planOnline plans against the cluster as it was seen.
//
// What it makes known must come out the same when Terraform plans once more at
// the beginning of the apply, and must be what the apply returns.
func (p *upgradePlan) planOnline(seen *upgrade.Observation, o upgrade.Options) diag.Diagnostics {
	todo, found := upgrade.Preflight(seen, o)
	diags := findings(found)
	if diags.HasError() {
		return diags
	}
	if p.clusterChanged(seen, todo) {
		diags.Append(clusterChangedDiagnostic(p.prior.CurrentVersion.ValueString(), seen.CurrentVersion().String()))
		return diags
	}
	if todo.Due() {
		diags.Append(unusedImages(seen.CurrentVersion(), todo.Left(), o.Images)...)
	}
	switch {
	case p.prior == nil:
		path := seen.Path(todo, o)
		p.planCreate(seen.Host, o.Target, path)
		if len(path) > 0 {
			diags.Append(createPlanned(seen.Host, path))
		}
	case todo.Due():
		p.planRun(o.Target, todo.Left())
	case p.changed:
		p.keepComputed()
	}
	return diags
}

// unusedImages warns of archives and digests of versions that are not upgraded to:
// what was meant for one of the hops is missing there. Those of versions that are
// passed may stay.
func unusedImages(running *semver.Version, hops []transition.Hop, source images.Source) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, attribute := range []struct {
		name   string
		values map[string]string
	}{{"image.archives", source.Archives}, {"image.digests", source.Digests}} {
		for _, key := range slices.Sorted(maps.Keys(attribute.values)) {
			v, err := transition.Parse(key)
			target := func(h transition.Hop) bool { return h.To.Equal(v) }
			if err == nil && v.GreaterThan(running) && !slices.ContainsFunc(hops, target) {
				diags.Append(notUsed(attribute.name, key, hops))
			}
		}
	}
	return diags
}

// planCreate makes known what a second plan comes to as well, though it does not know
// the first: Terraform plans once more at the beginning of the apply, and by then a patch
// may have been made, or an earlier apply of this plan may have been killed. The version
// that runs is not among it, nor is the rule of a patch, which depends on it.
func (p *upgradePlan) planCreate(host string, target *semver.Version, path []transition.Hop) {
	p.model.ID = types.StringValue(host)
	p.model.CurrentVersion = types.StringValue(target.String())
	p.model.ReplicaVersions = types.MapUnknown(types.StringType)
	p.model.UpgradePath = openPath(path)
	p.model.LastUpgrade = types.ObjectUnknown(lastUpgradeType.AttrTypes)
}

// planRun plans the hops of an update.
func (p *upgradePlan) planRun(target *semver.Version, hops []transition.Hop) {
	p.model.CurrentVersion = types.StringValue(target.String())
	p.model.ReplicaVersions = types.MapUnknown(types.StringType)
	p.model.UpgradePath = upgradePath(hops)
	p.model.LastUpgrade = types.ObjectUnknown(lastUpgradeType.AttrTypes)
}

// keepComputed plans an update that touches nothing on the cluster.
func (p *upgradePlan) keepComputed() {
	p.model.CurrentVersion = p.prior.CurrentVersion
	p.model.ReplicaVersions = p.prior.ReplicaVersions
	p.model.UpgradePath = upgradePath(nil)
	p.model.LastUpgrade = p.prior.LastUpgrade
}

// clusterChanged reports whether the cluster changed since the state was read: between plan
// and apply, or unseen by a plan without a refresh. What was planned on that
// state is then not what would be done.
func (p *upgradePlan) clusterChanged(seen *upgrade.Observation, todo upgrade.Plan) bool {
	if p.prior == nil || p.prior.CurrentVersion.ValueString() == seen.CurrentVersion().String() {
		return false
	}
	// The end of a rollout that was under way changes nothing in the plan.
	return todo.Resume == nil || p.prior.CurrentVersion.ValueString() != todo.Resume.From.String()
}

// planOffline plans without a look at the cluster. The state, where there is one,
// still tells which transitions are refused, and what a plan that did look has made
// known: Terraform accepts nothing less of the plan at the beginning of its apply.
func (p *upgradePlan) planOffline(why error, o upgrade.Options) diag.Diagnostics {
	if p.prior == nil {
		return diag.Diagnostics{notChecked(why, true)}
	}
	hops, err := transition.PlanMixed(p.prior.running(), slices.Concat(o.Via, []*semver.Version{o.Target}))
	if err != nil {
		return diagnose(err)
	}
	if !p.changed && len(hops) == 0 {
		return nil
	}
	if len(hops) > 0 {
		p.planRun(o.Target, hops)
	} else {
		p.keepComputed()
	}
	return diag.Diagnostics{notChecked(why, false)}
}
