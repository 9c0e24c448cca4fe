package runner

import (
	"context"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// follow waits for a bootstrapper to end and reads how it ended. While it waits it
// passes the log on, and logs how far the replicas are. An engine that stays out of
// reach ends the waiting, not the bootstrapper.
func (r *Runner) follow(ctx context.Context, c Container, t Task) error {
	logCtx, stopLog := context.WithCancel(ctx)
	defer stopLog()
	logEnded := make(chan struct{}, 1)
	go r.passLog(logCtx, c, logEnded)

	target := cluster.LabelledVersion(c.Labels, cluster.LabelTo)
	var result error
	err := wait.UntilOr(ctx, r.Pace, logEnded, func(ctx context.Context) (bool, error) {
		now, err := r.Look(ctx, c)
		switch {
		case errdefs.IsNotFound(err):
			result = r.resultAfterRemoval(ctx, c, t)
			return true, nil
		case err != nil:
			return false, err
		case !now.Running():
			result = r.exitError(ctx, now, t)
			return true, nil
		}
		if inventory, err := cluster.Inspect(ctx, r.Cluster); err == nil {
			r.Progress.Report(ctx, inventory, target)
		}
		return false, nil
	})
	if err != nil {
		return &wait.DetachedError{Step: t.Step, Container: c.Name, Cause: err}
	}
	return result
}

// Look looks at the container again.
func (r *Runner) Look(ctx context.Context, c Container) (Container, error) {
	now, err := c.engine.Container(ctx, c.ID)
	return Container{now, c.engine}, err
}

// resultAfterRemoval judges a run whose container was removed before its exit
// status could be read: another apply that has finished the task does that, and
// then the cluster shows it.
func (r *Runner) resultAfterRemoval(ctx context.Context, c Container, t Task) error {
	inventory, err := cluster.Inspect(ctx, r.Cluster)
	if err != nil {
		return err
	}
	if len(t.Problems(c, inventory)) == 0 {
		return nil
	}
	return &BootstrapperError{Image: c.Image, Container: c.Name, Missing: true}
}

// exitError reads how an ended bootstrapper ended: nil, or a *BootstrapperError
// for an exit status other than 0 and for a fatal record, whichever the other
// says.
func (r *Runner) exitError(ctx context.Context, c Container, t Task) error {
	var summary LogSummary
	err := r.readLog(ctx, c, time.Time{}, false, summary.Add)
	if ctx.Err() != nil {
		return &wait.DetachedError{Step: t.Step, Container: c.Name, Cause: context.Cause(ctx)}
	}
	if err != nil {
		tflog.Warn(ctx, "The bootstrapper's log could not be read to its end", map[string]any{"container": c.Name, "error": err.Error()})
	}
	if failure := summary.Failure(c); failure != nil {
		return failure
	}
	return nil
}

// passLog passes the bootstrapper's log on as it is written, over as many
// connections as it takes, and signals each end of the stream.
func (r *Runner) passLog(ctx context.Context, c Container, ended chan<- struct{}) {
	var since time.Time
	pause := wait.NewPause(r.Pace.Poll)
	for ctx.Err() == nil {
		err := r.readLog(ctx, c, since, true, func(record bootstrap.Record) {
			if !record.Time.IsZero() {
				since = record.Time
			}
			LogRecord(ctx, record)
		})
		if err != nil && ctx.Err() == nil {
			tflog.Debug(ctx, "The bootstrapper's log broke off", map[string]any{"error": err.Error()})
		}
		select {
		case ended <- struct{}{}:
		default:
		}
		if err == nil { // the bootstrapper has ended, which whoever follows it is about to find
			pause.Longest()
		}
		if pause.Wait(ctx) != nil {
			return
		}
	}
}

// readLog reads the log record by record, the password masked.
func (r *Runner) readLog(ctx context.Context, c Container, since time.Time, follow bool, each func(bootstrap.Record)) error {
	log, err := c.engine.Logs(ctx, c.ID, since, follow)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	return r.Scan(log, each)
}
