package provider

import (
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// windowClosed is the error of an apply that a maintenance window keeps from going on.
func windowClosed(e *upgrade.ClosedWindowError) diag.Diagnostics {
	todo := "Apply again then, or set wait of maintenance_window to true. To go on at once, leave maintenance_window out."
	if e.TooLate {
		todo = "The time limit of this apply passes before that. Apply again then, or raise create and update of timeouts."
	}
	return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root("maintenance_window"), "The maintenance window is closed",
		fmt.Sprintf("Window: %s\nOpens next: %s\nThe hop from %s to %s was not begun.\n\n%s",
			e.Window, e.Opens.Format(time.RFC3339), e.Hop.From, e.Hop.To, todo))}
}

// stoppedWaitingForWindow words an apply that ended before the window opened.
func stoppedWaitingForWindow(e *upgrade.DetachedError) (summary, seen, todo string) {
	return "Terraform stopped waiting for the maintenance window",
		fmt.Sprintf("Opens next: %s\nReason: %s\nNo hop was begun meanwhile.", e.Opens.Format(time.RFC3339), reason(e.Cause)),
		"Apply again: it goes on from where the cluster is."
}
