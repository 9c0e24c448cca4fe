package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// defaultReadTimeout bounds a look: a handful of requests side by side, so that
// this is ample for repeats.
const defaultReadTimeout = 2 * time.Minute

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

// onCreate has a plan made true: do fills in what the plan left open. After an error
// there is no state: a tainted resource would plan a destroy.
func onCreate[M any](ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse, limit time.Duration, do func(context.Context, *M) diag.Diagnostics) {
	var m M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	ctx, cancel := withLimit(ctx, req.Plan, "create", limit, &resp.Diagnostics)
	defer cancel()
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(do(ctx, &m)...)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

// onRead brings a state up to date, or drops it where do has proof that it is gone.
// What is not connected yet is left as it was.
func onRead[M any](ctx context.Context, conn *connection, req resource.ReadRequest, resp *resource.ReadResponse, do func(context.Context, *M) (gone bool, diags diag.Diagnostics)) {
	var m M
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	ctx, cancel := withLimit(ctx, req.State, "read", defaultReadTimeout, &resp.Diagnostics)
	defer cancel()
	if resp.Diagnostics.HasError() || len(conn.unknown) > 0 {
		return
	}
	gone, diags := do(ctx, &m)
	resp.Diagnostics.Append(diags...)
	switch {
	case gone:
		resp.State.RemoveResource(ctx)
	case !diags.HasError():
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

// onUpdate has a change made. What do returns is stored after an error, too: there it
// is the prior state, brought up to date, so that the next plan still shows the change.
func onUpdate[M any](ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse, limit time.Duration, do func(ctx context.Context, plan, prior M) (M, diag.Diagnostics)) {
	var plan, prior M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &prior)...)
	ctx, cancel := withLimit(ctx, req.Plan, "update", limit, &resp.Diagnostics)
	defer cancel()
	if resp.Diagnostics.HasError() {
		return
	}
	next, diags := do(ctx, plan, prior)
	resp.Diagnostics.Append(diags...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &next)...)
}

// onDelete has what a state describes taken away.
func onDelete[M any](ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse, limit time.Duration, do func(context.Context, *M) diag.Diagnostics) {
	var m M
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	ctx, cancel := withLimit(ctx, req.State, "delete", limit, &resp.Diagnostics)
	defer cancel()
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(do(ctx, &m)...)
	}
}

// planOf reads what a plan is about: plan is nil where the resource is destroyed,
// and prior where it is created.
func planOf[M any](ctx context.Context, req resource.ModifyPlanRequest, diags *diag.Diagnostics) (plan, prior *M) {
	if !req.State.Raw.IsNull() {
		prior = new(M)
		diags.Append(req.State.Get(ctx, prior)...)
	}
	if !req.Plan.Raw.IsNull() {
		plan = new(M)
		diags.Append(req.Plan.Get(ctx, plan)...)
	}
	return plan, prior
}

// fill sets a value that the plan left open.
func fill[V attr.Value](open *V, value V) {
	if (*open).IsUnknown() {
		*open = value
	}
}

// source is a plan or a state.
type source interface {
	GetAttribute(context.Context, path.Path, any) diag.Diagnostics
}

var limitsOf = map[string]func(timeouts.Value, context.Context, time.Duration) (time.Duration, diag.Diagnostics){
	"create": timeouts.Value.Create,
	"read":   timeouts.Value.Read,
	"update": timeouts.Value.Update,
	"delete": timeouts.Value.Delete,
}

// withLimit bounds an operation by its time limit in the resource's timeouts.
func withLimit(ctx context.Context, from source, operation string, otherwise time.Duration, diags *diag.Diagnostics) (context.Context, context.CancelFunc) {
	var limits timeouts.Value
	diags.Append(from.GetAttribute(ctx, path.Root("timeouts"), &limits)...)
	limit, d := limitsOf[operation](limits, ctx, otherwise)
	diags.Append(d...)
	return withTimeout(ctx, operation, limit)
}

// withTimeout bounds an operation. The cause tells a time-out from an interrupt.
func withTimeout(ctx context.Context, name string, limit time.Duration) (context.Context, context.CancelFunc) {
	return wait.WithTimeout(ctx, limit, limitPassed(name, limit))
}

func limitPassed(name string, limit time.Duration) error {
	return fmt.Errorf("timeouts.%s of %s passed", name, duration.Text(limit))
}

// timeLimits is the attribute timeouts, for the operations that are described.
func timeLimits(ctx context.Context, o timeouts.Opts) schema.SingleNestedAttribute {
	o.Create, o.Read = o.CreateDescription != "", o.ReadDescription != ""
	o.Update, o.Delete = o.UpdateDescription != "", o.DeleteDescription != ""
	limits, _ := timeouts.Attributes(ctx, o).(schema.SingleNestedAttribute)
	for name, a := range limits.Attributes { // whose own validators name no attribute, and let 0s pass
		limit, _ := a.(schema.StringAttribute)
		limit.Validators = []validator.String{timeLimit()}
		limits.Attributes[name] = limit
	}
	limits.MarkdownDescription = "Time limits, such as `\"90m\"`. Changing them changes nothing on the cluster."
	return limits
}

// lasting is a computed text that stays as it is.
func lasting(description string) schema.StringAttribute {
	return schema.StringAttribute{
		Computed:            true,
		MarkdownDescription: description,
		PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
	}
}
