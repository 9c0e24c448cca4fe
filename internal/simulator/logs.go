package simulator

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
)

// maxLogChunk is where Docker's json-file driver cuts a long line.
const maxLogChunk = 16 << 10

type logEntry struct {
	at         time.Time
	stream     stdcopy.StdType
	data       []byte // a line with its end, or a part of a long or unfinished one
	unfinished bool   // the last line, without an end
}

// logBuffer keeps what a container wrote, and wakes its readers. Attached clients get
// the output as it is written, whether it is kept or not.
type logBuffer struct {
	discard bool // the log driver keeps nothing that can be read

	mu       sync.Mutex
	entries  []logEntry
	pending  map[stdcopy.StdType][]byte
	closed   bool
	changed  chan struct{} // closed and replaced at every change
	attached []*attachment
}

func newLogBuffer(driver string) *logBuffer {
	return &logBuffer{discard: !readable(driver), pending: map[stdcopy.StdType][]byte{}, changed: make(chan struct{})}
}

// stream is where the container writes one of its streams to; after close the output
// is discarded.
func (l *logBuffer) stream(s stdcopy.StdType) io.Writer { return logWriter{l, s} }

type logWriter struct {
	log    *logBuffer
	stream stdcopy.StdType
}

func (w logWriter) Write(p []byte) (int, error) {
	for _, a := range w.log.keep(w.stream, p) {
		a.write(w.stream, p) // as slowly as it is read: the container waits
	}
	return len(p), nil
}

// keep adds output to the log and returns the attached clients.
func (l *logBuffer) keep(s stdcopy.StdType, p []byte) []*attachment {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.discard {
		return slices.Clone(l.attached)
	}
	pending := slices.Concat(l.pending[s], p)
	for {
		end := bytes.IndexByte(pending, '\n') + 1
		if end > maxLogChunk || end == 0 && len(pending) >= maxLogChunk {
			end = maxLogChunk
		}
		if end == 0 {
			break
		}
		l.add(s, pending[:end])
		pending = pending[end:]
	}
	l.pending[s] = pending
	return slices.Clone(l.attached)
}

func (l *logBuffer) add(s stdcopy.StdType, data []byte) {
	l.entries = append(l.entries, logEntry{at: time.Now(), stream: s, data: bytes.Clone(data)})
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
	l.detach()
	if l.closed {
		return
	}
	for s, pending := range l.pending {
		if len(pending) > 0 {
			l.add(s, pending)
			l.entries[len(l.entries)-1].unfinished = true
		}
	}
	clear(l.pending)
	l.closed = true
	l.wake()
}

func (l *logBuffer) attach(a *attachment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attached = append(l.attached, a)
}

// detach ends the streams of the attached clients. The lock must be held.
func (l *logBuffer) detach() {
	for _, a := range l.attached {
		a.end()
	}
	l.attached = nil
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
