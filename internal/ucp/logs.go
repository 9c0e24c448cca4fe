package ucp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// LogMark is how far a log was read. The zero value is its start.
type LogMark struct {
	at    time.Time // of the last line, by the engine's clock
	lines int       // read of that time
}

// Logs reads standard output and standard error of a container, which has no terminal, interleaved.
// It reads from the mark on, which it moves along, so that no line is read twice; nil is the start.
// With follow it goes on until the container ends or ctx does.
func (e *Engine) Logs(ctx context.Context, id string, from *LogMark, follow bool) (*Log, error) {
	// The log itself is asked for once, and its failures have no type: this is repeated, and says what is wrong.
	if _, err := e.inspect(ctx, id); err != nil {
		return nil, err
	}
	if from == nil {
		from = &LogMark{}
	}
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow, Timestamps: true}
	if !from.at.IsZero() {
		options.Since = fmt.Sprintf("%d.%09d", from.at.Unix(), from.at.Nanosecond())
	}
	var (
		cancel context.CancelFunc
		body   io.ReadCloser
		answer *head
	)
	err := e.connection.session.do(ctx, func(token string) error {
		c, err := e.connection.under(token)
		if err != nil {
			return err
		}
		var reading context.Context
		if follow {
			reading, cancel = context.WithCancel(ctx)
		} else {
			reading, cancel = context.WithTimeout(ctx, callLimit)
		}
		reading, answer = keepHead(reading)
		if body, err = c.stream.ContainerLogs(e.connection.endpoint.Mask(reading), id, options); err != nil {
			cancel()
			return e.connection.quoted(err)
		}
		return nil
	})
	if err != nil {
		return nil, e.connection.failed(ctx, "read the log of container "+id, err)
	}
	r, w := io.Pipe()
	go func() {
		lines := &lineWriter{to: w, mark: from, known: *from}
		_, err := stdcopy.StdCopy(lines, lines, &frames{r: body})
		if err != nil {
			err = e.connection.endpoint.Secrets().OwnError(err)
		}
		w.CloseWithError(err)
	}()
	return &Log{PipeReader: r, Now: answer.date, body: body, cancel: cancel}, nil
}

// lineWriter gets a log with its times, one line, or part of a long one, with each Write. It passes the lines after those that are known on.
type lineWriter struct {
	to    io.Writer
	mark  *LogMark // how far the log was passed on
	known LogMark  // less what was seen of it
}

func (l *lineWriter) Write(p []byte) (int, error) {
	stamp, line, _ := bytes.Cut(p, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	switch {
	case err != nil: // an engine that tells no times: all is passed on
		return l.to.Write(p)
	case at.Before(l.known.at):
		return len(p), nil
	case at.Equal(l.known.at) && l.known.lines > 0:
		l.known.lines--
		return len(p), nil
	}
	if _, err := l.to.Write(line); err != nil {
		return 0, err
	}
	switch at.Compare(l.mark.at) {
	case 1:
		*l.mark = LogMark{at, 1}
	case 0:
		l.mark.lines++
	}
	return len(p), nil
}

// Log is a log that is being read.
type Log struct {
	*io.PipeReader
	// Now is when the engine answered, by the clock of the container's node, in whole seconds; zero if it did not say.
	// UCP passes this answer on from the node, while it gives those about containers itself, by the clock of a manager.
	Now time.Time

	body   io.Closer
	cancel context.CancelFunc
}

// Close ends the reading, also a Read that is under way.
func (l *Log) Close() error {
	l.cancel()
	return errors.Join(l.body.Close(), l.PipeReader.Close())
}
