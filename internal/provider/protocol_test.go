package provider

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// values are attributes by name; what is left out is null.
type values map[string]any

// unknown is a value that only an apply will tell.
type unknown struct{}

// value makes a value of the type from Go's own: nil, unknown, string, bool,
// int, []any, values, or a tftypes.Value as it is.
func value(t testing.TB, typ tftypes.Type, v any) tftypes.Value {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return tftypes.NewValue(typ, nil)
	case unknown:
		return tftypes.NewValue(typ, tftypes.UnknownValue)
	case tftypes.Value:
		return v
	case string, bool:
		return tftypes.NewValue(typ, v)
	case int:
		return tftypes.NewValue(typ, big.NewFloat(float64(v)))
	case []any:
		element := tftypes.Type(nil)
		switch typ := typ.(type) {
		case tftypes.List:
			element = typ.ElementType
		case tftypes.Set:
			element = typ.ElementType
		}
		list := make([]tftypes.Value, len(v))
		for i, e := range v {
			list[i] = value(t, element, e)
		}
		return tftypes.NewValue(typ, list)
	case values:
		fields := map[string]tftypes.Value{}
		if m, ok := typ.(tftypes.Map); ok {
			for name, e := range v {
				fields[name] = value(t, m.ElementType, e)
			}
			return tftypes.NewValue(typ, fields)
		}
		types := typ.(tftypes.Object).AttributeTypes
		for name := range v {
			if types[name] == nil {
				t.Fatalf("no attribute %s", name)
			}
		}
		for name, typ := range types {
			fields[name] = value(t, typ, v[name])
		}
		return tftypes.NewValue(typ, fields)
	}
	t.Fatalf("no value of type %T", v)
	return tftypes.Value{}
}

// protocol speaks to the provider as Terraform does, without Terraform.
type protocol struct {
	t        testing.TB
	ctx      context.Context
	server   tfprotov6.ProviderServer
	provider tftypes.Type
	schemas  *tfprotov6.GetProviderSchemaResponse

	name   string // of the resource that is planned and applied
	schema *tfprotov6.Schema
}

func newProtocol(t testing.TB, opts ...Option) *protocol {
	t.Helper()
	p := &protocol{t: t, ctx: t.Context(), server: NewServer("test", opts...)()}
	schema, err := p.server.GetProviderSchema(p.ctx, &tfprotov6.GetProviderSchemaRequest{})
	p.ok(err, schema.Diagnostics)
	p.provider, p.schemas = schema.Provider.ValueType(), schema
	return p.of("dtr_upgrade")
}

// of is the same provider, planning and applying another resource.
func (p *protocol) of(name string) *protocol {
	other := *p
	other.name, other.schema = name, p.schemas.ResourceSchemas[name]
	return &other
}

// ok fails the test on an error.
func (p *protocol) ok(err error, diags []*tfprotov6.Diagnostic) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	if hasErrors(diags) {
		p.t.Fatal(render(diags))
	}
}

// linked are diagnostics of the provider: each error has to lead to the guide.
func (p *protocol) linked(diags []*tfprotov6.Diagnostic) []*tfprotov6.Diagnostic {
	p.t.Helper()
	for i, d := range diags {
		if !hasLink(d) {
			p.t.Errorf("it leads to no heading of the guide: %s", render(diags[i:i+1]))
		}
	}
	return diags
}

func (p *protocol) dynamic(v tftypes.Value) *tfprotov6.DynamicValue {
	p.t.Helper()
	d, err := tfprotov6.NewDynamicValue(v.Type(), v)
	p.ok(err, nil)
	return &d
}

