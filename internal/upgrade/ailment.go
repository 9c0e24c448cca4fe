package upgrade

import (
	"fmt"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// ailment is what keeps a replica from counting as healthy, "" when nothing does.
func (obs *Observation) ailment(r Replica) (summary, seen string) {
	now := clockOf(obs.Status)
	health, reported := obs.Status.Health[r.ID]
	at := obs.Status.Timestamp[r.ID]
	switch {
	case !reported:
		return fmt.Sprintf("Replica %s does not report its health", r.ID),
			fmt.Sprintf("DTR's cluster status has no entry for replica %s on node %s.", r.ID, r.Node)
	case health != dtr.HealthOK:
		return fmt.Sprintf("Replica %s is not healthy", r.ID),
			fmt.Sprintf("Health of replica %s on node %s: %s", r.ID, r.Node, health)
	case now.Sub(at) > staleAfter:
		return fmt.Sprintf("The health report of replica %s is stale", r.ID),
			fmt.Sprintf("Replica %s on node %s reported last at %s, %s ago.", r.ID, r.Node, at.UTC().Format(time.RFC3339), now.Sub(at).Round(time.Second))
	}
	return "", ""
}
