package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"
)

// scanner is the state of the vulnerability database.
type scanner struct {
	version int
	updated time.Time
	failed  bool // the last update
	uploads []Upload
	faults  DatabaseFaults
}

// DatabaseFaults says how updates of the vulnerability database go wrong, all of
// them until [Cluster.SetDatabase] is called again. The zero value: they do not.
type DatabaseFaults struct {
	Disabled bool   // scanning is switched off
	NotReady int    // this many requests come too early
	Fail     int    // this many updates fail; -1 all of them
	Same     bool   // an update ends well and brings nothing newer
	Status   string // is shown by the job once a worker has it, instead of what happens; the job stays there
}

// SetDatabase sets how updates go wrong from now on.
func (c *Cluster) SetDatabase(f DatabaseFaults) {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	c.dtr.scanner.faults = f
}

// Upload is a database file that was uploaded whole.
type Upload struct {
	Name, SHA256 string
	Size         int64
	// Announced is the length of the request as its header told it, -1 when it did not.
	Announced int64
}

// Uploads lists the database files that were uploaded whole, oldest first.
func (c *Cluster) Uploads() []Upload {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	return slices.Clone(c.dtr.scanner.uploads)
}

var (
	errScanningNotEnabled = &dtrError{http.StatusBadRequest, "SCANNING_NOT_ENABLED", "Scanning is not enabled"}
	errScanningNotReady   = &dtrError{http.StatusBadRequest, "SCANNING_DB_NOT_READY", "Scanning DB is not ready"}
	errNoDatabaseFile     = &dtrError{http.StatusBadRequest, "INVALID_PARAMETERS", "no database file in the form"}
)

func (d *dtr) scanStatus(*call) (int, any, error) {
	if d.scanner.faults.Disabled {
		return 0, nil, errScanningNotEnabled
	}
	scanners := object{}
	for _, id := range d.replicas() {
		scanners[id] = object{"scannerType": 0, "version": []string{"1"}}
	}
	return http.StatusOK, object{
		"db_updated_at": stamp(d.scanner.updated), "db_version": d.scanner.version, "lastDBUpdateFailed": d.scanner.failed,
		"lastVulnOverridesDBUpdateFailed": false, "replicas": scanners,
		"scannerUpdatedAt": stamp(d.scanner.updated), "scanner_version": 3, "state": 0,
	}, nil
}

// receive reads the uploaded file, if there is to be one, as it comes.
func (c *call) receive() error {
	switch media, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type")); media {
	case "application/json":
		return nil
	case "multipart/form-data":
	default:
		return errMediaType
	}
	form, err := c.MultipartReader()
	if err != nil {
		return errNoDatabaseFile
	}
	for {
		part, err := form.NextPart()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return errNoDatabaseFile
		}
		if part.FormName() != "file" || part.FileName() == "" {
			continue
		}
		sum := sha256.New()
		size, err := io.Copy(sum, part)
		if err != nil {
			return errNoDatabaseFile
		}
		c.upload = &Upload{Name: part.FileName(), Size: size, SHA256: hex.EncodeToString(sum.Sum(nil)), Announced: c.ContentLength}
	}
}

// updateDatabase starts the job that loads a new database. Without online=true
// that is the uploaded one.
func (d *dtr) updateDatabase(c *call) (int, any, error) {
	online := c.URL.Query().Get("online") == "true"
	switch {
	case d.scanner.faults.Disabled:
		return 0, nil, errScanningNotEnabled
	case d.scanner.faults.NotReady > 0:
		d.scanner.faults.NotReady--
		return 0, nil, errScanningNotReady
	case !online && c.upload == nil:
		return 0, nil, errNoDatabaseFile
	}
	if !online {
		d.scanner.uploads = append(d.scanner.uploads, *c.upload)
	}
	action := actionUpdateDB
	if !c.replica.notBefore("2.5") {
		action = actionUpdateOldDB
	}
	d.schedule(Job{Action: action})
	return http.StatusOK, nil, nil
}

// load is the work of a job that updates the database.
func (d *dtr) load(ctx context.Context) (failure string) {
	d.points.reach(ctx, DatabaseUpdateStarted)
	_ = d.clock.Sleep(ctx, otherJobTime)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scanner.faults.Fail == 0 {
		return ""
	}
	if d.scanner.faults.Fail > 0 {
		d.scanner.faults.Fail--
	}
	return "could not load the vulnerability database: checksum mismatch"
}

// loaded notes how an update ended. The lock must be held.
func (d *dtr) loaded(failure string) {
	d.scanner.failed = failure != ""
	if failure == "" && !d.scanner.faults.Same {
		d.scanner.version++
		d.scanner.updated = time.Now()
	}
}
