package provider

import (
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

func transitionDiagnostics(err error) diag.Diagnostics {
	var refusal *transition.Refusal
	var mixed *transition.MixedError
	switch {
	case errors.As(err, &refusal):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root(refusal.Attribute()), refusal.Summary(), refusal.Detail())}
	case errors.As(err, &mixed):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root("target_version"), mixed.Summary(), mixed.Detail())}
	}
	return nil
}
