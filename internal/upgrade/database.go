package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// DatabaseOptions is an update of the vulnerability database.
type DatabaseOptions struct {
	File string // to upload; "" has DTR download the database
	Pace Pace
}

// DatabaseError says that the vulnerability database is not what the update was
// to make of it.
type DatabaseError struct {
	Job           dtr.Job // zero when DTR listed none
	Before, After dtr.ScanStatus
	Log           []string // the last lines of the job's
	URL           string   // of DTR's web interface
	// Cause is a *dtr.UnknownStatusError, a *dtr.APIError when DTR did not get ready
	// for it, an error that says that its worker is gone, or nil.
	Cause error
}

// Failed says whether the update itself failed; otherwise it has brought nothing
// newer, or its cause is an error of its own.
func (e *DatabaseError) Failed() bool {
	phase, _ := e.Job.Status.Phase()
	return e.After.LastDBUpdateFailed || phase == dtr.PhaseFailed || phase == dtr.PhaseStopped
}

func (e *DatabaseError) Error() string {
	switch {
	case e.Cause != nil:
		return fmt.Sprintf("update of the vulnerability database, job %q: %v", e.Job.ID, e.Cause)
	case e.Failed():
		return fmt.Sprintf("update of the vulnerability database failed, job %q ended as %q", e.Job.ID, e.Job.Status)
	}
	return "the vulnerability database is no newer after its update"
}

func (e *DatabaseError) Unwrap() error { return e.Cause }

// OpenDatabase opens the file of a vulnerability database, and says how many bytes
// it has.
func OpenDatabase(path string) (*os.File, int64, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a file", path)
	case info.Size() == 0:
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// UpdateDatabase updates the vulnerability database and waits until DTR has a
// newer one; all times that are compared are DTR's own.
//
// A download that is under way already is waited for instead of being started
// again. Any other update may be one of another content than the file's: its end
// is waited for, and then the file is uploaded. One whose worker is gone is waited
// for until another has taken it on, or nobody can be expected to.
//
// Errors: *DatabaseError, *JobDetachedError, *dtr.FileError, *dtr.LostJobError and
// those of the client.
func UpdateDatabase(ctx context.Context, client *dtr.Client, o DatabaseOptions) (dtr.ScanStatus, error) {
	u := &databaseUpdate{client: client, o: o, pace: o.Pace.orDefault()}
	if err := u.look(ctx); err != nil {
		return dtr.ScanStatus{}, err
	}
	if u.first != "" && (o.File != "" || u.job.Status.Orphaned()) {
		if err := u.waitForOther(ctx); err != nil {
			return u.after, err
		}
		if err := u.look(ctx); err != nil {
			return dtr.ScanStatus{}, err
		}
		if o.File != "" || u.job.Status.Orphaned() {
			u.job, u.first = dtr.Job{}, "" // should yet another one have begun, the upload queues behind it
		}
	}
	if u.first == "" {
		if err := u.start(ctx); err != nil {
			return u.after, err
		}
	}
	err := u.wait(ctx)
	return u.after, err
}

type databaseUpdate struct {
	client *dtr.Client
	o      DatabaseOptions
	pace   Pace

	before dtr.ScanStatus
	known  map[string]bool // jobs that were there before
	first  string          // id of the job that was joined, or of the first new one; "" while there is none

	job   dtr.Job   // the latest attempt
	since time.Time // when it was first seen with its status
	after dtr.ScanStatus
}

// look notes what there is before the update, and whether one is under way.
func (u *databaseUpdate) look(ctx context.Context) (err error) {
	if u.before, err = u.client.ScanStatus(ctx); err != nil {
		return err
	}
	u.job, u.first = dtr.Job{}, ""
	u.known = map[string]bool{}
	jobs, err := u.jobs(ctx)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		u.known[job.ID] = true
	}
	if job, found := underWay(jobs, func(dtr.Job) bool { return true }); found {
		u.job, u.first = job, job.ID
	}
	return nil
}

