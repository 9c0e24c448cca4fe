package ucp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Logs reads standard output and standard error of a container, which has no terminal, interleaved.
// A zero since means from the start. With follow it goes on until the container ends or ctx does.
func (e *Engine) Logs(ctx context.Context, id string, since time.Time, follow bool) (io.ReadCloser, error) {
	// The log itself is asked for once, and its failures have no type: this is repeated, and says what is wrong.
	if _, err := e.inspect(ctx, id); err != nil {
		return nil, err
	}
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow}
	if !since.IsZero() {
		options.Since = fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())
	}
	var (
		cancel context.CancelFunc
		body   io.ReadCloser
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
		if body, err = c.stream.ContainerLogs(e.connection.endpoint.Mask(reading), id, options); err != nil {
			cancel()
		}
		return err
	})
	if err != nil {
		return nil, e.connection.failed(ctx, "read the log of container "+id, err)
	}
	r, w := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(w, w, body)
		w.CloseWithError(err)
	}()
	return &logReader{PipeReader: r, body: body, cancel: cancel}, nil
}

// logReader is a log that is being read.
type logReader struct {
	*io.PipeReader
	body   io.Closer
	cancel context.CancelFunc
}

// Close ends the reading, also a Read that is under way.
func (l *logReader) Close() error {
	l.cancel()
	return errors.Join(l.body.Close(), l.PipeReader.Close())
}
