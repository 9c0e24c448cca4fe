package dtr

import "time"

// Paths that tell the health of one replica.
const (
	DefaultPingPath = "/_ping"
	// HealthPath is used up to DTR 2.2 and again from 2.9 on.
	HealthPath = "/health"
)

// Ping is what one replica says of itself.
type Ping struct {
	Healthy bool
	// Error is the replica's own reason for not being healthy.
	Error string
}

// Settings is the part of the cluster's settings that an upgrade looks at.
type Settings struct {
	// DTRHost is the external address of the cluster.
	DTRHost string `json:"dtrHost"`
	// Replicas holds every replica by its id.
	Replicas map[string]ReplicaSettings `json:"replicaSettings"`
}

// ReplicaSettings says where a replica runs.
type ReplicaSettings struct {
	HTTPPort  int `json:"HTTPPort"`
	HTTPSPort int `json:"HTTPSPort"`
	// Node is the name of the UCP node.
	Node string `json:"node"`
}

// Features says what the cluster has switched on.
type Features struct {
	// OnlineGCEnabled exists from 2.5 on and is false before.
	OnlineGCEnabled bool `json:"onlineGCEnabled"`
}

// HealthOK is the word for a healthy replica in ClusterStatus.Health.
const HealthOK = "OK"

// ClusterStatus is the cluster's view of its replicas. All maps are keyed by replica id.
type ClusterStatus struct {
	// Health is HealthOK or a reason. It comes from a cache that every replica refreshes: see Timestamp.
	Health map[string]string `json:"replica_health"`
	// Timestamp says when a replica last reported; a replica whose time cannot be read is absent.
	Timestamp map[string]time.Time `json:"replica_timestamp"`
	// GCLockHolder is the job or replica that collects garbage, empty when none does.
	GCLockHolder string `json:"gc_lock_holder"`
	// Date is the server's own time of the answer, to measure Timestamp against; zero when it did not say.
	Date time.Time `json:"-"`
}

// ScanStatus is the state of the vulnerability database.
type ScanStatus struct {
	// Busy says that DTR does not tell the rest, since the database is being updated.
	Busy               bool      `json:"-"`
	DBVersion          int       `json:"db_version"`
	DBUpdatedAt        time.Time `json:"db_updated_at"`
	LastDBUpdateFailed bool      `json:"lastDBUpdateFailed"`
}

// ContentCache is a registered content cache.
type ContentCache struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Host string `json:"host"`
}
