package simulator

import (
	"context"
	"fmt"
	"time"
)

// Job is a job as DTR's API shows it.
type Job struct {
	ID           string            `json:"id"`
	RetryFromID  string            `json:"retryFromID"`
	WorkerID     string            `json:"workerID"`
	Status       string            `json:"status"`
	ScheduledAt  time.Time         `json:"scheduledAt"`
	LastUpdated  time.Time         `json:"lastUpdated"`
	Action       string            `json:"action"`
	RetriesLeft  int               `json:"retriesLeft"`
	RetriesTotal int               `json:"retriesTotal"`
	CapacityMap  map[string]int    `json:"capacityMap"`
	Parameters   map[string]string `json:"parameters"`
	Deadline     string            `json:"deadline"`
	StopTimeout  string            `json:"stopTimeout"`
}

// Status words as the vendor's API description has them.
const (
	statusWaiting    = "waiting"
	statusRunning    = "running"
	statusDone       = "done"
	statusErrored    = "errored"
	statusCanceled   = "canceled"
	statusWorkerDead = "worker_dead" // from the documentation of the job queue
)

const (
	actionMigration   = "metadatastoremigration"
	actionUpdateDB    = "update_vuln_db"
	actionUpdateOldDB = "nautilus_update_db" // its name up to 2.4
	actionSleep       = "sleep"
	actionFalse       = "false"
)

// jobActions that may be posted.
var jobActions = []string{
	actionMigration, actionUpdateDB, actionSleep, actionFalse, actionUpdateOldDB, "scannedlayermigration",
	"tagmigration", "bloblinkmigration", "gc", "onlinegc", "onlinegc_metadata", "onlinegc_joblogs",
}

// migrationRetries is how often DTR itself retries a failed migration.
const migrationRetries = 2

// job is a job with what runs it. All fields are guarded by DTR's lock.
type job struct {
	Job
	log    []string
	ctx    context.Context // until canceled or deleted
	cancel context.CancelFunc
	runner string             // id of the job runner's container that has it
	orphan context.CancelFunc // called when that container is gone
}

// logf adds a line to the log. The lock must be held.
func (j *job) logf(format string, args ...any) {
	j.log = append(j.log, fmt.Sprintf(format, args...))
}
