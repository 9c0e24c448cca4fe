package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// DatabaseOptions describe an update of the vulnerability database.
type DatabaseOptions struct {
	File string // to upload; "" has DTR download the database
	Pace wait.Pace
}

// OpenDatabase opens the file of a vulnerability database and returns its size in
// bytes. It refuses an empty file, and what is no regular file.
func OpenDatabase(path string) (*os.File, int64, error) {
	info, err := os.Stat(path) // opening a pipe would wait for somebody to write to it
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a file", path)
	case info.Size() == 0:
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return nil, 0, err
	}
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// UpdateDatabase updates the vulnerability database and waits until DTR has a newer
// one, or has found none: that is no failure, since the update of a run that was cut
// short may have brought the newest already. It compares times of DTR's own clock only.
//
// If no file is given and an update is under way, it waits for that one instead of
// starting another. Before an upload it waits for the end of the other update, which
// may bring another database than the file's. If the worker of that update is gone, it
// waits until another worker takes it on, for a limited time.
//
// Errors: *DatabaseError, *wait.DetachedError, *dtr.FileError, *dtr.LostJobError and
// those of the client.
func UpdateDatabase(ctx context.Context, client *dtr.Client, o DatabaseOptions) (Database, error) {
	u := &databaseUpdate{client: client, o: o, pace: o.Pace.OrDefault()}
	if err := u.look(ctx); err != nil {
		return Database{}, err
	}
	if u.first != "" && (o.File != "" || u.job.Status.Orphaned()) {
		if err := u.waitForOther(ctx); err != nil {
			return Database{ScanStatus: u.after}, err
		}
		if err := u.look(ctx); err != nil {
			return Database{}, err
		}
		if o.File != "" || u.job.Status.Orphaned() {
			u.job, u.first = dtr.Job{}, "" // should yet another one have begun, the upload queues behind it
		}
	}
	if u.first == "" {
		if err := u.start(ctx); err != nil {
			return Database{ScanStatus: u.after}, err
		}
	}
	err := u.wait(ctx)
	// Nothing is known of the database of before where that was busy.
	return Database{u.after, err == nil && !u.before.Busy && !u.after.DBUpdatedAt.After(u.before.DBUpdatedAt)}, err
}

type databaseUpdate struct {
	client *dtr.Client
	o      DatabaseOptions
	pace   wait.Pace

	before dtr.ScanStatus
	known  map[string]bool // ids of the jobs that were there before
	first  string          // id of the update under way, or of the first attempt at ours; "" before either is known
	job    dtr.Job         // its latest attempt
	after  dtr.ScanStatus
}

// Database is the vulnerability database after its update.
type Database struct {
	dtr.ScanStatus
	// NotNewer says that the update ended well and found nothing newer.
	NotNewer bool
}

// ErrBusy says that DTR does not tell the state of the database.
var ErrBusy = errors.New("DTR refuses to tell the state of the vulnerability database, as it does while that is being updated")

// look reads the database's status and the jobs before the update, and whether
// another update is under way. Where the database is busy, and DTR lists no update, it
// looks again for as long as an outage is tolerated.
func (u *databaseUpdate) look(ctx context.Context) error {
	err := wait.Until(ctx, u.pace, func(ctx context.Context) (bool, error) {
		if err := u.lookOnce(ctx); err != nil {
			return false, wait.Fail(err)
		}
		if u.before.Busy && u.first == "" {
			return false, ErrBusy
		}
		return true, nil
	})
	if errors.Is(err, ErrBusy) {
		return u.failure(ctx, err)
	}
	return wait.Detached(ctx, Step, err)
}

