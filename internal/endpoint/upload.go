package endpoint

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Upload is the body of a request that is sent as it is read, so that it may be larger than the memory.
type Upload struct {
	Body        io.Reader
	ContentType string
	// Length is the body's length in bytes, negative when it is not known.
	Length int64
}

// continueTimeout is how long the body waits for the service to ask for it: what is refused is refused before it is sent.
const continueTimeout = 5 * time.Second

// Send sends an upload exactly once. Neither limit of a single call holds for it: how long it may take, ctx says.
func (e *Endpoint) Send(ctx context.Context, r Request, u Upload, read func(*Answer) error) error {
	ctx = e.Mask(ctx)
	req, err := e.build(ctx, r)
	if err != nil {
		return err
	}
	req.Body, req.ContentLength = io.NopCloser(u.Body), u.Length
	req.Header.Set("Content-Type", u.ContentType)
	req.Header.Set("Expect", "100-continue")

	transport := e.transport.Clone()
	defer transport.CloseIdleConnections()
	transport.ExpectContinueTimeout = continueTimeout
	client := http.Client{Transport: logged{service: e.config.Service, next: transport}, CheckRedirect: sameHost}
	resp, err := client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		err = e.take(req, resp, nil, read)
	} else {
		err = e.explain(req.Method, address(req), 1, err)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return e.interrupted(ctx, req, 1, cause, err)
	}
	return err
}
