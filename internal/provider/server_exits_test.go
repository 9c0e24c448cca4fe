package provider

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

const (
	toldPassword = "correct-horse-9"
	toldText     = "\x1b[31m\u202e" + toldPassword
)

// teller answers every call with a text that may not be shown, as a diagnostic, an error
// and a line of the log.
type teller struct{ providerServer }

func told(ctx context.Context) ([]*tfprotov6.Diagnostic, error) {
	log.Info(ctx, "told "+toldText+strings.Repeat("m", 20_000), map[string]any{"field": toldText})
	return []*tfprotov6.Diagnostic{{Severity: tfprotov6.DiagnosticSeverityError, Summary: toldText + "\n" + strings.Repeat("s", 600), Detail: toldText + strings.Repeat("d\n", 20_000)}},
		errors.New(toldText + strings.Repeat("e\n", 20_000))
}

func (teller) ValidateProviderConfig(ctx context.Context, _ *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ValidateProviderConfigResponse{Diagnostics: d}, err
}

func (teller) ConfigureProvider(ctx context.Context, _ *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ConfigureProviderResponse{Diagnostics: d}, err
}

func (teller) ValidateResourceConfig(ctx context.Context, _ *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ValidateResourceConfigResponse{Diagnostics: d}, err
}

func (teller) UpgradeResourceState(ctx context.Context, _ *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.UpgradeResourceStateResponse{Diagnostics: d}, err
}

func (teller) ReadResource(ctx context.Context, _ *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ReadResourceResponse{Diagnostics: d}, err
}

func (teller) PlanResourceChange(ctx context.Context, _ *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.PlanResourceChangeResponse{Diagnostics: d}, err
}

func (teller) ApplyResourceChange(ctx context.Context, _ *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ApplyResourceChangeResponse{Diagnostics: d}, err
}

func (teller) ImportResourceState(ctx context.Context, _ *tfprotov6.ImportResourceStateRequest) (*tfprotov6.ImportResourceStateResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ImportResourceStateResponse{Diagnostics: d}, err
}

func (teller) ValidateDataResourceConfig(ctx context.Context, _ *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ValidateDataResourceConfigResponse{Diagnostics: d}, err
}

func (teller) ReadDataSource(ctx context.Context, _ *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ReadDataSourceResponse{Diagnostics: d}, err
}

func (teller) ValidateActionConfig(ctx context.Context, _ *tfprotov6.ValidateActionConfigRequest) (*tfprotov6.ValidateActionConfigResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.ValidateActionConfigResponse{Diagnostics: d}, err
}

func (teller) PlanAction(ctx context.Context, _ *tfprotov6.PlanActionRequest) (*tfprotov6.PlanActionResponse, error) {
	d, err := told(ctx)
	return &tfprotov6.PlanActionResponse{Diagnostics: d}, err
}

func (teller) CallFunction(ctx context.Context, _ *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	_, err := told(ctx)
	return &tfprotov6.CallFunctionResponse{Error: &tfprotov6.FunctionError{Text: err.Error()}}, err
}

func (teller) InvokeAction(ctx context.Context, _ *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	d, err := told(ctx)
	return &tfprotov6.InvokeActionServerStream{Events: func(yield func(tfprotov6.InvokeActionEvent) bool) {
		_ = yield(tfprotov6.InvokeActionEvent{Type: tfprotov6.ProgressInvokeActionEventType{Message: err.Error()}}) &&
			yield(tfprotov6.InvokeActionEvent{Type: tfprotov6.CompletedInvokeActionEventType{Diagnostics: d}})
	}}, err
}

// notWrapped are the calls whose answers hold schemas alone, and those for what this
// provider does not have.
var notWrapped = []string{
	"GetMetadata", "GetProviderSchema", "GetResourceIdentitySchemas", "GetFunctions", "StopProvider", "MoveResourceState", "UpgradeResourceIdentity",
	"OpenEphemeralResource", "RenewEphemeralResource", "CloseEphemeralResource", "ValidateEphemeralResourceConfig", "GenerateResourceConfig",
}

// TestServerCleansEveryAnswer has each call of Terraform's answered with what may not be
// shown, and holds that none of it passes the server: no diagnostic, error, message, line
// of the log or of the progress.
func TestServerCleansEveryAnswer(t *testing.T) {
	t.Parallel()
	calls := reflect.TypeFor[providerServer]()
	for method := range calls.Methods() {
		if slices.Contains(notWrapped, method.Name) {
			continue
		}
		t.Run(method.Name, func(t *testing.T) {
			t.Parallel()
			progress, file := &log.Progress{}, filepath.Join(t.TempDir(), "progress")
			must(progress.Open(file))
			s := &server{teller{}, scrub.NewSecrets(toldPassword), progress}
			var out bytes.Buffer
			ctx := tflogtest.RootLogger(t.Context(), &out)
			got := reflect.ValueOf(s).MethodByName(method.Name).Call([]reflect.Value{reflect.ValueOf(ctx), reflect.New(method.Type.In(1).Elem())})
			texts := map[string]string{"the log": out.String(), "the error": got[1].Interface().(error).Error()}
			lines, err := os.ReadFile(file)
			must(err)
			texts["the progress"] = string(lines)
			if writes := method.Name == "ApplyResourceChange" || method.Name == "InvokeAction"; writes != (len(lines) > 0) {
				t.Errorf("the progress is %q", lines)
			}
			var diags []*tfprotov6.Diagnostic
			switch answer := got[0].Interface().(type) {
			case *tfprotov6.CallFunctionResponse:
				texts["the function's error"] = answer.Error.Text
			case *tfprotov6.InvokeActionServerStream:
				for event := range answer.Events {
					switch e := event.Type.(type) {
					case tfprotov6.ProgressInvokeActionEventType:
						texts["a message"] = e.Message
					case tfprotov6.CompletedInvokeActionEventType:
						diags = e.Diagnostics
					}
				}
			default:
				diags, _ = reflect.TypeAssert[[]*tfprotov6.Diagnostic](got[0].Elem().FieldByName("Diagnostics"))
			}
			if len(diags) != 1 && method.Name != "CallFunction" {
				t.Errorf("%d diagnostics", len(diags))
			}
			for _, d := range diags {
				texts["the summary"], texts["the detail"] = d.Summary, d.Detail
			}
			for what, text := range texts {
				limit := scrub.MaxError
				switch what {
				case "the summary":
					limit = scrub.MaxQuote
				case "a message", "the log", "the progress":
					limit = scrub.MaxLine
				}
				if hasControls(strings.ReplaceAll(text, "\n", "")) || strings.Contains(text, toldPassword) || len(text) > limit ||
					what == "the summary" && strings.Contains(text, "\n") {
					t.Errorf("%s of %d bytes: %.200q", what, len(text), text)
				}
			}
			if !strings.Contains(texts["the log"], `\\x1b[31m\\u202e***`) {
				t.Errorf("the log is %s", texts["the log"])
			}
			if !strings.Contains(texts["the log"], `"@module":"provider.run"`) {
				t.Errorf("the fields of Terraform's plugin library would be in %s", texts["the log"])
			}
		})
	}
}
