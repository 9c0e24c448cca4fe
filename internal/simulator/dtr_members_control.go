package simulator

// ReplicaIDs lists the ids of the replicas in ascending order, which is the order
// of the bootstrapper too, and of the nodes of those that were there at the start.
func (m *members) ReplicaIDs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.replicas()
}

// changeReport changes the report of a replica at once; an unknown id panics.
func (m *members) changeReport(id string, f func(r *report)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh(m.now())
	r := m.reports[id]
	if r == nil {
		panic("simulator: no replica " + id)
	}
	f(r)
}

// SetReplicaHealth has a replica report this reason instead of OK; "" lets it
// report how it is again.
func (m *members) SetReplicaHealth(id, reason string) {
	m.changeReport(id, func(r *report) {
		r.forced = reason
		r.word = m.diagnose(id)
	})
}

// FreezeReplica stops a replica from refreshing its report, which is ten minutes
// old at once and otherwise unchanged. After a minute of simulated time DTR itself
// calls the report too old.
func (m *members) FreezeReplica(id string) {
	m.changeReport(id, func(r *report) {
		r.frozen = true
		r.at = r.at.Add(-frozenAge)
	})
}

// SetGCLock shows a garbage collection as running on this replica; "" ends it.
func (m *members) SetGCLock(holder string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gcLock = holder
}
