package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
)

// StaleAfter is how old a replica's health report may be. DTR's own limit is not
// published; its replicas report every few seconds.
const StaleAfter = 2 * time.Minute

// Stale reports whether the replica has not reported its health for too long, by
// DTR's own clock. One that never reported is stale.
func Stale(status dtr.ClusterStatus, replica string) bool {
	at, reported := status.Timestamp[replica]
	return !reported || clock(status).Sub(at) > StaleAfter
}

// clock is the time of a status by DTR's own clock; if the status has none, that of
// the latest report of any replica.
func clock(status dtr.ClusterStatus) time.Time {
	now := status.Date
	if now.IsZero() {
		for _, t := range status.Timestamp {
			if now.Before(t) {
				now = t
			}
		}
	}
	return now
}

// UnhealthyReason returns why a replica does not count as healthy, as a summary and
// what was seen; both are "" if it does.
func (s *Snapshot) UnhealthyReason(r Replica) (summary, seen string) {
	health, reported := s.Status.Health[r.ID]
	at := s.Status.Timestamp[r.ID]
	switch {
	case !reported:
		return fmt.Sprintf("Replica %s does not report its health", r.ID),
			fmt.Sprintf("DTR's cluster status has no entry for replica %s on node %s.", r.ID, r.Node)
	case health != dtr.HealthOK:
		return fmt.Sprintf("Replica %s is not healthy", r.ID),
			fmt.Sprintf("Health of replica %s on node %s: %s", r.ID, r.Node, health)
	case at.IsZero():
		return fmt.Sprintf("The health report of replica %s is stale", r.ID),
			fmt.Sprintf("DTR's cluster status does not say when replica %s on node %s reported its health.", r.ID, r.Node)
	case Stale(s.Status, r.ID):
		return fmt.Sprintf("The health report of replica %s is stale", r.ID),
			fmt.Sprintf("Replica %s on node %s reported last at %s, %s ago.",
				r.ID, r.Node, at.UTC().Format(time.RFC3339), duration.Text(clock(s.Status).Sub(at).Round(time.Second)))
	}
	return "", ""
}

// ExistingReplica is the replica that the bootstrapper of an upgrade connects to:
// the given one, or for "" the first healthy one by id. Where none is healthy, it
// is the first of which UCP shows a container on a node that it reaches.
func (s *Snapshot) ExistingReplica(id string) (Replica, bool) {
	if id != "" {
		i := slices.IndexFunc(s.Replicas, func(r Replica) bool { return r.ID == id })
		if i < 0 {
			return Replica{}, false
		}
		return s.Replicas[i], true
	}
	visible := slices.DeleteFunc(slices.Clone(s.Replicas), func(r Replica) bool { return len(r.Containers) == 0 || r.HostDown() })
	i := slices.IndexFunc(visible, func(r Replica) bool { return s.Status.Health[r.ID] == dtr.HealthOK })
	if len(visible) == 0 {
		return Replica{}, false
	}
	return visible[max(i, 0)], true
}
