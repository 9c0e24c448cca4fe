package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// replicaDiagnostics words what a join or a removal has of its own; the rest it has
// in common with an upgrade.
func replicaDiagnostics(err error) diag.Diagnostics {
	e, ok := errors.AsType[*replica.Error](err)
	if !ok {
		return nil
	}
	var (
		detached   *wait.DetachedError
		verify     *cluster.VerifyError
		unfinished *replica.UnfinishedUpgradeError
		other      *cluster.OtherClusterError
		missing    *replica.NotFoundError
		down       *replica.NodeDownError
		kept       *replica.KeptReplicaError
		left       *replica.LeftContainersError
	)
	switch {
	case errors.As(e.Err, &left):
		return leftContainers(left).failures()
	case errors.As(e.Err, &kept):
		return keptReplica(kept).failures()
	case errors.As(e.Err, &down):
		return replicaNodeDown(down).failures()
	case errors.As(e.Err, &detached):
		return stoppedWaitingForReplica(e, detached).failures()
	case errors.As(e.Err, &verify):
		m := notVerified(verify)
		m.Summary = "The cluster is not complete without replica " + e.ReplicaID
		if e.Join() {
			m.Summary = "The cluster is not complete with the replica on node " + e.Node
			m.Todo += " A replica that is half done is removed first."
		}
		return m.failures()
	case errors.As(e.Err, &unfinished):
		return message{
			Summary: "An upgrade of the cluster is not finished", Seen: preflight.Sentence(unfinished),
			Todo: "Nothing was started. Apply dtr_upgrade to its end first. If both are in one configuration, add depends_on to the one that is to come second.",
		}.failures()
	case errors.As(e.Err, &other) && e.Join():
		return message{
			Summary: "The provider is connected to another DTR cluster",
			Seen:    fmt.Sprintf("The replica is planned for %q, and the external host of the DTR at the provider's url is %q.", other.Want, other.Got),
			Todo:    "Nothing was started. Point the provider at the cluster of the plan, or plan again.",
		}.failures()
	case errors.As(e.Err, &other):
		return diag.Diagnostics{changedReplicaCluster(e.ReplicaID, other.Want, other.Got)}
	case errors.As(e.Err, &missing):
		return message{
			Summary: "The replica is gone again", Seen: preflight.Sentence(missing), Todo: "Find out who has removed it. " + adviceApplyAgain,
		}.failures()
	}
	return diagnose(e.Err)
}

func stoppedWaitingForReplica(e *replica.Error, detached *wait.DetachedError) message {
	m := message{
		Summary: "Terraform stopped waiting for the removal of replica " + e.ReplicaID,
		Seen:    fmt.Sprintf("Step: %s\nReason: %s", detached.Step, detachedReason(detached)),
		Todo:    "Apply again; it continues from the cluster's current state, and nothing is done twice.",
	}
	if e.Join() {
		m.Summary = "Terraform stopped waiting for a replica to join on node " + e.Node
	}
	if len(detached.Seen) > 0 {
		m.Seen += waitedFor(detached)
	}
	if detached.Container != "" {
		m.Seen += fmt.Sprintf("\nContainer: %s\n%s", detached.Container, bootstrapperGoesOn)
		m.Todo = adviceAdopt
	}
	return m
}

func replicaNodeDown(e *replica.NodeDownError) message {
	m := bootstrapperFailed(e.Bootstrapper)
	m.Summary = fmt.Sprintf("Replica %s was not removed, since its node is down", e.ReplicaID)
	state := e.State
	if state == "" {
		state = "not listed by UCP"
	}
	m.Seen = fmt.Sprintf("Node: %s (%s)\n%s", e.Node, state, m.Seen)
	var steps []string
	if len(e.Forced) > 0 {
		steps = append(steps, fmt.Sprintf("remove the replica from DTR as the vendor says, where Docker runs and UCP can be reached. It asks for the password:\n"+
			"  docker run -it --rm %s %s\n", e.Bootstrapper.Image, strings.Join(e.Forced, " ")))
	}
	if e.State != "" {
		steps = append(steps, fmt.Sprintf("remove the node from the swarm, on a manager, so that UCP forgets its containers:\n  docker node rm --force %s\n", e.Node))
	}
	m.Todo = "Bring the node back and apply again."
	if len(steps) > 0 {
		m.Todo += " If it is lost, " + strings.Join(steps, "Then ") + "Then apply again: it removes what is left of the replica, if anything."
	}
	if len(e.Forced) == 0 {
		m.Todo += " This version of DTR cannot remove a replica by force; 2.6.13 and 2.7.6 brought that."
	}
	return m
}

