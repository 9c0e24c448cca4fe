package endpoint

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// RoundTripper is the endpoint for a client library that builds its own requests and reads JSON.
// A GET is repeated as by [Endpoint.Repeat] and answered only with the whole of a JSON text; anything else is sent once.
// It is not for streams.
func (e *Endpoint) RoundTripper() http.RoundTripper { return roundTripper{e} }

type roundTripper struct{ e *Endpoint }

func (rt roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		req = req.WithContext(rt.e.Mask(req.Context()))
		resp, err := rt.e.client.Transport.RoundTrip(req)
		if err != nil && req.Context().Err() == nil {
			err = rt.e.explain(req.Method, address(req), 1, err)
		}
		if err == nil {
			if err = rt.e.elsewhere(req, resp); err != nil {
				_ = resp.Body.Close()
				resp = nil
			}
		}
		if err == nil && req.Context().Value(streamKey{}) == nil {
			resp.Body = &bounded{resp.Body, min(maxOutcome, rt.e.config.MaxBody)}
		}
		return resp, record(req.Context(), err)
	}
	var answer *http.Response
	err := rt.e.send(req, rt.e.config.Retry.Max, nil, func(a *Answer) error {
		if a.OK() && !strings.HasSuffix(a.Path, "/_ping") {
			if err := checkJSON(a.Body, maxLibraryElements); err != nil {
				return rt.e.Unusable(a, err)
			}
		}
		answer = a.response(req)
		return nil
	})
	if err != nil {
		return nil, record(req.Context(), err)
	}
	return answer, nil
}

func (a *Answer) response(req *http.Request) *http.Response {
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", a.StatusCode, http.StatusText(a.StatusCode)),
		StatusCode:    a.StatusCode,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.Header,
		Body:          io.NopCloser(bytes.NewReader(a.Body)),
		ContentLength: int64(len(a.Body)),
		Request:       req,
	}
}

type failureKey struct{}

// KeepFailure returns a context for one call of a client library and a function that tells, afterwards, with which error its last request failed.
// Libraries reword errors and lose their types on the way.
func KeepFailure(ctx context.Context) (context.Context, func() error) {
	var failure error
	return context.WithValue(ctx, failureKey{}, &failure), func() error { return failure }
}

func record(ctx context.Context, err error) error {
	if failure, ok := ctx.Value(failureKey{}).(*error); ok {
		*failure = err
	}
	return err
}
