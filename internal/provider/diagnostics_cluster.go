package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
)

func clusterDiagnostics(err error) diag.Diagnostics {
	var verify *cluster.VerifyError
	var noReplicas *cluster.NoReplicasError
	var other *cluster.OtherClusterError
	switch {
	case errors.As(err, &other):
		return diag.Diagnostics{changedCluster(other.Want, other.Got)}
	case errors.As(err, &verify):
		return notVerified(verify).failures()
	case errors.As(err, &noReplicas):
		return message{
			Summary: "UCP shows no replica of DTR", Seen: preflight.Sentence(err),
			Todo: "Check that the provider's ucp is the UCP that this DTR runs on, and that its user may see all containers.",
		}.failures()
	}
	return nil
}

func notVerified(e *cluster.VerifyError) message {
	var b strings.Builder
	fmt.Fprintf(&b, "%s after its verification began, the cluster is not completely at %s:", duration.Text(e.After.Round(time.Second)), e.Target)
	what := "Replica " + e.Problems[0].ReplicaID
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %s", p)
		if p.ReplicaID == "" || p.ReplicaID != e.Problems[0].ReplicaID {
			what = "DTR"
		}
	}
	return message{
		Summary: fmt.Sprintf("%s is not completely at %s", what, e.Target), Seen: b.String(),
		Todo: "This is done only when everything runs and every replica is healthy, whatever the bootstrapper says. " +
			"Look at what is named above. " + adviceApplyAgain,
	}
}

const adviceOtherCluster = "Point the provider at the cluster of the state. If it is the same cluster under a new name, " +
	"remove the resource from the state with terraform state rm, and import it again."

// changedCluster says that the state is that of another cluster than the one that
// answers.
func changedCluster(known, found string) diag.Diagnostic {
	return message{
		Summary: "The provider is connected to another DTR cluster",
		Seen:    fmt.Sprintf("The state, or the plan, is that of %q, and the external host of the DTR at the provider's url is %q.", known, found),
		Todo:    adviceOtherCluster,
	}.failure()
}

// otherCluster says that an import is for another cluster.
func otherCluster(asked, found string) diag.Diagnostic {
	return message{
		Summary: "The provider is connected to another DTR cluster",
		Seen:    fmt.Sprintf("The import is for %q, and the external host of the DTR at the provider's url is %q.", asked, found),
		Todo:    fmt.Sprintf("Import %q, or point the provider at the other cluster.", found),
	}.failure()
}

// notChecked warns of a plan that was made without a look at the cluster. That of a
// create may come after one that looked, at the beginning of an apply.
func notChecked(why error, create bool) diag.Diagnostic {
	advice := ""
	if unreachable, ok := errors.AsType[*endpoint.UnreachableError](why); ok {
		advice = adviceReach(unreachable) + " "
	} else if response, ok := errors.AsType[*endpoint.ResponseError](why); ok {
		advice = adviceAddress(response) + " "
	}
	m := message{
		Summary: "The plan was not checked against the DTR cluster", Seen: preflight.Sentence(why),
		Todo: advice + "What apply would do is not known. Apply looks at the cluster first, and changes nothing if it finds an error.",
	}
	if create {
		m.Todo += " If an apply ends in an inconsistent final plan beside this warning, nothing was done: plan again once the cluster answers."
	}
	return m.warning()
}

// gone says why a resource is removed from the state.
func gone(id string, e *dtr.NotDTRError) diag.Diagnostic {
	return message{
		Summary: "There is no DTR at the configured address any more", Seen: preflight.Sentence(e),
		Todo: fmt.Sprintf("Terraform removes %s from the state. If DTR only moved, correct the provider's url and import it again.", id),
	}.warning()
}
