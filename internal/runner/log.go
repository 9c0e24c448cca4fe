package runner

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
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

// LogRecord writes a record of the bootstrapper into Terraform's log.
func LogRecord(ctx context.Context, record bootstrap.Record) {
	tflog.Info(ctx, "Bootstrapper says", map[string]any{"level": record.Level, "message": record.Message})
}

// Scan reads a bootstrapper's log record by record. UCP's password is masked in every
// record: the bootstrapper was given it, and may log it.
func (r *Runner) Scan(log io.Reader, each func(bootstrap.Record)) error {
	scanner := bootstrap.NewScanner(log)
	for scanner.Scan() {
		each(r.mask(scanner.Record()))
	}
	return scanner.Err()
}

func (r *Runner) mask(record bootstrap.Record) bootstrap.Record {
	if password := r.Cluster.Login.Password; password != "" {
		record.Message = strings.ReplaceAll(record.Message, password, "***")
		for name, value := range record.Fields {
			record.Fields[name] = strings.ReplaceAll(value, password, "***")
		}
	}
	return record
}

// LogSummary collects what a bootstrapper's records say about a failure. The zero
// value is ready to use.
type LogSummary struct {
	fatal   string
	records []bootstrap.Record // the last ones
}

// Add adds the next record.
func (s *LogSummary) Add(record bootstrap.Record) {
	if record.Fatal() {
		s.fatal = record.Message
	}
	s.records = append(s.records, record)
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
	if known, ok := bootstrap.Diagnose(s.records); ok {
		failure.Failure = &known
	}
	for _, record := range s.records[max(0, len(s.records)-tailLines):] {
		failure.Log = append(failure.Log, record.Message)
	}
	return failure
}
