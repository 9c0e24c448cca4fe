package upgrade

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// migrated says whether the hop has no migration, or all of them are done.
func (r *run) migrated(hop transition.Hop) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		attempts := 0
		for _, action := range hop.MigrationJobs {
			m, err := r.lookAtMigration(ctx, hop, action)
			if err != nil || m.phase != migrationDone {
				return false, ignoreUnknownStatus(err)
			}
			attempts += m.attempts
		}
		r.report.MigrationAttempts += attempts
		return true, nil
	}
}

// ignoreUnknownStatus leaves an unknown word to migrate, which reports it with
// the job's log.
func ignoreUnknownStatus(err error) error {
	if unknown := (*dtr.UnknownStatusError)(nil); errors.As(err, &unknown) {
		return nil
	}
	return err
}

// lookAtMigration reads where a migration of the hop stands.
func (r *run) lookAtMigration(ctx context.Context, hop transition.Hop, action string) (migration, error) {
	jobs, err := r.cluster.DTR.Jobs(ctx, dtr.JobFilter{Action: action, Limit: recentJobs})
	if err != nil {
		return migration{}, err
	}
	var since time.Time
	if !hop.From.Equal(hop.To) {
		inventory, err := Inspect(ctx, r.cluster)
		if err != nil {
			return migration{}, err
		}
		since = inventory.migrationSince()
	}
	m, err := judgeMigration(jobs, since)
	if err == nil && m.phase == migrationAbsent {
		state, found, err := r.findContainer(ctx)
		if err != nil {
			return migration{}, err
		}
		if found && state.Labels[labelMigrated] == "true" {
			m.phase = migrationDone
		}
	}
	return m, err
}

// migrate sees the migrations of a hop through: it waits for the jobs that DTR
// starts by itself, and starts one again when DTR has given it up. Its error is
// a *MigrationError, a *DetachedError, or what kept it from looking.
func (r *run) migrate(ctx context.Context, hop transition.Hop) error {
	for _, action := range hop.MigrationJobs {
		w := &migrationWait{run: r, hop: hop, action: action, retriggers: r.o.Retriggers}
		err := w.wait(ctx)
		r.report.MigrationAttempts += w.last.attempts
		if err != nil {
			return err
		}
	}
	return nil
}

// migrationWait waits for one migration.
type migrationWait struct {
	*run
	hop        transition.Hop
	action     string
	retriggers int // left

	last   migration
	since  time.Time // when last took its phase, and its job's status
	failed string    // the attempt after which the job was started again
}

func (w *migrationWait) wait(ctx context.Context) error {
	w.since = time.Now()
	var failure error
	err := poll(ctx, w.pace, func(ctx context.Context) (bool, error) {
		m, err := w.lookAtMigration(ctx, w.hop, w.action)
		if unknown := (*dtr.UnknownStatusError)(nil); errors.As(err, &unknown) {
			w.last = m
			failure = w.failure(ctx, err)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		w.note(ctx, m)
		switch {
		case m.phase == migrationRunning && m.job.Status.Orphaned() && time.Since(w.since) > w.pace.MigrationStart:
			failure = w.failure(ctx, errJobOrphaned) // not started again: it may be taken on yet
		case m.phase != migrationDone && w.gaveUp():
			failure = w.retrigger(ctx)
		}
		return m.phase == migrationDone || failure != nil, nil
	})
	if err != nil {
		return w.detached(err)
	}
	return failure
}

// note takes the latest look and logs what is new in it.
func (w *migrationWait) note(ctx context.Context, m migration) {
	if m.phase != w.last.phase || m.job.ID != w.last.job.ID || m.job.Status != w.last.job.Status {
		w.since = time.Now()
	}
	if m.job.ID != w.last.job.ID || m.job.Status != w.last.job.Status {
		tflog.Info(ctx, "Migration job changed", map[string]any{
			"action": w.action, "job_id": m.job.ID, "status": string(m.job.Status), "attempt": m.attempts, "hop": hopName(w.hop),
		})
	}
	w.last = m
}

// gaveUp says whether no further attempt is to be expected from DTR.
func (w *migrationWait) gaveUp() bool {
	switch w.last.phase {
	case migrationGaveUp:
		// The attempt that was answered already is what a list shows that lags behind.
		return w.last.job.ID != w.failed || time.Since(w.since) > w.pace.MigrationStart
	case migrationAbsent, migrationRetrying:
		return time.Since(w.since) > w.pace.MigrationStart
	}
	return false
}

// retrigger starts the job again, as often as the options allow.
func (w *migrationWait) retrigger(ctx context.Context) error {
	if w.retriggers == 0 {
		return w.failure(ctx, nil)
	}
	w.retriggers--
	job, err := w.cluster.DTR.RunJob(ctx, w.action, nil)
	switch {
	case ctx.Err() != nil:
		return w.detached(context.Cause(ctx))
	case err != nil:
		return w.failure(ctx, err)
	}
	tflog.Info(ctx, "Migration job is started again", map[string]any{"action": w.action, "job_id": job.ID, "retriggers_left": w.retriggers})
	w.since, w.failed = time.Now(), w.last.job.ID
	return nil
}

func (w *migrationWait) detached(cause error) error {
	return &DetachedError{Step: stepMigration, Job: w.last.job.ID, Cause: cause}
}

func (w *migrationWait) failure(ctx context.Context, cause error) error {
	return &MigrationError{
		Action: w.action, Job: w.last.job, Attempts: w.last.attempts, URL: w.cluster.DTR.URL(), Cause: cause,
		Log: jobLog(ctx, w.cluster.DTR, w.last.job.ID),
	}
}
