package ucp

import (
	"cmp"
	"context"
	"io"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Attachment is a connection to what a container writes, which no log need keep.
type Attachment struct {
	engine *Engine
	id     string
	conn   client.HijackedResponse
}

// Attach connects to the standard output and standard error of a container, which has no terminal. What it writes from then on waits to be read: attach before the start.
// The Attachment must be closed.
func (e *Engine) Attach(ctx context.Context, id string) (*Attachment, error) {
	// The failures of the connection itself have no type: this says what is wrong with the container.
	if _, err := e.inspect(ctx, id); err != nil {
		return nil, err
	}
	a := &Attachment{engine: e, id: id}
	err := e.connection.do(ctx, callLimit, "attach to container "+id, func(ctx context.Context, token string) error {
		c, err := e.connection.under(token)
		if err != nil {
			return err
		}
		attached, err := c.stream.ContainerAttach(e.connection.endpoint.Mask(ctx), id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
		a.conn = attached.HijackedResponse
		// moby/client does not tell the refusal of a connection from other failures.
		if err != nil {
			return cmp.Or(e.connection.session.refusal(ctx, token), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Copy passes on what the container writes, until the stream ends. That is no proof that the container has come to its end:
// a connection that is cut may look the same. An error of a writer ends it, and so does ctx.
func (a *Attachment) Copy(ctx context.Context, stdout, stderr io.Writer) error {
	defer context.AfterFunc(ctx, a.conn.Close)()
	_, err := stdcopy.StdCopy(stdout, stderr, a.conn.Reader)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return a.engine.connection.failed(ctx, "read what container "+a.id+" writes", err)
}

// Close ends the reading. The container goes on.
func (a *Attachment) Close() { a.conn.Close() }
