package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
)

func runnerDiagnostics(err error) diag.Diagnostics {
	var failed *runner.BootstrapperError
	var foreign *runner.ForeignContainerError
	switch {
	case errors.As(err, &failed):
		return bootstrapperFailed(failed).failures()
	case errors.As(err, &foreign):
		return message{
			Summary: "Another container has the name of the bootstrapper's",
			Seen:    fmt.Sprintf("Container: %s\nImage: %s\nStatus: %s", foreign.Container, foreign.Image, foreign.Status),
			Todo:    "The name is the lock against two upgrades at a time. Wait until that container has ended, or remove it if it is a left-over. " + adviceApplyAgain,
		}.failures()
	}
	return nil
}

func bootstrapperFailed(e *runner.BootstrapperError) message {
	lines := []string{"Image: " + e.Image, "Container: " + e.Container}
	if e.Missing {
		return message{
			Summary: "The DTR bootstrapper's container was removed",
			Seen:    strings.Join(lines, "\n") + "\nIt was removed, not by this provider, before its exit status could be read.",
			Todo:    "Make sure that nothing cleans up containers during the upgrade. " + adviceApplyAgain,
		}
	}
	lines = append(lines, fmt.Sprintf("Exit status: %d", e.ExitCode))
	if e.Fatal != "" {
		lines = append(lines, "Message: "+e.Fatal)
	}
	m := message{Summary: "The DTR bootstrapper failed", Log: e.Log}
	switch {
	case e.Failure != nil:
		lines = append(lines, "Cause: "+e.Failure.Cause)
		m.Todo = strings.TrimSuffix(e.Failure.Remedy, ".") + ". " + adviceApplyAgain
	case len(e.Log) > 0:
		m.Todo = "Fix the cause shown in its log. " + adviceApplyAgain
	default:
		m.Todo = "It left no log. Look for the reason on the node that ran it. " + adviceApplyAgain
	}
	m.Seen = strings.Join(lines, "\n")
	return m
}
