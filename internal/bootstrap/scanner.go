package bootstrap

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// MaxLine is the longest line that a Scanner keeps, in bytes. What is longer is
// cut, so that a container gone mad cannot fill the provider's memory.
const MaxLine = 1 << 20

// Scanner reads the records of the bootstrapper's output one after the other, as
// they come. Empty lines are left out.
type Scanner struct {
	r      *bufio.Reader
	record Record
	err    error
}

// NewScanner returns a Scanner that reads from r, which must hold the output alone
// (of an engine's log: after demultiplexing).
func NewScanner(r io.Reader) *Scanner {
	return &Scanner{r: bufio.NewReader(r)}
}

// Scan advances to the next record. It returns false at the end of the output and
// when reading fails; Err tells which. The last line needs no line end.
func (s *Scanner) Scan() bool {
	for s.err == nil {
		if line := s.line(); strings.TrimSpace(line) != "" {
			s.record = ParseRecord(line)
			return true
		}
	}
	s.record = Record{}
	return false
}

// Record is the record that the last Scan found.
func (s *Scanner) Record() Record { return s.record }

// Err is what ended the reading, or nil when it was the end of the output.
func (s *Scanner) Err() error {
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// line reads up to the next line end or error, which it leaves in s.err.
func (s *Scanner) line() string {
	const room = MaxLine + len("\r\n")
	var kept []byte
	for {
		part, err := s.r.ReadSlice('\n')
		kept = append(kept, part[:min(len(part), room-len(kept))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		s.err = err
		line := strings.TrimRight(string(kept), "\r\n")
		return line[:min(len(line), MaxLine)]
	}
}
