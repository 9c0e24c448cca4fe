package simulator

import (
	"maps"
	"slices"
	"time"

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

// observe looks at the containers anew. It is called after each change of
// theirs; what the reports said of the time before is settled first.
func (d *dtr) observe() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.refresh(now)
	d.seen = d.inventory.List()
	d.parts = make(map[partOf]Container, len(d.seen))
	for _, c := range d.seen {
		p, id, ok := c.Component()
		if !ok {
			continue
		}
		d.parts[partOf{id, p}] = c
	}
	d.watchMembers(now)
	d.watchUpgrades()
	d.watchWorkers()
}

// watchMembers has the database take in a replica of which every container is
// there, and forget one that the bootstrapper removes once none is. The lock must
// be held.
func (d *dtr) watchMembers(now time.Time) {
	count := map[string]int{}
	for of := range d.parts {
		count[of.replica]++
	}
	for id, n := range count {
		if n == len(release.Parts) && d.reports[id] == nil {
			d.reports[id] = &report{node: d.parts[partOf{id, "rethinkdb"}].Node, at: now, refreshed: now, word: healthy}
		}
	}
	for _, c := range d.seen {
		if id := c.Labels[standin.LabelRemoves]; c.Name == standin.Phase2Name && id != "" {
			d.leaving = id
		}
	}
	if count[d.leaving] == 0 {
		delete(d.reports, d.leaving)
		d.leaving = ""
	}
}

// refresh lets every replica that can write its report do so, as of the last
// whole period. The lock must be held.
func (d *dtr) refresh(now time.Time) {
	tick := now.Truncate(max(d.clock.Scale(healthPeriod), time.Microsecond))
	for id, r := range d.reports {
		if r.frozen || !tick.After(r.refreshed) || !d.runs(id, "api") {
			continue
		}
		r.at, r.refreshed, r.word = tick, tick, d.diagnose(id)
	}
}

// diagnose is what a replica says of itself.
func (d *dtr) diagnose(id string) string {
	if forced := d.reports[id].forced; forced != "" {
		return forced
	}
	if !d.runs(id, "rethinkdb") {
		return "Rethink replica is currently in state: disconnected"
	}
	for _, p := range release.Parts {
		if !d.runs(id, p.Name) {
			return "Container " + p.ContainerName(id) + " is not running"
		}
	}
	return healthy
}

// word is the health of a replica as cluster_status shows it.
func (d *dtr) word(r *report, now time.Time) string {
	if now.Sub(r.refreshed) > d.clock.Scale(healthStaleAfter) {
		return "Replica reported health too long ago: " + r.at.UTC().Format(time.RFC3339Nano)
	}
	return r.word
}

// component is the container of a part of a replica, if it exists.
func (d *dtr) component(id, partName string) (Container, bool) {
	c, ok := d.parts[partOf{id, partName}]
	return c, ok
}

func (d *dtr) runs(id, partName string) bool {
	c, ok := d.component(id, partName)
	return ok && c.Running()
}

// replicas lists the ids of every replica that DTR has known.
func (d *dtr) replicas() []string { return slices.Sorted(maps.Keys(d.reports)) }

// quorum says whether the database answers: more than half of its replicas run.
func (d *dtr) quorum() bool {
	up := 0
	for id := range d.reports {
		if d.runs(id, "rethinkdb") {
			up++
		}
	}
	return up > len(d.reports)/2
}

// changeReport changes the report of a replica at once; an unknown id panics.
func (c *Cluster) changeReport(id string, f func(r *report)) {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	c.dtr.refresh(time.Now())
	r := c.dtr.reports[id]
	if r == nil {
		panic("simulator: no replica " + id)
	}
	f(r)
}

// SetReplicaHealth has a replica report this reason instead of OK; "" lets it
// report how it is again.
func (c *Cluster) SetReplicaHealth(id, reason string) {
	c.changeReport(id, func(r *report) {
		r.forced = reason
		r.word = c.dtr.diagnose(id)
	})
}

// FreezeReplica stops a replica from refreshing its report, which is ten
// minutes old at once and still says what it said. After a minute of simulated
// time DTR says itself that the report is old.
func (c *Cluster) FreezeReplica(id string) {
	c.changeReport(id, func(r *report) {
		r.frozen = true
		r.at = r.at.Add(-frozenAge)
	})
}

// ThawReplica ends FreezeReplica; the next report comes with the next period.
func (c *Cluster) ThawReplica(id string) {
	c.changeReport(id, func(r *report) { r.frozen = false })
}

// SetGCLock shows a garbage collection as running on this replica; "" ends it.
func (c *Cluster) SetGCLock(holder string) {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	c.dtr.gcLock = holder
}
