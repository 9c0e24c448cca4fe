package simulator

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

// maxLogChunk is where Docker's json-file driver cuts a long line.
const maxLogChunk = 16 << 10

type logEntry struct {
	at         time.Time
	data       []byte // a line with its end, or a part of a long or unfinished one
	unfinished bool   // the last line, without an end
}

// logBuffer keeps what a container wrote, and wakes those that follow it.
type logBuffer struct {
	mu      sync.Mutex
	entries []logEntry
	pending []byte
	closed  bool
	changed chan struct{} // closed and replaced at every change
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{})} }

// Write takes output of the container; after close it goes nowhere.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return len(p), nil
	}
	l.pending = append(l.pending, p...)
	for {
		end := bytes.IndexByte(l.pending, '\n') + 1
		if end > maxLogChunk || end == 0 && len(l.pending) >= maxLogChunk {
			end = maxLogChunk
		}
		if end == 0 {
			break
		}
		l.add(l.pending[:end])
		l.pending = l.pending[end:]
	}
	return len(p), nil
}

func (l *logBuffer) add(data []byte) {
	l.entries = append(l.entries, logEntry{at: time.Now(), data: bytes.Clone(data)})
	l.wake()
}

func (l *logBuffer) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// close ends the log; a last line without an end is kept as it is.
func (l *logBuffer) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if len(l.pending) > 0 {
		l.add(l.pending)
		l.entries[len(l.entries)-1].unfinished = true
		l.pending = nil
	}
	l.closed = true
	l.wake()
}

func (l *logBuffer) reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = false
}

// read passes the entries since a time on to f, only the last tail ones if
// tail is not negative. With follow it goes on until the log is closed, ctx is
// done or f fails, and leaves out a last line without an end: Docker often
// loses that when the container ends, and has it when the log is read again.
func (l *logBuffer) read(ctx context.Context, since time.Time, tail int, follow bool, f func(logEntry) error) error {
	l.mu.Lock()
	next := 0
	if tail >= 0 {
		next = max(0, len(l.entries)-tail)
	}
	for {
		batch := slices.Clone(l.entries[next:])
		next = len(l.entries)
		closed, changed := l.closed, l.changed
		l.mu.Unlock()
		for _, e := range batch {
			if e.at.Before(since) || follow && e.unfinished {
				continue
			}
			if err := f(e); err != nil {
				return err
			}
		}
		if closed || !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		l.mu.Lock()
	}
}