// configure configures the provider, after validating the configuration as
// Terraform does.
func (p *protocol) configure(config values) []*tfprotov6.Diagnostic {
	p.t.Helper()
	d := p.dynamic(value(p.t, p.provider, config))
	validated, err := p.server.ValidateProviderConfig(p.ctx, &tfprotov6.ValidateProviderConfigRequest{Config: d})
	p.ok(err, nil)
	if hasErrors(validated.Diagnostics) {
		return p.linked(validated.Diagnostics)
	}
	configured, err := p.server.ConfigureProvider(p.ctx, &tfprotov6.ConfigureProviderRequest{Config: d, TerraformVersion: "1.11.4"})
	p.ok(err, nil)
	return p.linked(append(validated.Diagnostics, configured.Diagnostics...))
}

// validate is what terraform validate asks of the resource.
func (p *protocol) validate(config values) []*tfprotov6.Diagnostic {
	p.t.Helper()
	resp, err := p.server.ValidateResourceConfig(p.ctx, &tfprotov6.ValidateResourceConfigRequest{
		TypeName: p.name, Config: p.dynamic(value(p.t, p.schema.ValueType(), config)),
		ClientCapabilities: &tfprotov6.ValidateResourceConfigClientCapabilities{WriteOnlyAttributesAllowed: true},
	})
	p.ok(err, nil)
	return p.linked(resp.Diagnostics)
}

// planned is what came out of a plan.
type planned struct {
	diags  []*tfprotov6.Diagnostic
	after  map[string]tftypes.Value // nil when the plan is to destroy
	raw    *tfprotov6.PlanResourceChangeResponse
	config tftypes.Value
}

// plan plans the resource. No prior state is a create, no config a destroy.
func (p *protocol) plan(prior, config values) planned {
	p.t.Helper()
	typ := p.schema.ValueType()
	null := tftypes.NewValue(typ, nil)
	priorValue, configValue, proposed := null, null, null
	if prior != nil {
		priorValue = value(p.t, typ, prior)
	}
	if config != nil {
		configValue = value(p.t, typ, config)
		// What Terraform proposes: the configuration, and what was computed before.
		propose := maps.Clone(config)
		for _, a := range p.schema.Block.Attributes {
			if a.Computed && prior != nil && config[a.Name] == nil {
				propose[a.Name] = prior[a.Name]
			}
		}
		proposed = value(p.t, typ, propose)
	}
	resp, err := p.server.PlanResourceChange(p.ctx, &tfprotov6.PlanResourceChangeRequest{
		TypeName:         p.name,
		PriorState:       p.dynamic(priorValue),
		ProposedNewState: p.dynamic(proposed),
		Config:           p.dynamic(configValue),
	})
	p.ok(err, nil)
	if len(resp.RequiresReplace) > 0 && p.name != "dtr_replica" {
		p.t.Errorf("the plan replaces because of %v", resp.RequiresReplace)
	}
	if resp.Deferred != nil {
		p.t.Errorf("the plan is deferred: %v", resp.Deferred)
	}
	out := planned{diags: p.linked(resp.Diagnostics), raw: resp, config: configValue}
	if resp.PlannedState != nil {
		out.after = p.fields(resp.PlannedState)
	}
	return out
}

// applied is what came out of an apply.
type applied struct {
	diags []*tfprotov6.Diagnostic
	state map[string]tftypes.Value // nil when nothing is to be saved
	raw   *tfprotov6.DynamicValue
}

// apply plans and applies as Terraform does: it plans once more right before.
// An error of the plan fails the test.
func (p *protocol) apply(prior, config values) applied {
	p.t.Helper()
	p.ok(nil, p.plan(prior, config).diags)
	planned := p.plan(prior, config)
	p.ok(nil, planned.diags)
	return p.applyPlan(prior, planned)
}

// applyPlan applies what was planned, whatever has happened since.
func (p *protocol) applyPlan(prior values, planned planned) applied {
	p.t.Helper()
	typ := p.schema.ValueType()
	priorValue := tftypes.NewValue(typ, nil)
	if prior != nil {
		priorValue = value(p.t, typ, prior)
	}
	resp, err := p.server.ApplyResourceChange(p.ctx, &tfprotov6.ApplyResourceChangeRequest{
		TypeName:       p.name,
		PriorState:     p.dynamic(priorValue),
		PlannedState:   planned.raw.PlannedState,
		Config:         p.dynamic(planned.config),
		PlannedPrivate: planned.raw.PlannedPrivate,
	})
	p.ok(err, nil)
	return applied{diags: p.linked(resp.Diagnostics), state: p.fields(resp.NewState), raw: resp.NewState}
}

