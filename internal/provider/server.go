package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// NewServer returns what Terraform talks to: the provider, and around it the one place
// that every error, warning and message passes on its way out. There the secrets are
// masked, nothing is left that a terminal would take for a command, and what is too
// long is cut. The log has the same in package log, and gets the secrets from here.
func NewServer(version string, opts ...Option) func() tfprotov6.ProviderServer {
	return func() tfprotov6.ProviderServer {
		p, _ := New(version, opts...)().(*dtrProvider)
		inner, _ := providerserver.NewProtocol6(p)().(tfprotov6.ProviderServerWithActions)
		return &server{inner, p.secrets}
	}
}

// server does not change the answers that hold nothing but schemas.
type server struct {
	tfprotov6.ProviderServerWithActions
	secrets *scrub.Secrets
}

// pass makes one call: what is shown of its answer is cleaned.
func pass[Q, A any](ctx context.Context, s *server, call func(context.Context, Q) (*A, error), request Q, shown func(*A) *[]*tfprotov6.Diagnostic) (*A, error) {
	answer, err := call(s.secrets.With(ctx), request)
	if answer != nil {
		diags := shown(answer)
		*diags = s.clean(*diags)
	}
	if err != nil {
		err = errors.New(s.text(err.Error(), scrub.MaxError))
	}
	return answer, err
}

func (s *server) text(text string, limit int) string {
	return scrub.Cut(scrub.Text(s.secrets.Mask(text)), limit)
}

// unshown is kept for the message that stands for those that are too many.
const unshown = 200

// clean cleans diagnostics, and leaves out those errors, and those warnings, that take
// them over the limit in all.
func (s *server) clean(diags []*tfprotov6.Diagnostic) []*tfprotov6.Diagnostic {
	var kept []*tfprotov6.Diagnostic
	size, left := map[tfprotov6.DiagnosticSeverity]int{}, map[tfprotov6.DiagnosticSeverity]int{}
	for _, d := range diags {
		d.Summary = scrub.Cut(scrub.Line(s.secrets.Mask(d.Summary)), scrub.MaxQuote)
		d.Detail = s.text(d.Detail, scrub.MaxError-scrub.MaxQuote-unshown)
		if size[d.Severity] += len(d.Summary) + len(d.Detail); size[d.Severity] > scrub.MaxError-unshown {
			left[d.Severity]++
			continue
		}
		kept = append(kept, d)
	}
	for severity, what := range map[tfprotov6.DiagnosticSeverity]string{
		tfprotov6.DiagnosticSeverityError: "errors", tfprotov6.DiagnosticSeverityWarning: "warnings",
	} {
		if n := left[severity]; n > 0 {
			kept = append(kept, &tfprotov6.Diagnostic{
				Severity: severity, Summary: "Not all " + what + " are shown", Detail: fmt.Sprintf("%d more are left out.", n),
			})
		}
	}
	return kept
}

func (s *server) ValidateProviderConfig(ctx context.Context, req *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ValidateProviderConfig, req, func(a *tfprotov6.ValidateProviderConfigResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ConfigureProvider(ctx context.Context, req *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ConfigureProvider, req, func(a *tfprotov6.ConfigureProviderResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ValidateResourceConfig(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ValidateResourceConfig, req, func(a *tfprotov6.ValidateResourceConfigResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) UpgradeResourceState(ctx context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.UpgradeResourceState, req, func(a *tfprotov6.UpgradeResourceStateResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ReadResource, req, func(a *tfprotov6.ReadResourceResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.PlanResourceChange, req, func(a *tfprotov6.PlanResourceChangeResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ApplyResourceChange, req, func(a *tfprotov6.ApplyResourceChangeResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ImportResourceState(ctx context.Context, req *tfprotov6.ImportResourceStateRequest) (*tfprotov6.ImportResourceStateResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ImportResourceState, req, func(a *tfprotov6.ImportResourceStateResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ValidateDataResourceConfig(ctx context.Context, req *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ValidateDataResourceConfig, req, func(a *tfprotov6.ValidateDataResourceConfigResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ReadDataSource(ctx context.Context, req *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ReadDataSource, req, func(a *tfprotov6.ReadDataSourceResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) ValidateActionConfig(ctx context.Context, req *tfprotov6.ValidateActionConfigRequest) (*tfprotov6.ValidateActionConfigResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.ValidateActionConfig, req, func(a *tfprotov6.ValidateActionConfigResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) PlanAction(ctx context.Context, req *tfprotov6.PlanActionRequest) (*tfprotov6.PlanActionResponse, error) {
	return pass(ctx, s, s.ProviderServerWithActions.PlanAction, req, func(a *tfprotov6.PlanActionResponse) *[]*tfprotov6.Diagnostic { return &a.Diagnostics })
}

func (s *server) CallFunction(ctx context.Context, req *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	answer, err := s.ProviderServerWithActions.CallFunction(s.secrets.With(ctx), req)
	if answer != nil && answer.Error != nil {
		answer.Error.Text = s.text(answer.Error.Text, scrub.MaxError)
	}
	return answer, err
}

func (s *server) InvokeAction(ctx context.Context, req *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	stream, err := s.ProviderServerWithActions.InvokeAction(s.secrets.With(ctx), req)
	if stream == nil || stream.Events == nil {
		return stream, err
	}
	events := stream.Events
	stream.Events = func(yield func(tfprotov6.InvokeActionEvent) bool) {
		for event := range events {
			switch e := event.Type.(type) {
			case tfprotov6.ProgressInvokeActionEventType:
				e.Message = s.text(e.Message, scrub.MaxLine)
				event.Type = e
			case tfprotov6.CompletedInvokeActionEventType:
				e.Diagnostics = s.clean(e.Diagnostics)
				event.Type = e
			}
			if !yield(event) {
				return
			}
		}
	}
	return stream, err
}
