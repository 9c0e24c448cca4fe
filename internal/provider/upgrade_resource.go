package provider

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// A migration of the metadata store takes hours on a large registry, and a
// time-out only makes Terraform stop waiting.
const defaultRunTimeout = 6 * time.Hour

var (
	_ resource.ResourceWithConfigure      = (*upgradeResource)(nil)
	_ resource.ResourceWithValidateConfig = (*upgradeResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*upgradeResource)(nil)
	_ resource.ResourceWithImportState    = (*upgradeResource)(nil)
)

type upgradeResource struct{ baseResource }

func newUpgradeResource() resource.Resource {
	return &upgradeResource{baseResource{suffix: "_upgrade"}}
}

func (r *upgradeResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The version of one DTR cluster. Changing it upgrades the cluster, one replica at a time, and waits for the migrations that belong to it. " +
			"Transitions that DTR does not support are errors at plan. Destroying the resource only removes it from the state. Import a cluster that runs already before the first plan: without a state an apply can end in the error [Provider produced inconsistent final plan](../guides/troubleshooting.md#provider-produced-inconsistent-final-plan).",
		Attributes: upgradeAttributes(ctx),
	}
}

func (r *upgradeResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m upgradeModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(checkDigests(ctx, m.Image)...)
	stops, err := m.stops()
	if err != nil || stops == nil {
		return // the attributes' own validators have said it, or it is too early to tell
	}
	resp.Diagnostics.Append(transitionDiagnostics(transition.StopsAscending(stops))...)
}

func (r *upgradeResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	onCreate(ctx, req, resp, defaultRunTimeout, func(ctx context.Context, m *upgradeModel) diag.Diagnostics {
		report, diags := r.run(ctx, req.Config, m, nil)
		if !diags.HasError() {
			diags.Append(m.finish(ctx, report, nil)...)
		}
		return diags
	})
}

func (r *upgradeResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	onRead(ctx, r.conn, req, resp, func(ctx context.Context, m *upgradeModel) (gone bool, diags diag.Diagnostics) {
		seen, err := r.inspect(ctx)
		if err != nil {
			return handleReadError(m.ID.ValueString(), err)
		}
		if known := m.ID.ValueString(); known != "" && !strings.EqualFold(known, seen.Host) {
			return false, diag.Diagnostics{changedCluster(known, seen.Host)}
		}
		m.ID = types.StringValue(seen.Host)
		m.observe(seen, m.ReplicaVersions)
		r.conn.refreshed.keep(seen)
		return false, nil
	})
}

func (r *upgradeResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	onUpdate(ctx, req, resp, defaultRunTimeout, func(ctx context.Context, plan, prior upgradeModel) (upgradeModel, diag.Diagnostics) {
		report, diags := r.run(ctx, req.Config, &plan, &prior)
		if !diags.HasError() {
			diags.Append(plan.finish(ctx, report, &prior)...)
			return plan, diags
		}
		next := prior // keep the old target: the next plan must still show the change
		if report != nil && report.Inventory != nil {
			next.observe(report.Inventory, prior.ReplicaVersions)
		}
		return next, diags
	})
}

// Delete forgets the cluster: the framework removes the state. The plan of it
// says so.
func (r *upgradeResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// ImportState adopts a running cluster. The id is only there to make sure that
// it is the cluster that was meant.
func (r *upgradeResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	ctx, cancel := withTimeout(ctx, "read", defaultReadTimeout)
	defer cancel()
	seen, err := r.inspect(ctx)
	if err != nil {
		resp.Diagnostics.Append(diagnose(err)...)
		return
	}
	if !strings.EqualFold(req.ID, seen.Host) {
		resp.Diagnostics.Append(otherCluster(req.ID, seen.Host))
		return
	}
	var m upgradeModel
	m.observe(seen, types.MapNull(types.StringType))
	for name, value := range map[string]attr.Value{
		"id":               types.StringValue(seen.Host),
		"target_version":   m.CurrentVersion,
		"current_version":  m.CurrentVersion,
		"replica_versions": m.ReplicaVersions,
		"upgrade_path":     upgradePath(nil),
	} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), value)...)
	}
}

// inspect looks at which versions run. The error is a *dtr.NotDTRError on proof
// that there is no DTR.
func (r *upgradeResource) inspect(ctx context.Context) (*cluster.Inventory, error) {
	c, err := r.conn.cluster()
	if err != nil {
		return nil, err
	}
	seen, err := cluster.Inspect(ctx, c)
	if err != nil {
		return nil, notDTRError(ctx, c, err)
	}
	return seen, nil
}

// handleReadError answers a refresh whose look has failed. Nothing but positive proof
// removes a resource.
func handleReadError(id string, err error) (removed bool, diags diag.Diagnostics) {
	if notDTR, ok := errors.AsType[*dtr.NotDTRError](err); ok {
		return true, diag.Diagnostics{gone(id, notDTR)}
	}
	return false, diagnose(err)
}

// notDTRError returns a *dtr.NotDTRError in place of a 404 if the server is not DTR. One page alone proves that, and it is asked for
// only when another one was not there.
func notDTRError(ctx context.Context, c cluster.Cluster, err error) error {
	if api, ok := errors.AsType[*dtr.APIError](err); !ok || api.StatusCode != http.StatusNotFound {
		return err
	}
	_, versionErr := c.DTR.Version(ctx)
	if notDTR, ok := errors.AsType[*dtr.NotDTRError](versionErr); ok {
		return notDTR
	}
	return err
}

// run brings the cluster to the model's target. The report is there also next to
// an error, unless nothing was begun; without an error it holds an inventory.
// There is no prior in a create.
func (r *upgradeResource) run(ctx context.Context, config source, m, prior *upgradeModel) (*upgrade.Report, diag.Diagnostics) {
	options, diags := m.options(ctx, prior)
	diags.Append(r.conn.addUpload(ctx, options, config)...)
	if diags.HasError() {
		return nil, diags
	}
	cluster, err := r.conn.cluster()
	if err != nil {
		return nil, diagnose(err)
	}
	options.ProviderVersion, options.Pace, options.Now = r.conn.version, r.conn.pace, r.conn.now
	report, err := upgrade.Run(ctx, cluster, *options)
	if err == nil && report.Inventory == nil {
		report.Inventory, err = r.inspect(ctx)
	}
	diags.Append(findings(report.Warnings)...)
	diags.Append(diagnose(err)...)
	return report, diags
}
