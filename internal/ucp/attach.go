package ucp

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/moby/moby/api/pkg/stdcopy"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// Attachment is a connection to what a container writes, which no log need keep.
type Attachment struct {
	engine *Engine
	id     string
	conn   io.ReadCloser
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
		// Not through moby/client, which connects past the proxy.
		r := endpoint.Request{
			Method: http.MethodPost, Path: "/v" + e.connection.version + "/containers/" + url.PathEscape(id) + "/attach",
			Query: url.Values{"stream": {"1"}, "stdout": {"1"}, "stderr": {"1"}}, Authorization: bearer(token),
		}
		conn, err := e.connection.endpoint.Upgrade(ctx, r, "tcp", func(answer *endpoint.Answer) error { return check(e.connection.endpoint, answer) })
		a.conn = conn
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Copy passes on what the container writes, until the stream ends. That is no proof that the container has come to its end:
// a connection that is cut may look the same. An error of a writer ends it, and so does ctx.
func (a *Attachment) Copy(ctx context.Context, stdout, stderr io.Writer) error {
	defer context.AfterFunc(ctx, a.Close)()
	_, err := stdcopy.StdCopy(stdout, stderr, &frames{r: a.conn})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		err = a.engine.connection.endpoint.Secrets().OwnError(err)
	}
	return a.engine.connection.failed(ctx, "read what container "+a.id+" writes", err)
}

// Close ends the reading. The container goes on.
func (a *Attachment) Close() { _ = a.conn.Close() }
