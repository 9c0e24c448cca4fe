package bootstrap

import (
	"io"
	"time"
)

// Record is one line of the bootstrapper's output.
type Record struct {
	Time    time.Time
	Level   string
	Message string
	Fields  map[string]string
	Cut     bool // the line was longer than MaxLine
}

// ParseRecord reads one line.
func ParseRecord(line string) Record { return Record{Message: line} }

// Fatal reports whether the record says that the run has failed.
func (r Record) Fatal() bool { return false }

// Scanner reads records from the bootstrapper's output.
type Scanner struct{}

// NewScanner returns a Scanner over the output.
func NewScanner(r io.Reader) *Scanner { return &Scanner{} }

// Scan advances to the next record.
func (s *Scanner) Scan() bool { return false }

// Record is the current record.
func (s *Scanner) Record() Record { return Record{} }

// Err is the first error that was not the end of the output.
func (s *Scanner) Err() error { return nil }
