package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Serve has Terraform talk to a server of [NewServer]. The log does not say of a line where in the source it is
// written: that would be longer than most messages.
func Serve(address string, newServer func() tfprotov6.ProviderServer, opts ...tf6server.ServeOpt) error {
	return tf6server.Serve(address, newServer, append(opts, tf6server.WithoutLogLocation())...)
}

// NewServer returns what Terraform talks to: the provider, and around it the one place
// that every error, warning and message passes on its way out. There the secrets are
// masked, nothing is left that a terminal would take for a command, what is too long is
// cut, and each error gets a link to what the guide says about it. The log has the same in
// package log, and gets the secrets from here.
func NewServer(version string, opts ...Option) func() tfprotov6.ProviderServer {
	return func() tfprotov6.ProviderServer {
		p, _ := New(version, opts...)().(*dtrProvider)
		inner, _ := providerserver.NewProtocol6(p)().(providerServer)
		return &server{inner, p.secrets, &p.progress}
	}
}

type providerServer interface {
	tfprotov6.ProviderServer
	tfprotov6.ActionServer
}

// server changes little of the answers that hold nothing but schemas.
type server struct {
	providerServer
	secrets  *scrub.Secrets
	progress *log.Progress
}

// context is that of a call, with what package log needs.
func (s *server) context(ctx context.Context) context.Context {
	return log.With(s.secrets.With(ctx))
}

// GetProviderSchema says of what an upload in an action holds that it is write-only, as it is
// in a resource: Terraform then takes ephemeral values for it, and keeps them out of the plan.
// The framework knows such attributes of actions, and refuses every value of theirs, so that
// its schema does not say so. The upload as a whole is not write-only: Terraform 1.16 passes
// null for an ephemeral one with -invoke, and there would be a backup without an upload.
func (s *server) GetProviderSchema(ctx context.Context, req *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	answer, err := s.providerServer.GetProviderSchema(ctx, req)
	if answer != nil {
		for _, a := range answer.ActionSchemas {
			for _, attribute := range a.Schema.Block.Attributes {
				if attribute.Name == uploadName {
					for _, inner := range attribute.NestedType.Attributes {
						inner.WriteOnly = true
					}
				}
			}
		}
	}
	return answer, s.failure(err)
}

// failure cleans the error of a call that has no answer.
func (s *server) failure(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(s.text(err.Error(), scrub.MaxError))
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
		d.Detail = s.text(d.Detail, scrub.MaxError-2*scrub.MaxQuote-unshown)
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			d.Detail += troubleshootingLink(d.Summary)
		}
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
			more := &tfprotov6.Diagnostic{Severity: severity, Summary: "Not all " + what + " are shown", Detail: fmt.Sprintf("%d more are left out.", n)}
			if severity == tfprotov6.DiagnosticSeverityError {
				more.Detail += troubleshootingLink(more.Summary)
			}
			kept = append(kept, more)
		}
	}
	return kept
}

func (s *server) ValidateProviderConfig(ctx context.Context, req *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	answer, err := s.providerServer.ValidateProviderConfig(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) ConfigureProvider(ctx context.Context, req *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	answer, err := s.providerServer.ConfigureProvider(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) ValidateResourceConfig(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	answer, err := s.providerServer.ValidateResourceConfig(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) UpgradeResourceState(ctx context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	answer, err := s.providerServer.UpgradeResourceState(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	answer, err := s.providerServer.ReadResource(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	answer, err := s.providerServer.PlanResourceChange(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	ctx = s.progress.With(s.context(ctx))
	log.Info(ctx, fmt.Sprintf("Apply of %s begins on %s", req.TypeName, time.Now().Format(time.DateOnly)), nil)
	answer, err := s.providerServer.ApplyResourceChange(ctx, req)
	if answer != nil {
		answer.Diagnostics = s.clean(s.ended(ctx, req.TypeName, answer.Diagnostics))
	}
	return answer, s.failure(err)
}

// ended writes how an apply ended, and warns where the progress could not be written.
func (s *server) ended(ctx context.Context, resource string, diags []*tfprotov6.Diagnostic) []*tfprotov6.Diagnostic {
	end := "Apply of " + resource + " ended"
	failed := func(d *tfprotov6.Diagnostic) bool { return d.Severity == tfprotov6.DiagnosticSeverityError }
	if i := slices.IndexFunc(diags, failed); i >= 0 {
		end += " with an error: " + diags[i].Summary
	}
	log.Info(ctx, end, nil)
	if failure, ok := errors.AsType[*fs.PathError](s.progress.Failure()); ok {
		warning := noProgress(failure.Path, failure)
		diags = append(diags, &tfprotov6.Diagnostic{
			Severity: tfprotov6.DiagnosticSeverityWarning, Summary: warning.Summary(), Detail: warning.Detail(),
		})
	}
	return diags
}

func (s *server) ImportResourceState(ctx context.Context, req *tfprotov6.ImportResourceStateRequest) (*tfprotov6.ImportResourceStateResponse, error) {
	answer, err := s.providerServer.ImportResourceState(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) ValidateDataResourceConfig(ctx context.Context, req *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	answer, err := s.providerServer.ValidateDataResourceConfig(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) ReadDataSource(ctx context.Context, req *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	answer, err := s.providerServer.ReadDataSource(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) ValidateActionConfig(ctx context.Context, req *tfprotov6.ValidateActionConfigRequest) (*tfprotov6.ValidateActionConfigResponse, error) {
	answer, err := s.providerServer.ValidateActionConfig(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) PlanAction(ctx context.Context, req *tfprotov6.PlanActionRequest) (*tfprotov6.PlanActionResponse, error) {
	answer, err := s.providerServer.PlanAction(s.context(ctx), req)
	if answer != nil {
		answer.Diagnostics = s.clean(answer.Diagnostics)
	}
	return answer, s.failure(err)
}

func (s *server) CallFunction(ctx context.Context, req *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	answer, err := s.providerServer.CallFunction(s.context(ctx), req)
	if answer != nil && answer.Error != nil {
		answer.Error.Text = s.text(answer.Error.Text, scrub.MaxError)
	}
	return answer, s.failure(err)
}

func (s *server) InvokeAction(ctx context.Context, req *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	stream, err := s.providerServer.InvokeAction(s.progress.With(s.context(ctx)), req)
	if stream == nil || stream.Events == nil {
		return stream, s.failure(err)
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
	return stream, s.failure(err)
}
