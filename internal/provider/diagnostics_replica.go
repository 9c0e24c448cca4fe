package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// replicaFailure words what a join or a removal has of its own; the rest it has in
// common with an upgrade.
func replicaFailure(e *upgrade.ReplicaError) diag.Diagnostics {
	var (
		detached   *upgrade.DetachedError
		verify     *upgrade.VerifyError
		unfinished *upgrade.UnfinishedUpgradeError
		other      *upgrade.OtherClusterError
		missing    *upgrade.NoSuchReplicaError
	)
	switch {
	case errors.As(e.Err, &detached):
		summary := "Terraform stopped waiting for the removal of replica " + e.ReplicaID
		if e.Join() {
			summary = "Terraform stopped waiting for a replica to join on node " + e.Node
		}
		seen := fmt.Sprintf("Step: %s\nReason: %s", detached.Step, reason(detached.Cause))
		if detached.Container == "" {
			return failure(summary, seen, "Apply again: it goes on from where the cluster is, and nothing is done twice.")
		}
		return failure(summary, fmt.Sprintf("%s\nContainer: %s\nThe bootstrapper goes on by itself; it was not stopped.", seen, detached.Container),
			"Apply again to wait for it: the run is adopted, and no second one is started.")
	case errors.As(e.Err, &verify) && e.Join():
		_, seen, todo := notVerified(verify)
		return failure("The cluster is not whole with the replica on node "+e.Node, seen,
			todo+" A replica that is half done is removed first.")
	case errors.As(e.Err, &verify):
		_, seen, todo := notVerified(verify)
		return failure("The cluster is not whole without replica "+e.ReplicaID, seen, todo)
	case errors.As(e.Err, &unfinished):
		return failure("An upgrade of the cluster is not finished", sentence(unfinished),
			"Nothing was started. Apply dtr_upgrade to its end first. Where both are in one configuration, name dtr_upgrade in depends_on of this resource.")
	case errors.As(e.Err, &other) && e.Join():
		return failure("The provider is connected to another DTR cluster",
			fmt.Sprintf("The replica is planned for %q, and the external host of the DTR at the provider's url is %q.", other.Want, other.Got),
			"Nothing was started. Point the provider at the cluster of the plan, or plan again.")
	case errors.As(e.Err, &other):
		return diag.Diagnostics{changedReplicaCluster(e.ReplicaID, other.Want, other.Got)}
	case errors.As(e.Err, &missing):
		return failure("The replica is gone again", sentence(missing), "Find out who has removed it. "+again)
	}
	return diagnose(e.Err)
}

// replicaGone says why a replica is removed from the state.
func replicaGone(e *upgrade.NoSuchReplicaError) diag.Diagnostic {
	return diag.NewWarningDiagnostic(fmt.Sprintf("Replica %s is no longer part of the cluster", e.ID),
		fmt.Sprintf("DTR at %s lists these replicas: %s. UCP shows no container of %s.\n\nTerraform forgets it. The next apply joins a new one, as long as the configuration has it.",
			e.Host, strings.Join(e.Replicas, ", "), e.ID))
}

// noReplicaToImport says that there is none of the id.
func noReplicaToImport(e *upgrade.NoSuchReplicaError) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The cluster has no replica "+e.ID,
		fmt.Sprintf("DTR at %s lists these replicas: %s.\n\nImport one of them, or point the provider at the cluster of the replica.", e.Host, strings.Join(e.Replicas, ", ")))
}

func changedReplicaCluster(id, known, found string) diag.Diagnostic {
	return diag.NewErrorDiagnostic("The provider is connected to another DTR cluster",
		fmt.Sprintf("Replica %s belongs to %q, and the external host of the DTR at the provider's url is %q.\n\n"+
			"Point the provider at the cluster of the state. If it is the same cluster under a new name, remove the resource from the state with terraform state rm, and import it again.",
			id, known, found))
}

// fixedPort says that a port cannot be changed.
func fixedPort(at path.Path, id, was, wanted string) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(at, "The ports of a replica are set when it joins",
		fmt.Sprintf("Replica %s has port %s, and %s is %s.\n\nChange it with the reconfigure command of DTR's image and plan again, or write %s.", id, was, at, wanted, was))
}

// otherPort says that a replica joined with another port than the one configured.
func otherPort(at path.Path, id, has, wanted string) diag.Diagnostic {
	return diag.NewAttributeWarningDiagnostic(at, "The replica has another port than the one configured",
		fmt.Sprintf("Replica %s has port %s, and %s is %s. An earlier apply, of another configuration, has begun to join it.\n\nChange it with the reconfigure command of DTR's image, or write %s.", id, has, at, wanted, has))
}
