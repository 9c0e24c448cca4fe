package runner

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// errRepeated says that another apply has removed a bootstrapper that had failed, and
// has made another container for the task.
var errRepeated = errors.New("another apply repeats the task")

// seeOut follows a bootstrapper to its end. It returns false if another apply has seen
// that one fail first, and repeats the task: then there is another one to follow.
func (p *taskRun) seeOut(ctx context.Context, c Container) (done bool, err error) {
	err = p.follow(ctx, c)
	_, failed := errors.AsType[*BootstrapperError](err)
	if err == nil || failed || errors.Is(err, errRepeated) { // else it may still run
		p.letGo(ctx, c.Labels)
	}
	if errors.Is(err, errRepeated) {
		return false, nil
	}
	return err == nil, wait.Fail(err)
}

// follow waits until a bootstrapper ends and returns its failure, if any. Meanwhile
// it copies the bootstrapper's log into Terraform's, and logs each replica that has
// come to the target. If the engine cannot be reached for too long, only the waiting
// ends: a *wait.DetachedError names the container that goes on.
func (p *taskRun) follow(ctx context.Context, c Container) error {
	logCtx, stopLog := context.WithCancel(ctx)
	defer stopLog()
	look := make(chan struct{}, 1) // at once: the log has ended, or come to another replica
	var turn turns
	go p.passLog(logCtx, c, look, func(r bootstrap.Record) {
		if turn.note(r) {
			signal(look)
		}
	})

	target := cluster.LabelledVersion(c.Labels, cluster.LabelTo)
	missing, undone, idle := wait.Lasting{Limit: p.Pace.Consistent}, wait.Lasting{Limit: p.Pace.Consistent}, wait.Lasting{Limit: p.Pace.Consistent}
	var result error
	err := wait.UntilOr(ctx, p.Pace, look, func(ctx context.Context) (bool, error) {
		now, err := c.Look(ctx)
		if errdefs.IsNotFound(err) {
			next, found, err := p.Find(ctx)
			if err != nil {
				return false, err
			}
			if found && next.ID != c.ID && p.task.Owns(next) {
				result = errRepeated
				return true, nil
			}
			// Another apply removes it once the task is done; then the cluster shows that.
			inventory, err := cluster.Inspect(ctx, p.Cluster)
			if err != nil {
				return false, err
			}
			left := len(p.task.Problems(c, inventory)) > 0
			failed := undone.Seen(left)
			if !missing.Seen(true) || left && !failed {
				return false, nil
			}
			if failed {
				result = &BootstrapperError{Image: c.Image, Container: c.Name, Missing: true}
			}
			return true, nil
		}
		if err != nil {
			return false, p.nodeDown(ctx, c.Name, err)
		}
		missing.Seen(false)
		switch {
		case now.Ended():
			_, result = p.exitError(ctx, now)
			return true, nil
		case idle.Seen(!now.Running()): // it was started, and neither runs nor has ended
			result = &BlockedError{Container: c.Name, Status: now.Status}
			return true, nil
		}
		if turn.isOver(p.Pace.Consistent) {
			if inventory, err := cluster.Inspect(ctx, p.Cluster); err == nil {
				p.Progress.Report(ctx, inventory, target)
			}
		}
		return false, nil
	})
	switch down, isDown := errors.AsType[*NodeDownError](err); {
	case err == nil:
		return result
	case ctx.Err() != nil:
		return &wait.DetachedError{Step: p.task.Step, Container: c.Name, Cause: context.Cause(ctx), LastError: wait.LastError(ctx, err)}
	case isDown:
		return down
	}
	return &wait.DetachedError{Step: p.task.Step, Container: c.Name, Cause: err}
}

// turns tells when a look at the replicas may show that one of them has come to the
// target: once the bootstrapper's log has come to another one. A log that cannot be
// read, or names none, is made up for by a look now and then. The zero value is ready to
// use.
type turns struct {
	mu      sync.Mutex
	replica string
	over    bool
	looked  time.Time
}

var replicaID = regexp.MustCompile(`\b[0-9a-f]{12}\b`)

// note notes which replica a record is about, and reports whether it is another one.
func (t *turns) note(r bootstrap.Record) bool {
	id := replicaID.FindString(r.Message)
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == "" || id == t.replica {
		return false
	}
	t.replica, t.over = id, true
	return true
}

// signal signals, unless a signal is there that was not seen yet.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// isOver reports whether a look is due, which is then taken as made.
func (t *turns) isOver(atLeast time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over && time.Since(t.looked) < atLeast {
		return false
	}
	t.over, t.looked = false, time.Now()
	return true
}

// exitError is the failure of a bootstrapper that has ended: a *BootstrapperError if
// its exit status is not 0 or its log has a fatal record; one of the two is enough.
// If the context ends first, it is a *wait.DetachedError. Now is the time by the clock
// of the container's node, zero if its log could not be read.
func (p *taskRun) exitError(ctx context.Context, c Container) (now time.Time, failure error) {
	summary := p.Summary()
	pace := p.Pace
	pace.Outage = pace.Consistent // the exit status alone will do
	err := wait.Until(ctx, pace, func(ctx context.Context) (bool, error) {
		summary = p.Summary()
		var err error
		now, err = p.readLog(ctx, c, nil, false, summary.Add)
		if errdefs.IsNotFound(err) || errdefs.IsNotImplemented(err) {
			err = wait.Fail(err)
		}
		return err == nil, err
	})
	if ctx.Err() != nil {
		return now, &wait.DetachedError{Step: p.task.Step, Container: c.Name, Cause: context.Cause(ctx)}
	}
	if err != nil {
		log.Warn(ctx, "The bootstrapper's log could not be read to its end", map[string]any{"container": c.Name, "error": err.Error()})
	}
	if failure := summary.Failure(c); failure != nil {
		return now, failure
	}
	return now, nil
}

// passLog copies the bootstrapper's log into Terraform's as it is written, each line
// once, and has each record noted. It reconnects when the stream breaks off, and signals
// each end of it.
func (r *Runner) passLog(ctx context.Context, c Container, ended chan<- struct{}, note func(bootstrap.Record)) {
	var read ucp.LogMark
	pause := wait.NewPause(r.Pace.Poll)
	for ctx.Err() == nil {
		_, err := r.readLog(ctx, c, &read, true, func(record bootstrap.Record) {
			note(record)
			r.LogRecord(ctx, record)
		})
		if err != nil && ctx.Err() == nil {
			log.Debug(ctx, "The bootstrapper's log broke off", map[string]any{"error": err.Error()})
		}
		signal(ended)
		if err == nil { // the bootstrapper has ended, and follow is about to see that
			pause.Longest()
		}
		if pause.Wait(ctx) != nil {
			return
		}
	}
}

// readLog reads the log record by record, from the mark on. Now is the time by the clock of the container's node.
func (r *Runner) readLog(ctx context.Context, c Container, from *ucp.LogMark, follow bool, each func(bootstrap.Record)) (now time.Time, err error) {
	log, err := c.engine.Logs(ctx, c.ID, from, follow)
	if err != nil {
		return now, err
	}
	defer func() { _ = log.Close() }()
	return log.Now, Scan(log, each)
}