// read refreshes a state.
func (p *protocol) read(prior values) applied {
	p.t.Helper()
	resp, err := p.server.ReadResource(p.ctx, &tfprotov6.ReadResourceRequest{
		TypeName: p.name, CurrentState: p.dynamic(value(p.t, p.schema.ValueType(), prior)),
	})
	p.ok(err, nil)
	return applied{diags: p.linked(resp.Diagnostics), state: p.fields(resp.NewState), raw: resp.NewState}
}

// importState imports a cluster.
func (p *protocol) importState(id string) applied {
	p.t.Helper()
	resp, err := p.server.ImportResourceState(p.ctx, &tfprotov6.ImportResourceStateRequest{TypeName: p.name, ID: id})
	p.ok(err, nil)
	a := applied{diags: p.linked(resp.Diagnostics)}
	if len(resp.ImportedResources) > 0 {
		a.raw = resp.ImportedResources[0].State
		a.state = p.fields(a.raw)
	}
	return a
}

// values is the state as the prior of what comes next.
func (a applied) values() values {
	v := values{}
	for name, attribute := range a.state {
		v[name] = attribute
	}
	return v
}

// text is an attribute's text, "null" when it has none.
func (a applied) text(name string) string {
	v := a.state[name]
	if v.IsNull() {
		return "null"
	}
	var s string
	must(v.As(&s))
	return s
}

// number is a number of last_upgrade.
func (a applied) number(t testing.TB, name string) int {
	t.Helper()
	var last map[string]tftypes.Value
	var n big.Float
	must(a.state["last_upgrade"].As(&last))
	if last == nil {
		t.Fatal("last_upgrade is null")
	}
	must(last[name].As(&n))
	i, _ := n.Int64()
	return int(i)
}

// fields takes an object apart, nil for null.
func (p *protocol) fields(d *tfprotov6.DynamicValue) map[string]tftypes.Value {
	p.t.Helper()
	v, err := d.Unmarshal(p.schema.ValueType())
	p.ok(err, nil)
	if v.IsNull() {
		return nil
	}
	var fields map[string]tftypes.Value
	p.ok(v.As(&fields), nil)
	return fields
}

func hasErrors(diags []*tfprotov6.Diagnostic) bool {
	for _, d := range diags {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			return true
		}
	}
	return false
}

// render writes diagnostics about as Terraform does.
func render(diags []*tfprotov6.Diagnostic) string {
	var b strings.Builder
	for i, d := range diags {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(map[tfprotov6.DiagnosticSeverity]string{
			tfprotov6.DiagnosticSeverityError:   "Error: ",
			tfprotov6.DiagnosticSeverityWarning: "Warning: ",
		}[d.Severity] + d.Summary + "\n")
		if d.Attribute != nil {
			b.WriteString("  at " + attributePath(d.Attribute) + "\n")
		}
		b.WriteString("\n" + d.Detail + "\n")
	}
	return b.String()
}

// attributePath writes a path as Terraform's language does.
func attributePath(p *tftypes.AttributePath) string {
	var b strings.Builder
	for _, step := range p.Steps() {
		switch step := step.(type) {
		case tftypes.AttributeName:
			if b.Len() > 0 {
				b.WriteString(".")
			}
			b.WriteString(string(step))
		case tftypes.ElementKeyInt:
			fmt.Fprintf(&b, "[%d]", step)
		case tftypes.ElementKeyString:
			fmt.Fprintf(&b, "[%q]", string(step))
		default: // an element of a set, which has no short name
			b.WriteString("[...]")
		}
	}
	return b.String()
}
