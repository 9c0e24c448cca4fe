package provider

import (
	"math/big"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// data reads a data source, after validating its configuration as Terraform does.
func (p *protocol) data(name string, config values) applied {
	p.t.Helper()
	typ := p.schemas.DataSourceSchemas[name].ValueType()
	d := p.dynamic(value(p.t, typ, config))
	validated, err := p.server.ValidateDataResourceConfig(p.ctx, &tfprotov6.ValidateDataResourceConfigRequest{TypeName: name, Config: d})
	p.ok(err, nil)
	if hasErrors(validated.Diagnostics) {
		return applied{diags: p.linked(validated.Diagnostics)}
	}
	resp, err := p.server.ReadDataSource(p.ctx, &tfprotov6.ReadDataSourceRequest{TypeName: name, Config: d})
	p.ok(err, nil)
	a := applied{diags: p.linked(resp.Diagnostics)}
	if resp.State != nil {
		v, err := resp.State.Unmarshal(typ)
		p.ok(err, nil)
		if !v.IsNull() {
			p.ok(v.As(&a.state), nil)
		}
	}
	return a
}

// planAction validates and plans an action.
func (p *protocol) planAction(name string, config values) []*tfprotov6.Diagnostic {
	p.t.Helper()
	return p.planActionValue(name, value(p.t, p.schemas.ActionSchemas[name].Schema.ValueType(), config))
}

func (p *protocol) planActionValue(name string, config tftypes.Value) []*tfprotov6.Diagnostic {
	p.t.Helper()
	server := p.server.(tfprotov6.ActionServer)
	d := p.dynamic(config)
	validated, err := server.ValidateActionConfig(p.ctx, &tfprotov6.ValidateActionConfigRequest{ActionType: name, Config: d})
	p.ok(err, nil)
	if hasErrors(validated.Diagnostics) {
		return p.linked(validated.Diagnostics)
	}
	planned, err := server.PlanAction(p.ctx, &tfprotov6.PlanActionRequest{ActionType: name, Config: d})
	p.ok(err, nil)
	return p.linked(append(validated.Diagnostics, planned.Diagnostics...))
}

// invoke invokes an action. The progress is what it says meanwhile, each of which
// the function, which may be nil, is told of at once.
func (p *protocol) invoke(name string, config values, told func(string)) (progress []string, diags []*tfprotov6.Diagnostic) {
	p.t.Helper()
	p.ok(nil, p.planAction(name, config))
	return p.invokeUnplanned(name, config, told)
}

// invokeUnplanned is invoke with a configuration that is not the one of the plan.
func (p *protocol) invokeUnplanned(name string, config values, told func(string)) (progress []string, diags []*tfprotov6.Diagnostic) {
	p.t.Helper()
	stream, err := p.server.(tfprotov6.ActionServer).InvokeAction(p.ctx, &tfprotov6.InvokeActionRequest{
		ActionType: name, Config: p.dynamic(value(p.t, p.schemas.ActionSchemas[name].Schema.ValueType(), config)),
	})
	p.ok(err, nil)
	completed := 0
	for event := range stream.Events {
		switch event := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			progress = append(progress, event.Message)
			if told != nil {
				told(event.Message)
			}
		case tfprotov6.CompletedInvokeActionEventType:
			completed++
			diags = append(diags, event.Diagnostics...)
		}
	}
	if completed != 1 {
		p.t.Errorf("the action was completed %d times", completed)
	}
	return progress, p.linked(diags)
}

// plain is a value in Go's own types: nil, unknown, string, bool, int, []any, values.
func plain(v tftypes.Value) any {
	switch {
	case v.IsNull():
		return nil
	case !v.IsKnown():
		return unknown{}
	}
	switch {
	case v.Type().Is(tftypes.String):
		var s string
		must(v.As(&s))
		return s
	case v.Type().Is(tftypes.Bool):
		var b bool
		must(v.As(&b))
		return b
	case v.Type().Is(tftypes.Number):
		var n big.Float
		must(v.As(&n))
		i, _ := n.Int64()
		return int(i)
	}
	var list []tftypes.Value
	if v.As(&list) == nil {
		out := make([]any, len(list))
		for i, e := range list {
			out[i] = plain(e)
		}
		return out
	}
	var fields map[string]tftypes.Value
	must(v.As(&fields))
	out := values{}
	for name, e := range fields {
		out[name] = plain(e)
	}
	return out
}

// plain is the state in Go's own types.
func (a applied) plain() values {
	out := values{}
	for name, v := range a.state {
		out[name] = plain(v)
	}
	return out
}
