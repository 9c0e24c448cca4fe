package upgrade

import (
	"context"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
)

// tailLength is how many of a log's last lines go into an error, and recent how
// many are searched for a known failure.
const (
	tailLength = 20
	recent     = 200
)

// follow waits for a bootstrapper to end and reads how it ended. While it waits
// it passes the log on. An engine that does not answer is asked again until the
// pace's outage has passed.
func (r *run) follow(ctx context.Context, state containerState, t task) error {
	logCtx, stopLog := context.WithCancel(ctx)
	defer stopLog()
	logEnded := make(chan struct{}, 1)
	go r.passLog(logCtx, state, logEnded)

	target := labelledVersion(state.Labels, labelTo)
	pause := newPause(r.pace.Poll)
	gone := outage{limit: r.pace.Outage}
	for {
		now, err := state.look(ctx)
		switch {
		case ctx.Err() != nil:
			return &DetachedError{Step: t.step, Container: state.Name, Cause: context.Cause(ctx)}
		case errdefs.IsNotFound(err):
			return r.vanished(ctx, state, t)
		case fatal(err), gone.over(err):
			return &DetachedError{Step: t.step, Container: state.Name, Cause: err}
		case err == nil && !now.live():
			return r.verdict(ctx, now, t)
		}
		if inventory, err := Inspect(ctx, r.cluster); err == nil {
			r.progress(ctx, inventory, target)
		}
		if err := pause.waitOr(ctx, logEnded); err != nil {
			return &DetachedError{Step: t.step, Container: state.Name, Cause: err}
		}
	}
}

// look looks at the container again.
func (s containerState) look(ctx context.Context) (containerState, error) {
	now, err := s.engine.Container(ctx, s.ID)
	return containerState{now, s.engine}, err
}

// vanished judges a run whose container was removed before its exit status could
// be read: another apply that has finished the task does that, and then the
// cluster shows it.
func (r *run) vanished(ctx context.Context, state containerState, t task) error {
	inventory, err := Inspect(ctx, r.cluster)
	if err != nil {
		return err
	}
	if len(t.problems(state, inventory)) == 0 {
		return nil
	}
	return &BootstrapperError{Image: state.Image, Container: state.Name, Missing: true}
}

// passLog passes the bootstrapper's log on as it is written, over as many
// connections as it takes, and signals each end of the stream.
func (r *run) passLog(ctx context.Context, state containerState, ended chan<- struct{}) {
	var since time.Time
	pause := newPause(r.pace.Poll)
	for ctx.Err() == nil {
		err := r.readLog(ctx, state, since, true, func(record bootstrap.Record) {
			if !record.Time.IsZero() {
				since = record.Time
			}
			say(ctx, record)
		})
		if err != nil && ctx.Err() == nil {
			tflog.Debug(ctx, "The bootstrapper's log broke off", map[string]any{"error": err.Error()})
		}
		select {
		case ended <- struct{}{}:
		default:
		}
		if err == nil { // the bootstrapper has ended, which whoever follows it is about to find
			pause.next = pause.longest
		}
		if pause.wait(ctx) != nil {
			return
		}
	}
}

// readLog reads the log record by record. The bootstrapper was given a password,
// and writes what it likes: the password is taken out before anybody sees it.
func (r *run) readLog(ctx context.Context, state containerState, since time.Time, follow bool, each func(bootstrap.Record)) error {
	log, err := state.engine.Logs(ctx, state.ID, since, follow)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	scanner := bootstrap.NewScanner(log)
	for scanner.Scan() {
		each(r.mask(scanner.Record()))
	}
	return scanner.Err()
}

func (r *run) mask(record bootstrap.Record) bootstrap.Record {
	if password := r.cluster.Login.Password; password != "" {
		record.Message = strings.ReplaceAll(record.Message, password, "***")
		for name, value := range record.Fields {
			record.Fields[name] = strings.ReplaceAll(value, password, "***")
		}
	}
	return record
}

// say passes a record on.
func say(ctx context.Context, record bootstrap.Record) {
	tflog.Info(ctx, "Bootstrapper says", map[string]any{"level": record.Level, "message": record.Message})
}

// verdict reads how an ended bootstrapper ended: nil, or a *BootstrapperError
// for an exit status other than 0 and for a fatal record, whichever the other
// says.
func (r *run) verdict(ctx context.Context, state containerState, t task) error {
	var said account
	err := r.readLog(ctx, state, time.Time{}, false, said.note)
	if ctx.Err() != nil {
		return &DetachedError{Step: t.step, Container: state.Name, Cause: context.Cause(ctx)}
	}
	if err != nil {
		tflog.Warn(ctx, "The bootstrapper's log could not be read to its end", map[string]any{"container": state.Name, "error": err.Error()})
	}
	if failure := said.failure(state); failure != nil {
		return failure
	}
	return nil
}

// account is what a bootstrapper's records tell of a failure.
type account struct {
	fatal   string
	records []bootstrap.Record // the last ones
}

func (a *account) note(record bootstrap.Record) {
	if record.Fatal() {
		a.fatal = record.Message
	}
	a.records = append(a.records, record)
	if len(a.records) > 2*recent {
		a.records = append(a.records[:0], a.records[len(a.records)-recent:]...)
	}
}

// failure judges a bootstrapper that has ended, nil when that was well.
func (a *account) failure(state containerState) *BootstrapperError {
	if state.ExitCode == 0 && a.fatal == "" {
		return nil
	}
	failure := &BootstrapperError{Image: state.Image, Container: state.Name, ExitCode: state.ExitCode, Fatal: a.fatal}
	if known, ok := bootstrap.Diagnose(a.records); ok {
		failure.Failure = &known
	}
	for _, record := range a.records[max(0, len(a.records)-tailLength):] {
		failure.Log = append(failure.Log, record.Message)
	}
	return failure
}