// jobs are the latest updates, newest first, under whichever of their names.
func (u *databaseUpdate) jobs(ctx context.Context) (all []dtr.Job, err error) {
	for _, action := range dtr.DatabaseActions {
		jobs, err := u.client.Jobs(ctx, dtr.JobFilter{Action: action, Limit: recentJobs})
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	slices.SortStableFunc(all, func(a, b dtr.Job) int { return b.ScheduledAt.Compare(a.ScheduledAt) })
	return all, nil
}

// start has DTR begin with the update. One that comes too early, before the
// scanner has come up, is sent again after a while: it was refused.
func (u *databaseUpdate) start(ctx context.Context) error {
	send := u.client.SyncDatabase
	if u.o.File != "" {
		file, size, err := OpenDatabase(u.o.File)
		if err != nil {
			return &dtr.FileError{Err: err}
		}
		defer file.Close()
		send = func(ctx context.Context) error {
			return u.client.UploadDatabase(ctx, filepath.Base(u.o.File), file, size)
		}
	}
	began := time.Now()
	var failure error
	err := poll(ctx, u.pace, func(ctx context.Context) (bool, error) {
		failure = send(ctx)
		api, refused := errors.AsType[*dtr.APIError](failure)
		early := refused && api.Code == dtr.CodeScanningNotReady
		if early && time.Since(began) > u.pace.Healthy {
			failure = u.failure(ctx, failure)
			early = false
		}
		return !early && ctx.Err() == nil, nil
	})
	if err != nil {
		return u.detached(err)
	}
	return failure
}

// waitForOther waits for the end of an update that is none of ours, whatever it
// comes to; for a download only until it has a worker.
func (u *databaseUpdate) waitForOther(ctx context.Context) error {
	tflog.Info(ctx, "Another update of the vulnerability database is waited for", map[string]any{"job_id": u.first})
	u.since = time.Now()
	var failure error
	err := poll(ctx, u.pace, func(ctx context.Context) (bool, error) {
		jobs, err := u.jobs(ctx)
		if err != nil {
			return false, err
		}
		m, err := judgeMigration(attemptsOf(u.first, jobs), time.Time{})
		if err != nil {
			failure = u.failure(ctx, err)
		}
		u.note(ctx, m.job)
		orphaned := m.job.Status.Orphaned()
		return m.phase != migrationRunning || orphaned && time.Since(u.since) > u.pace.MigrationStart || !orphaned && u.o.File == "", nil
	})
	if err != nil {
		return u.detached(err)
	}
	return failure
}

// wait waits until the job, if DTR lists one, is over and the database newer.
func (u *databaseUpdate) wait(ctx context.Context) error {
	u.since = time.Now()
	var failure error
	err := poll(ctx, u.pace, func(ctx context.Context) (done bool, err error) {
		m, err := u.observe(ctx)
		if unknown := (*dtr.UnknownStatusError)(nil); errors.As(err, &unknown) {
			failure = u.failure(ctx, err)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		done, failed := u.judge(m)
		switch {
		case failed && m.phase == migrationRunning:
			failure = u.failure(ctx, errJobOrphaned)
		case failed:
			failure = u.failure(ctx, nil)
		}
		return done || failed, nil
	})
	if err != nil {
		return u.detached(err)
	}
	return failure
}

// observe looks at the job first and then at the database: one that is over has
// left its mark there by then.
func (u *databaseUpdate) observe(ctx context.Context) (migration, error) {
	jobs, err := u.jobs(ctx)
	if err != nil {
		return migration{}, err
	}
	if u.first == "" {
		for _, job := range jobs { // the oldest that is new, and no retry of an older one
			retry := job.RetryFromID != "" && job.RetryFromID != job.ID
			switch {
			case u.known[job.ID], u.known[job.RetryFromID]:
			case u.o.File == "":
				u.first = job.ID
			case u.first == "" && !retry: // the newest: while a file was sent, DTR may have begun another update
				u.first = job.ID
			}
		}
	}
	m, err := judgeMigration(attemptsOf(u.first, jobs), time.Time{})
	u.note(ctx, m.job)
	if err != nil {
		return m, err
	}
	u.after, err = u.client.ScanStatus(ctx)
	return m, err
}

// note takes the latest look at the job.
func (u *databaseUpdate) note(ctx context.Context, job dtr.Job) {
	if job.ID != "" && (job.ID != u.job.ID || job.Status != u.job.Status) {
		tflog.Info(ctx, "Vulnerability database job changed", map[string]any{"job_id": job.ID, "status": string(job.Status)})
		u.job, u.since = job, time.Now()
	}
}

// judge says whether the update is done, or has failed.
func (u *databaseUpdate) judge(m migration) (done, failed bool) {
	newer := u.after.DBUpdatedAt.After(u.before.DBUpdatedAt) && !u.after.LastDBUpdateFailed
	waited := time.Since(u.since)
	switch m.phase {
	case migrationDone:
		// What the replicas say of the database may lag behind the job.
		return newer, !newer && waited > u.pace.Consistent
	case migrationGaveUp:
		return false, true
	case migrationRunning:
		return false, m.job.Status.Orphaned() && waited > u.pace.MigrationStart
	case migrationRetrying:
		return false, waited > u.pace.MigrationStart
	case migrationAbsent:
		// A failure of before says nothing, unless it is seen to be a new one.
		return newer, u.after.LastDBUpdateFailed && !u.before.LastDBUpdateFailed
	}
	return false, false
}

func (u *databaseUpdate) detached(cause error) error {
	return &JobDetachedError{Action: dtr.DatabaseActions[0], Job: u.job.ID, URL: u.client.URL(), Cause: cause}
}

func (u *databaseUpdate) failure(ctx context.Context, cause error) error {
	return &DatabaseError{
		Job: u.job, Before: u.before, After: u.after, Cause: cause, URL: u.client.URL(), Log: jobLog(ctx, u.client, u.job.ID),
	}
}

// InspectDatabase reads DTR's external host and the state of its vulnerability
// database.
func InspectDatabase(ctx context.Context, client *dtr.Client) (host string, status dtr.ScanStatus, err error) {
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		settings, err := client.Settings(groupCtx)
		host = externalHost(client.URL(), settings)
		return err
	})
	group.Go(func() (err error) { status, err = client.ScanStatus(groupCtx); return err })
	return host, status, group.Wait()
}
