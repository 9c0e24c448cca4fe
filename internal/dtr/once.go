package dtr

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// createOnce makes something that must not be there twice. When the answer to create is lost it looks for what was made.
// It creates again, once, when there is none and again allows that: the request may yet arrive. One that never left may be
// repeated in any case. The error is that of lost when nobody can tell.
func createOnce[T any](ctx context.Context, c *Client, again func(error) bool, create func(context.Context) (T, error), find func(context.Context) (*T, error), lost func(error) error) (T, error) {
	for repeated := false; ; repeated = true {
		created, err := create(ctx)
		if err == nil || !answerLost(err) || repeated && neverLeft(err) {
			return created, err
		}
		found, findErr := c.lookFor(ctx, looks(err), func() (bool, error) {
			made, err := find(ctx)
			if made != nil {
				created = *made
			}
			return made != nil, err
		})
		switch {
		case findErr != nil:
			return created, lost(errors.Join(err, findErr))
		case found:
			return created, nil
		case repeated || !again(err):
			return created, lost(err)
		}
	}
}

// lookFor looks so often, with growing pauses, until it is found.
func (c *Client) lookFor(ctx context.Context, looks int, look func() (bool, error)) (bool, error) {
	for i := range looks {
		if i > 0 {
			select {
			case <-ctx.Done():
				return false, context.Cause(ctx)
			case <-time.After(c.endpoint.Limits().Pause(i, nil)):
			}
		}
		if found, err := look(); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// answerLost reports whether the request may have been carried out in spite of the error.
func answerLost(err error) bool {
	if api, ok := errors.AsType[*APIError](err); ok {
		return api.StatusCode >= http.StatusInternalServerError
	}
	_, unread := errors.AsType[*FileError](err)
	_, untrusted := errors.AsType[*endpoint.CertificateError](err)
	_, elsewhere := errors.AsType[*endpoint.RedirectError](err)
	return !unread && !untrusted && !elsewhere
}

// looks is how often to look before what was asked for counts as surely not there.
// A request that is still under way somewhere gets time to arrive; one that never left needs none.
func looks(err error) int {
	if neverLeft(err) {
		return 1
	}
	return 3
}

// neverLeft reports whether no connection could be made that the request would have taken.
func neverLeft(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// anyway allows a second request whatever became of the first.
func anyway(error) bool { return true }
