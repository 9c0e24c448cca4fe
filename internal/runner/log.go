package runner

import (
	"context"
	"fmt"
	"io"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

const (
	tailLines   = 20  // the last lines of a log that an error shows
	recentLines = 200 // the last lines that are searched for a known failure
)

// BootstrapperError says that the bootstrapper failed, by its exit status or by a
// fatal record, or that its container was removed before it could be seen to end.
type BootstrapperError struct {
	Image     string
	Container string
	ExitCode  int                // meaningless when Missing
	Missing   bool               // the container was removed before its exit status could be read
	Fatal     string             // the record that tells of the failure, "" when there is none
	Failure   *bootstrap.Failure // the known cause that the log shows, nil for none
	Log       []string           // the last lines
}

func (e *BootstrapperError) Error() string {
	switch {
	case e.Missing:
		return fmt.Sprintf("bootstrapper %s: container %s was removed, not by this provider", e.Image, e.Container)
	case e.Fatal != "":
		return fmt.Sprintf("bootstrapper %s: exit status %d: %s", e.Image, e.ExitCode, e.Fatal)
	}
	return fmt.Sprintf("bootstrapper %s: exit status %d", e.Image, e.ExitCode)
}

// LogRecord writes a record of the bootstrapper into Terraform's log: at Debug if it tells of
// progress, of which an upgrade has some twenty for each replica, and else at Info. One without
// a level may be what an engine or the system said.
func (r *Runner) LogRecord(ctx context.Context, record bootstrap.Record) {
	write := log.Info
	switch record.Level {
	case "info", "debug", "trace":
		write = log.Detail
	}
	write(ctx, "Bootstrapper: "+r.Cluster.UCP.Secrets().Hide(record.Message), map[string]any{"level": record.Level})
}

// Scan reads a bootstrapper's log record by record. The bootstrapper was given UCP's
// password, and may log it: the records are for LogRecord and for a LogSummary.
func Scan(from io.Reader, each func(bootstrap.Record)) error {
	scanner := bootstrap.NewScanner(from)
	for scanner.Scan() {
		each(scanner.Record())
	}
	return scanner.Err()
}

// LogSummary collects what a bootstrapper's records say about a failure, without the
// secrets.
type LogSummary struct {
	secrets *scrub.Secrets
	fatal   string
	records []summarized // the last ones
}

type summarized struct {
	message string
	failure *bootstrap.Failure // nil if the record tells of none that is known
}

// Summary is an empty LogSummary.
func (r *Runner) Summary() LogSummary { return LogSummary{secrets: r.Cluster.UCP.Secrets()} }

// Add adds the next record. It is read as it was written: what hides a password may
// hide the cause of the failure, too.
func (s *LogSummary) Add(record bootstrap.Record) {
	last := summarized{message: s.secrets.Quote(record.Message)}
	if record.Fatal() {
		s.fatal = last.message
	}
	if known, ok := bootstrap.Diagnose([]bootstrap.Record{record}); ok {
		known.Message = s.secrets.Quote(known.Message)
		last.failure = &known
	}
	s.records = append(s.records, last)
	if len(s.records) > 2*recentLines {
		s.records = append(s.records[:0], s.records[len(s.records)-recentLines:]...)
	}
}

// Failure returns the failure of a bootstrapper that has ended, nil if it succeeded.
func (s *LogSummary) Failure(c Container) *BootstrapperError {
	if c.ExitCode == 0 && s.fatal == "" {
		return nil
	}
	failure := &BootstrapperError{Image: c.Image, Container: c.Name, ExitCode: c.ExitCode, Fatal: s.fatal}
	for _, record := range s.records {
		if record.failure != nil { // the latest counts
			failure.Failure = record.failure
		}
	}
	for _, record := range s.records[max(0, len(s.records)-tailLines):] {
		failure.Log = append(failure.Log, record.message)
	}
	return failure
}
