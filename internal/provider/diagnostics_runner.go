package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
)

func runnerDiagnostics(err error) diag.Diagnostics {
	var failed *runner.BootstrapperError
	var foreign *runner.ForeignContainerError
	var blocked *runner.BlockedError
	var down *runner.NodeDownError
	var elsewhere *runner.ElsewhereError
	switch {
	case errors.As(err, &elsewhere):
		return bootstrapperElsewhere(elsewhere).failures()
	case errors.As(err, &down):
		return nodeDown(down).failures()
	case errors.As(err, &blocked):
		return bootstrapperBlocked(blocked).failures()
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

func nodeDown(e *runner.NodeDownError) message {
	return message{
		Summary: fmt.Sprintf("The node %s of the bootstrapper is down", e.Node),
		Seen:    fmt.Sprintf("Container: %s\nNode: %s\nUCP does not reach the node, so that nobody knows whether the container still runs.", e.Container, e.Node),
		Todo: fmt.Sprintf("Bring the node back. "+adviceApplyAgain+
			" If it is lost for good, remove it from the swarm with docker node rm --force %s, so that UCP forgets its containers, and apply again.", e.Node),
	}
}

func bootstrapperElsewhere(e *runner.ElsewhereError) message {
	return message{
		Summary: "The bootstrapper is on another Docker Engine",
		Seen: fmt.Sprintf("Container: %s\nBootstrapper: %s\nThe container was made in UCP by an apply with docker set. It keeps others out until the bootstrapper on that engine was seen to have ended.",
			e.Container, e.Purpose),
		Todo: fmt.Sprintf("If that apply was interrupted, repeat it, with the same docker. If nothing runs on its engine any more, remove the container through UCP, with docker rm %s. %s",
			e.Container, adviceApplyAgain),
	}
}

func bootstrapperBlocked(e *runner.BlockedError) message {
	m := message{
		Summary: "A container is in the way of the bootstrapper's",
		Seen:    "Container: " + e.Container,
		Todo:    fmt.Sprintf("Remove that container, with docker rm -f %s. If that fails too, restart the Docker Engine of its node. %s", e.Container, adviceApplyAgain),
	}
	if e.Status == "" {
		m.Summary = "The name of the bootstrapper's container is taken"
		m.Seen += "\nIt cannot be created, since there is one, and it cannot be looked at, since there is none."
		m.Todo = fmt.Sprintf("Look for it on each node with docker ps -a --filter name=%s, and remove it there. If there is none, restart UCP's controllers one after the other: they remember it. %s",
			e.Container, adviceApplyAgain)
	} else {
		m.Seen += "\nStatus: " + e.Status
	}
	if e.Err != nil {
		m.Seen += "\nAnswer: " + preflight.Sentence(e.Err)
	}
	return m
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
