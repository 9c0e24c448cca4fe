package endpoint

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// Upgrade asks once for a connection that is not HTTP from then on, and returns what is read from it. The way there is that of every other request, a proxy
// included. The context is for the question alone: the connection lasts until it is closed. The function refused makes an error of any other answer.
func (e *Endpoint) Upgrade(ctx context.Context, r Request, protocol string, refused func(*Answer) error) (io.ReadCloser, error) {
	ctx = e.Mask(ctx)
	req, err := e.build(ctx, r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	// A connection of its own: one that was used before may have been closed by the other side, and this is not asked twice.
	transport := e.transport.Clone()
	defer transport.CloseIdleConnections()
	resp, err := logged{service: e.config.Service, next: transport}.RoundTrip(req)
	if err != nil {
		err = e.explain(req.Method, address(req), 1, err)
		if cause := context.Cause(ctx); cause != nil {
			return nil, e.interrupted(ctx, req, 1, cause, err)
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.Body, nil
	}
	return nil, e.take(req, resp, nil, func(a *Answer) error {
		if err := refused(a); err != nil {
			return err
		}
		return e.Unusable(a, errors.New("it does not open a connection"))
	})
}
