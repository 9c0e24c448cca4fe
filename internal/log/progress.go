package log

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// Progress is a file that gets every message of [Info] as a line with its time. The zero value writes nowhere.
type Progress struct {
	mu   sync.Mutex
	file *os.File // nil before Open, and after a line that could not be written
}

// writeLimit bounds the time that a line takes: a pipe may have a reader that does not read.
const writeLimit = time.Second

type progressKey struct{}

// With is a context whose messages are written.
func (p *Progress) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// Open opens the file, to append to it: a regular one, which is made if there is none, or a terminal or pipe. It does not wait for the reader of a pipe.
func (p *Progress) Open(name string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = file
	return nil
}

// write writes a line. A run goes on without its progress being written: the first failure is a warning in the log, and the last one.
func (p *Progress) write(ctx context.Context, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return
	}
	_ = p.file.SetWriteDeadline(time.Now().Add(writeLimit)) // a regular file has none, and needs none
	if _, err := fmt.Fprintf(p.file, "%s  %s\n", time.Now().Format(time.TimeOnly), message); err != nil {
		Warn(ctx, "Progress is no longer written", map[string]any{"file": p.file.Name(), "error": err.Error()})
		_ = p.file.Close()
		p.file = nil
	}
}
