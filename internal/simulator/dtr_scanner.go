package simulator

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// scanner is the state of the vulnerability database.
type scanner struct {
	mu      *sync.Mutex // DTR's
	queue   *jobQueue
	members *members

	version int
	updated time.Time
	failed  bool // the last update
	loading int  // updates under way
	uploads []Upload
	faults  DatabaseFaults
}

// DatabaseFaults say how updates of the vulnerability database go wrong, all of
// them until [Cluster.SetDatabase] is called again. The zero value: they do not.
type DatabaseFaults struct {
	Disabled bool   // scanning is switched off
	NotReady int    // this many requests come too early
	Fail     int    // this many updates fail; -1 all of them
	Busy     bool   // while an update is under way, the database's status is refused as if to a user without rights
	Same     bool   // an update ends well and brings nothing newer
	Status   string // is shown by the job once a worker has it, instead of what happens; the job stays there
}

// SetDatabase sets how updates go wrong from now on.
func (s *scanner) SetDatabase(f DatabaseFaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Uploads lists the database files that were uploaded whole, oldest first.
func (s *scanner) Uploads() []Upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.uploads)
}

var (
	errScanningNotEnabled = &dtrError{http.StatusBadRequest, "SCANNING_NOT_ENABLED", "Scanning is not enabled"}
	errScanningNotReady   = &dtrError{http.StatusBadRequest, "SCANNING_DB_NOT_READY", "Scanning DB is not ready"}
)

func (s *scanner) routes() []dtrRoute {
	return []dtrRoute{
		{"GET /api/v0/imagescan/status", anyUser, "", s.status},
		{"PUT /api/v0/imagescan/scan/update", adminOnly, "", s.updateDatabase},
	}
}

// kind is what a job that updates the database does.
func (s *scanner) kind() jobKind {
	return jobKind{work: s.load, stuck: func() string { return s.faults.Status }, ended: s.loaded}
}

func (s *scanner) status(*call) (int, any, error) {
	if s.faults.Disabled {
		return 0, nil, errScanningNotEnabled
	}
	if s.faults.Busy && s.loading > 0 {
		return 0, nil, errNotAuthorized
	}
	scanners := object{}
	for _, id := range s.members.replicas() {
		scanners[id] = object{"scannerType": 0, "version": []string{"1"}}
	}
	return http.StatusOK, object{
		"db_updated_at": formatTime(s.updated), "db_version": s.version, "lastDBUpdateFailed": s.failed,
		"lastVulnOverridesDBUpdateFailed": false, "replicas": scanners,
		"scannerUpdatedAt": formatTime(s.updated), "scanner_version": 3, "state": 0,
	}, nil
}

// updateDatabase starts the job that loads a new database: the vendor's with
// online=true, otherwise the uploaded one.
func (s *scanner) updateDatabase(c *call) (int, any, error) {
	online := c.URL.Query().Get("online") == "true"
	switch {
	case s.faults.Disabled:
		return 0, nil, errScanningNotEnabled
	case s.faults.NotReady > 0:
		s.faults.NotReady--
		return 0, nil, errScanningNotReady
	case !online && c.upload == nil:
		return 0, nil, errNoDatabaseFile
	}
	if !online {
		s.uploads = append(s.uploads, *c.upload)
	}
	action := actionUpdateDB
	if !c.replica.notBefore("2.5") {
		action = actionUpdateOldDB
	}
	s.queue.schedule(Job{Action: action})
	return http.StatusOK, nil, nil
}

// load is the work of a job that updates the database.
func (s *scanner) load(ctx context.Context, _ *job) (failure string) {
	s.changeLoading(1)
	defer s.changeLoading(-1)
	s.queue.points.reach(ctx, DatabaseUpdateStarted)
	_ = s.queue.clock.Sleep(ctx, otherJobTime)
	if !s.fails() {
		return ""
	}
	return "could not load the vulnerability database: checksum mismatch"
}

// fails reports whether this update is to fail.
func (s *scanner) fails() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.Fail > 0 {
		s.faults.Fail--
		return true
	}
	return s.faults.Fail < 0
}

func (s *scanner) changeLoading(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading += by
}

// loaded records how an update ended. The lock must be held.
func (s *scanner) loaded(failure string) {
	s.failed = failure != ""
	if failure == "" && !s.faults.Same {
		s.version++
		s.updated = s.members.now()
	}
}