func (u *databaseUpdate) lookOnce(ctx context.Context) (err error) {
	if u.before, err = u.client.Database().Status(ctx); err != nil {
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

// jobs returns the latest updates, newest first, of all actions that are updates.
func (u *databaseUpdate) jobs(ctx context.Context) (all []dtr.Job, err error) {
	for _, action := range dtr.DatabaseActions {
		jobs, err := u.client.Jobs(ctx, dtr.JobFilter{Action: action, Limit: Recent})
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	slices.SortStableFunc(all, func(a, b dtr.Job) int { return b.ScheduledAt.Compare(a.ScheduledAt) })
	return all, nil
}

// start has DTR start the update. DTR refuses it until its scanner is ready; then the
// request is repeated, for as long as Pace.Healthy allows.
func (u *databaseUpdate) start(ctx context.Context) error {
	send := u.client.Database().Sync
	if u.o.File != "" {
		file, size, err := OpenDatabase(u.o.File)
		if err != nil {
			return &dtr.FileError{Err: err}
		}
		defer file.Close()
		send = func(ctx context.Context) error {
			return u.client.Database().Upload(ctx, filepath.Base(u.o.File), file, size)
		}
	}
	began := time.Now()
	var failure error
	err := wait.Until(ctx, u.pace, func(ctx context.Context) (bool, error) {
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
		return u.waiter().Detached(err)
	}
	return failure
}

func (u *databaseUpdate) waiter() *Waiter {
	w := &Waiter{Step: Step, Action: dtr.DatabaseActions[0], Client: u.client, Pace: u.pace, Job: u.job}
	w.Read = u.read
	w.Changed = func(_ context.Context, job dtr.Job) { u.job = job }
	return w
}

// waitForOther waits for the end of an update that this run did not start, successful
// or not. If no file is to be uploaded, it waits only until the update has a worker.
func (u *databaseUpdate) waitForOther(ctx context.Context) error {
	log.Info(ctx, "Another update of the vulnerability database is waited for", map[string]any{"job_id": u.first})
	w := u.waiter()
	return u.await(ctx, w, func(context.Context) (bool, error) {
		orphaned, late := w.State.Job.Status.Orphaned(), w.Waited() > u.pace.MigrationStart
		return w.State.Phase != Running || orphaned && late || !orphaned && u.o.File == "", nil
	})
}

// wait waits until the job, if DTR lists one, has ended and the database is newer.
func (u *databaseUpdate) wait(ctx context.Context) error {
	w := u.waiter()
	// The job is read before the database's status: after a job that has ended, that
	// status includes its result.
	w.Read = func(ctx context.Context) (State, error) {
		state, err := u.read(ctx)
		if err != nil {
			return state, err
		}
		u.after, err = u.client.Database().Status(ctx)
		return state, err
	}
	return u.await(ctx, w, func(context.Context) (bool, error) { return u.outcome(w.State, w.Waited()) })
}

// await waits for the job of an update, and says now and then that it does.
func (u *databaseUpdate) await(ctx context.Context, w *Waiter, decide func(context.Context) (done bool, err error)) error {
	telling, stop := wait.Tell(ctx, "The update of the vulnerability database", nil)
	defer stop()
	return u.failed(ctx, w.Wait(telling, decide))
}

// read reads the state of the update's job, once DTR lists it: the oldest new job that
// is no retry of an older one; for an upload the newest, since DTR may have started
// another update while the file was sent.
func (u *databaseUpdate) read(ctx context.Context) (State, error) {
	jobs, err := u.jobs(ctx)
	if err != nil {
		return State{}, err
	}
	if u.first == "" {
		for _, job := range jobs {
			retry := job.RetryFromID != "" && job.RetryFromID != job.ID
			switch {
			case u.known[job.ID], u.known[job.RetryFromID]:
			case u.o.File == "", u.first == "" && !retry:
				u.first = job.ID
			}
		}
	}
	return StateOf(attemptsOf(u.first, jobs), "")
}

// outcome reports whether the update is done, or why it has failed.
func (u *databaseUpdate) outcome(s State, waited time.Duration) (done bool, err error) {
	newer := u.after.DBUpdatedAt.After(u.before.DBUpdatedAt) && !u.after.LastDBUpdateFailed
	switch s.Phase {
	case Done:
		// What the replicas say of the database may lag behind the job.
		switch {
		case newer:
		case u.after.Busy && waited > u.pace.Healthy:
			return false, ErrBusy
		case u.after.Busy || waited <= u.pace.Consistent:
			return false, nil
		case u.after.LastDBUpdateFailed:
			return false, ErrGaveUp
		}
		return true, nil
	case Absent:
		// DTR may report the failure of an earlier update: only one that was not reported
		// before is this update's.
		if u.after.LastDBUpdateFailed && !u.before.LastDBUpdateFailed {
			return false, ErrGaveUp
		}
		return newer, nil
	case Running, Retrying, GaveUp:
	}
	return false, s.Overdue(waited, u.pace)
}

// failed turns an error of the wait into a *DatabaseError, but for a
// *wait.DetachedError: then the job goes on.
func (u *databaseUpdate) failed(ctx context.Context, err error) error {
	var detached *wait.DetachedError
	switch {
	case err == nil, errors.As(err, &detached):
		return err
	case errors.Is(err, ErrGaveUp), errors.Is(err, ErrNotRetried):
		return u.failure(ctx, nil) // the job's status and the database's say the same
	}
	return u.failure(ctx, err)
}

func (u *databaseUpdate) failure(ctx context.Context, cause error) error {
	return &DatabaseError{
		Job: u.job, Before: u.before, After: u.after, Cause: cause, URL: u.client.URL(), Log: tailOfLog(ctx, u.client, u.job.ID),
	}
}