func keptReplica(e *replica.KeptReplicaError) message {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return message{
		Summary: fmt.Sprintf("Replica %s is not as its join was to leave it", e.ReplicaID),
		Seen: fmt.Sprintf("An earlier apply joined it on node %s.\nHealth, as DTR reports it: %s\nWhat is wrong:\n  %s\nIt was not removed to join another one, since DTR counts on it.",
			e.Node, orNone(e.Health), strings.Join(lines, "\n  ")),
		Todo: fmt.Sprintf("Check that UCP reaches all its nodes, and apply again. To keep the replica as it is, import it by its id, %s.", e.ReplicaID),
	}
}

func leftContainers(e *replica.LeftContainersError) message {
	return message{
		Summary: "A join that failed has left containers",
		Seen: fmt.Sprintf("Node: %s\nReplica: %s, which DTR does not list\nContainers:\n  %s\nThe bootstrapper could not remove them: %s",
			e.Node, e.ReplicaID, strings.Join(e.Containers, "\n  "), preflight.Sentence(e.Err)),
		Todo: fmt.Sprintf("Remove them on node %s, with their volumes:\n  docker rm -f %s\n  docker volume ls -q --filter name=%s | xargs docker volume rm\n%s",
			e.Node, strings.Join(e.Containers, " "), e.ReplicaID, adviceApplyAgain),
	}
}

func replicaList(e *replica.NotFoundError) string {
	return fmt.Sprintf("DTR at %s lists these replicas: %s.", e.Host, strings.Join(e.Replicas, ", "))
}

// replicaGone says why a replica is removed from the state.
func replicaGone(e *replica.NotFoundError) diag.Diagnostic {
	return message{
		Summary: fmt.Sprintf("Replica %s is no longer part of the cluster", e.ID),
		Seen:    fmt.Sprintf("%s UCP shows no container of %s.", replicaList(e), e.ID),
		Todo:    "Terraform removes it from the state. The next apply joins a new one, as long as the configuration has it.",
	}.warning()
}

// replicaLeaves says what destroying means.
func replicaLeaves(m *replicaModel) diag.Diagnostic {
	return message{
		Summary: fmt.Sprintf("Destroying this resource removes replica %s from the cluster", m.ID.ValueString()),
		Seen:    fmt.Sprintf("Its containers on node %s are removed, and DTR at %s goes on without it.", m.Node.ValueString(), m.Cluster.ValueString()),
		Todo:    "To keep the replica and only remove it from the state, run terraform state rm.",
	}.warning()
}

// noReplicaToImport says that there is none of the id.
func noReplicaToImport(e *replica.NotFoundError) diag.Diagnostic {
	return message{
		Summary: "The cluster has no replica " + e.ID, Seen: replicaList(e),
		Todo: "Import one of them, or point the provider at the cluster of the replica.",
	}.failure()
}

func changedReplicaCluster(id, known, found string) diag.Diagnostic {
	return message{
		Summary: "The provider is connected to another DTR cluster",
		Seen:    fmt.Sprintf("Replica %s belongs to %q, and the external host of the DTR at the provider's url is %q.", id, known, found),
		Todo:    adviceOtherCluster,
	}.failure()
}

// fixedPort says that a port cannot be changed.
func fixedPort(at path.Path, id, was, wanted string) diag.Diagnostic {
	return message{
		Attribute: at.String(), Summary: "The ports of a replica are set when it joins",
		Seen: fmt.Sprintf("Replica %s has port %s, and %s is %s.", id, was, at, wanted),
		Todo: fmt.Sprintf("Change it with the reconfigure command of DTR's image and plan again, or write %s.", was),
	}.failure()
}

// otherPort says that a replica joined with another port than the one configured.
func otherPort(at path.Path, id, has, wanted string) diag.Diagnostic {
	return message{
		Attribute: at.String(), Summary: "The replica has another port than the one configured",
		Seen: fmt.Sprintf("Replica %s has port %s, and %s is %s. An earlier apply, of another configuration, has begun to join it.", id, has, at, wanted),
		Todo: fmt.Sprintf("Change it with the reconfigure command of DTR's image, or write %s.", has),
	}.warning()
}
