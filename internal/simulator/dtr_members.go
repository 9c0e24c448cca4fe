package simulator

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

const healthy = "OK"

// report is the health that a replica last wrote down about itself. DTR
// answers from these reports alone, however old.
type report struct {
	node      string    // where the replica lives, as DTR's settings say
	at        time.Time // what replica_timestamp shows
	refreshed time.Time // when the replica last reported, to tell how late it is
	word      string
	frozen    bool
	forced    string // by SetReplicaHealth
}

// members are DTR's replicas: their containers as last observed, and the health
// reports that they wrote about themselves.
type members struct {
	mu    *sync.Mutex // DTR's
	clock clock.Clock
	now   func() time.Time // by DTR's clock

	seen    []Container          // as of the last observe
	parts   map[partOf]Container // those of the replicas
	reports map[string]*report
	leaving string // replica that the bootstrapper removes, or was removing last
	gcLock  string
	names   map[string]string // what DTR calls nodes, where that is not their name
}

// partOf names a container of a replica.
type partOf struct{ replica, part string }

// observe records the containers as they are now. It is called after each change of
// theirs; reports that were due before the change are written first. The lock must
// be held.
func (m *members) observe(list []Container, now time.Time) {
	m.refresh(now)
	m.seen = list
	m.parts = make(map[partOf]Container, len(list))
	for _, c := range list {
		if part, id, ok := c.Component(); ok && !c.unlisted() {
			m.parts[partOf{id, part}] = c
		}
	}
	m.admit(now)
}

// admit adds a replica to the database once it has every container, and deletes one
// that the bootstrapper removes once it has none. The lock must be held.
func (m *members) admit(now time.Time) {
	count := map[string]int{}
	for of := range m.parts {
		count[of.replica]++
	}
	for id, n := range count {
		if n == len(release.Parts) && m.reports[id] == nil {
			m.reports[id] = &report{node: m.parts[partOf{id, "rethinkdb"}].Node, at: now, refreshed: now, word: healthy}
		}
	}
	for _, c := range m.seen {
		if id := c.Labels[standin.LabelRemoves]; c.Name == standin.Phase2Name && id != "" {
			m.leaving = id
		}
	}
	if count[m.leaving] == 0 {
		delete(m.reports, m.leaving)
		m.leaving = ""
	}
}

// refresh lets every replica that can write its report do so, as of the last
// whole period. The lock must be held.
func (m *members) refresh(now time.Time) {
	tick := now.Truncate(max(m.clock.Scale(healthPeriod), time.Microsecond))
	for id, r := range m.reports {
		if r.frozen || !tick.After(r.refreshed) || !m.runs(id, "api") {
			continue
		}
		r.at, r.refreshed, r.word = tick, tick, m.diagnose(id)
	}
}

// diagnose is the health that a replica reports of itself.
func (m *members) diagnose(id string) string {
	if forced := m.reports[id].forced; forced != "" {
		return forced
	}
	if !m.runs(id, "rethinkdb") {
		return "Rethink replica is currently in state: disconnected"
	}
	for _, p := range release.Parts {
		if c, _ := m.component(id, p.Name); !c.Running() && c.State != "restarting" {
			return "Container " + p.ContainerName(id) + " is not running"
		}
	}
	return healthy
}

// word is the health of a replica as cluster_status shows it.
func (m *members) word(r *report, now time.Time) string {
	if now.Sub(r.refreshed) > m.clock.Scale(healthStaleAfter) {
		return "Replica reported health too long ago: " + r.at.UTC().Format(time.RFC3339Nano)
	}
	return r.word
}

// component is the container of a part of a replica, if it exists.
func (m *members) component(id, partName string) (Container, bool) {
	c, ok := m.parts[partOf{id, partName}]
	return c, ok
}

// runs reports whether a part of a replica runs.
func (m *members) runs(id, partName string) bool {
	c, ok := m.component(id, partName)
	return ok && c.Running()
}

// replicas lists the ids of the replicas in DTR's database.
func (m *members) replicas() []string { return slices.Sorted(maps.Keys(m.reports)) }

// quorum reports whether the database answers: more than half of its replicas run.
func (m *members) quorum() bool {
	up := 0
	for id := range m.reports {
		if m.runs(id, "rethinkdb") {
			up++
		}
	}
	return up > len(m.reports)/2
}
